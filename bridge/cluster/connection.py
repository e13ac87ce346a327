"""The connection to Hazelcast: a thin shell around the client in which every call has a deadline.

A call never blocks the event loop, and a connection that is lost is reported, never repaired behind the
caller's back: whoever owns the `Cluster` calls `connect` again. (The client's own reconnecting is switched off:
it can hang for ever in the authentication with a frozen member.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

from hazelcast.asyncio import Map
from hazelcast.config import Config as ClientConfig
from hazelcast.config import ReconnectMode
from hazelcast.core import HazelcastJsonValue
from hazelcast.lifecycle import LifecycleState

from bridge.cluster.hazelcast_client import ByteArray, CannotConnect, Client, MapValue
from bridge.cluster.hazelcast_errors import is_refusal, one_line
from bridge.cluster.hazelcast_wire import Serializable, replace_if_same
from bridge.config import Hazelcast

T = TypeVar("T")
Call: TypeAlias = Coroutine[Any, Any, T] | asyncio.Future[T]

# A call that carries a large scan may take longer: a second for each 10 MB, as on a line of 100 Mbit/s.
LARGE_BYTES = 1_000_000
SLOWEST_BYTES_PER_S = 10_000_000
# A value that is not read within the deadline may be so large.
FIRST_DOUBT_BYTES = 10_000_000
MOST_DOUBT_BYTES = 100_000_000
# How early before its deadline a call whose connection is gone is found.
CLEANING_SHARE = 0.5


class ClusterError(Exception):
    """The cluster did not do what was asked, or not in time. The message is one line for the operator."""


class ClusterRefused(ClusterError):
    """The cluster answered, and refused: another try does not help before something is changed there or here."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"{what}refused: {reason}")
        self.refusal = what + reason


class Cluster:
    """One map in one Hazelcast cluster."""

    def __init__(self, config: Hazelcast, name: str) -> None:
        """Prepare, but do not connect. `name` is what the cluster sees as the client's name."""
        self._config = config
        self._name = name
        self._client: Client | None = None
        self._map: Map[str, Any] | None = None
        self._learnt: tuple[str, ...] = ()  # addresses of members, from the last connection
        self._away = "not connected yet"
        self._refusals: dict[str, str] = {}  # by what was refused
        self._read_bytes = 0  # what the next read is given time for
        self.lost = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether calls have a chance."""
        return self._map is not None and not self.lost.is_set()

    @property
    def address(self) -> str:
        """The cluster as an operator would write it."""
        return self._config.address

    @property
    def condition(self) -> str:
        """`connected to …`, `refuses (…): why`, or `away (…): why`."""
        if self._refusals:
            return f"refuses ({self.address}): {next(iter(self._refusals.values()))}"
        return f"connected to {self.address}" if self.connected else f"away ({self.address}): {self._away}"

    async def connect(self) -> None:
        """Open the connection, in place of an earlier one, by any member that answers.

        Tried are the configured ones and those that the last connection told of.

        Raises:
            ClusterError: no member answered within `connect_timeout_s`.
            ClusterRefused: one did, and refused.
        """
        if self._client is not None:
            self._learnt = self._client.member_addresses or self._learnt
        await self.close()
        self.lost.clear()
        try:
            await self._start()
        except ClusterError as error:
            self._away = str(error)
            self._refusals = {"connect": error.refusal} if isinstance(error, ClusterRefused) else {}
            raise
        self._refusals = {}

    async def _start(self) -> None:
        try:
            config = _client_config(self._config, self._name, self._on_lifecycle)
        except OSError as error:
            raise ClusterError(f"password_file: {error}") from error
        config.cluster_members = list(dict.fromkeys([*self._config.members, *self._learnt]))
        cleaning_s = self._config.call_timeout_s * CLEANING_SHARE
        self._client = client = Client(config, self._config.connect_timeout_s, cleaning_s)
        starting = asyncio.create_task(client.start())
        deadline_s = self._config.connect_timeout_s * 2 + self._config.call_timeout_s
        try:
            await asyncio.wait({starting}, timeout=deadline_s)
            if not starting.done():
                raise ClusterError(f"no answer within {deadline_s:g} s")
            try:
                starting.result()
            except CannotConnect as error:
                raise ClusterRefused("", str(error)) if error.refused else ClusterError(str(error)) from error
            except Exception as error:
                raise ClusterError(one_line(error)) from error
        finally:
            if not starting.done():
                await self.close()
                await asyncio.wait({starting}, timeout=0.1)
                starting.cancel()  # it may wait for an answer that nobody will send
                _forget(starting)
        self._map = await self._call(lambda: client.open_map(self._config.map), "open", f"map {self._config.map}")

    async def get(self, key: str) -> MapValue | None:
        """What `key` holds; None for nothing. Raises ClusterError."""
        # Its size is not known before. So each try after one without an answer is given longer.
        size, self._read_bytes = self._read_bytes, min(max(2 * self._read_bytes, FIRST_DOUBT_BYTES), MOST_DOUBT_BYTES)
        map_ = self._require_map()
        found: MapValue | None = await self._call(lambda: map_.get(key), "get", key, size)
        self._read_bytes = 0
        return found

    async def set(self, key: str, value: ByteArray | HazelcastJsonValue) -> None:
        """Store `value`, whatever is there. Raises ClusterError."""
        map_, sent = self._require_map(), serialized(value)
        await self._call(lambda: map_.set(key, sent), "set", key, _size(sent))

    async def put_if_absent(self, key: str, value: ByteArray | HazelcastJsonValue) -> bool:
        """Store `value` if there is none; whether it was stored. Raises ClusterError."""
        map_, sent = self._require_map(), serialized(value)
        return await self._call(lambda: map_.put_if_absent(key, sent), "put", key, _size(sent)) is None

    async def replace_if_same(self, key: str, expected: MapValue, value: ByteArray | HazelcastJsonValue) -> bool:
        """Store `value` if the present one equals `expected`; whether it was stored. Raises ClusterError."""
        map_, old, new = self._require_map(), serialized(expected), serialized(value)
        return await self._call(lambda: replace_if_same(map_, key, old, new), "replace", key, _size(old) + _size(new))

    async def ask(self, map_name: str, ask: Callable[[Map[str, Any]], Coroutine[Any, Any, T]], size: int = 0) -> T:
        """What `ask` finds out of another map. `size`: the bytes that go through the line.

        That map's refusals are its own: they do not show in `condition`.

        Raises:
            ClusterError, ClusterRefused: as each call.
        """
        if self._client is None or not self.connected:
            raise ClusterError("not connected")
        client = self._client

        async def answer() -> T:
            return await ask(await client.open_map(map_name))

        return await self._answer(answer, map_name, size)

    async def reconfigure(self, config: Hazelcast, name: str) -> None:
        """Go on with another configuration; a connection made with the old one is closed."""
        if (config, name) != (self._config, self._name):
            await self.close()
            self._config, self._name = config, name
            self._learnt, self._refusals, self._away = (), {}, "the configuration changed"

    async def close(self) -> None:
        """Close the connection, at the latest after 1 s."""
        client, self._client, self._map = self._client, None, None
        if client is not None:
            closing = asyncio.create_task(client.shutdown())
            await asyncio.wait({closing}, timeout=1)
            _forget(closing)

    def _require_map(self) -> Map[str, Any]:
        if self._map is None or self.lost.is_set():
            raise ClusterError("not connected")
        return self._map

    async def _answer(self, call: Callable[[], Call[T]], what: str, size: int) -> T:
        deadline_s = call_deadline_s(self._config.call_timeout_s, size)
        try:
            # The call is abandoned, not cancelled: an answer to a cancelled call would break the client's connection.
            answer = asyncio.ensure_future(call())
            await asyncio.wait({answer}, timeout=deadline_s)
            if not answer.done():
                _forget(answer)
                raise ClusterError(f"{what}: no answer within {deadline_s:g} s")
            return answer.result()
        except ClusterError:
            raise
        except Exception as error:
            if is_refusal(error):
                raise ClusterRefused(f"{what}: ", one_line(error)) from error
            raise ClusterError(f"{what}: {one_line(error)}") from error

    async def _call(self, call: Callable[[], Call[T]], verb: str, key: str, size: int = 0) -> T:
        kind = "read" if verb == "get" else "write"
        try:
            answer = await self._answer(call, f"{verb} {key}", size)
        except ClusterRefused as refused:
            self._refusals[kind] = refused.refusal
            raise
        self._refusals.pop(kind, None)
        return answer

    def _on_lifecycle(self, state: str) -> None:
        if state in (LifecycleState.DISCONNECTED, LifecycleState.SHUTTING_DOWN):
            self._away, self._refusals = "connection lost", {}
            self.lost.set()


def call_deadline_s(call_timeout_s: float, size: int) -> float:
    """The deadline of a call that carries `size` bytes; for a usual scan `call_timeout_s` as it is."""
    return call_timeout_s + size // LARGE_BYTES * LARGE_BYTES / SLOWEST_BYTES_PER_S


def _size(value: Serializable) -> int:
    return len(value.to_string()) if isinstance(value, HazelcastJsonValue) else len(value.buffer)


def serialized(value: MapValue) -> Serializable:
    """What the client sends as it is, where there is such a thing."""
    return value if isinstance(value, HazelcastJsonValue) else value.data


def _forget(answer: asyncio.Future[Any]) -> None:
    """Let it end by itself, and mark its exception as seen."""
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())


def _client_config(config: Hazelcast, name: str, on_lifecycle: Any) -> ClientConfig:
    client = ClientConfig()  # type: ignore[no-untyped-call]
    client.client_name = name
    client.cluster_name = config.cluster_name
    client.reconnect_mode = ReconnectMode.OFF
    client.heartbeat_timeout = config.heartbeat_timeout_s
    client.heartbeat_interval = config.heartbeat_timeout_s / 5
    client.invocation_timeout = config.call_timeout_s
    client.invocation_retry_pause = 0.05
    # A backup member that cannot be reached from here would hold up each call; the member that is asked hears of it.
    client.backup_ack_to_client_enabled = False
    client.lifecycle_listeners = [on_lifecycle]
    if config.username is not None and config.password_file is not None:
        client.creds_username = config.username
        client.creds_password = config.password_file.read_text().rstrip("\n")
    if config.tls.enabled:
        client.ssl_enabled = True
        client.ssl_check_hostname = config.tls.check_hostname
        if config.tls.ca_file:
            client.ssl_cafile = str(config.tls.ca_file)
        if config.tls.cert_file:
            client.ssl_certfile = str(config.tls.cert_file)
        if config.tls.key_file:
            client.ssl_keyfile = str(config.tls.key_file)
    return client
