"""The connection to Hazelcast: a thin shell around the client in which every call has a deadline.

A call never blocks the event loop, and a connection that is lost is reported, never repaired behind the
caller's back: whoever owns the `Cluster` calls `connect` again. (The client's own reconnecting is switched off:
it can hang for ever in the authentication with a frozen member.)
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine
from typing import Any, TypeVar

from hazelcast.asyncio import Map
from hazelcast.config import Config as ClientConfig
from hazelcast.config import ReconnectMode
from hazelcast.core import HazelcastJsonValue
from hazelcast.lifecycle import LifecycleState

from bridge.cluster.hazelcast_client import Client, Foreign, MapValue
from bridge.config import Hazelcast, credential_path

T = TypeVar("T")

# One backup member that does not acknowledge must not use up the deadline of the call.
BACKUP_ACK_SHARE = 0.5
BACKUP_LOOK_SHARE = 0.25
# Both the expected and the new value of a compare-and-set fit into the send buffer, so that one write sends them.
SOCKET_BUFFER_BYTES = 1024**2


class ClusterError(Exception):
    """The cluster did not do what was asked, or not in time. The message is one line for the operator."""


class Cluster:
    """One map in one Hazelcast cluster."""

    def __init__(self, config: Hazelcast, name: str) -> None:
        """Prepare, but do not connect. `name` is what the cluster sees as the client's name."""
        self._config = config
        self._name = name
        self._client: Client | None = None
        self._map: Map[str, Any] | None = None
        self.lost = asyncio.Event()
        self.away_reason = "not connected yet"

    @property
    def connected(self) -> bool:
        """Whether calls have a chance."""
        return self._map is not None and not self.lost.is_set()

    @property
    def address(self) -> str:
        """The cluster as an operator would write it: `name@host:port,…`."""
        return f"{self._config.cluster_name}@{','.join(self._config.members)}"

    async def connect(self) -> None:
        """Open the connection, in place of an earlier one.

        Raises:
            ClusterError: no member answered within `connect_timeout_s` each, or the cluster refused us.
        """
        await self.close()
        self.lost.clear()
        try:
            config = _client_config(self._config, self._name, self._on_lifecycle)
        except OSError as error:
            raise ClusterError(f"password_file: {error}") from error
        # Early enough for a backup member that does not acknowledge is before the call's deadline.
        self._client = client = Client(config, cleaning_s=self._config.call_timeout_s * BACKUP_LOOK_SHARE)
        starting = asyncio.create_task(client.start())
        deadline_s = self._config.connect_timeout_s * len(self._config.members)
        try:
            with _LastConnectionError() as reason:
                await asyncio.wait({starting}, timeout=deadline_s)
            if not starting.done():
                raise ClusterError(f"no answer within {deadline_s:g} s")
            if starting.exception():
                raise ClusterError(reason.text or str(starting.exception())) from starting.exception()
        finally:
            if not starting.done():
                await self.close()
                await asyncio.wait({starting}, timeout=0.1)
                starting.cancel()  # it may wait for a list of members that nobody will send
                _forget(starting)
        self._map = await self._call(client.open_map(self._config.map), "opening the map")

    async def get(self, key: str) -> MapValue | None:
        """What `key` holds; None for nothing. Raises ClusterError."""
        found: MapValue | None = await self._call(self._require_map().get(key), f"get {key}")
        return found

    async def set(self, key: str, value: bytearray | HazelcastJsonValue) -> None:
        """Store `value`, whatever is there. Raises ClusterError."""
        await self._call(self._require_map().set(key, value), f"set {key}")

    async def put_if_absent(self, key: str, value: bytearray | HazelcastJsonValue) -> bool:
        """Store `value` if there is none; whether it was stored. Raises ClusterError."""
        return await self._call(self._require_map().put_if_absent(key, value), f"put {key}") is None

    async def replace_if_same(self, key: str, expected: MapValue, value: bytearray | HazelcastJsonValue) -> bool:
        """Store `value` if the present one equals `expected`; whether it was stored. Raises ClusterError."""
        old = expected.data if isinstance(expected, Foreign) else expected
        return bool(await self._call(self._require_map().replace_if_same(key, old, value), f"replace {key}"))

    async def reconfigure(self, config: Hazelcast, name: str) -> None:
        """Go on with another configuration; a connection made with the old one is closed."""
        if (config, name) != (self._config, self._name):
            await self.close()
            self._config, self._name = config, name
            self.away_reason = "the configuration changed"

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

    async def _call(self, call: Coroutine[Any, Any, T], what: str) -> T:
        # The call is abandoned, not cancelled: a response to a cancelled call would break the client's connection.
        task = asyncio.create_task(call)
        await asyncio.wait({task}, timeout=self._config.call_timeout_s)
        if not task.done():
            _forget(task)
            raise ClusterError(f"{what}: no answer within {self._config.call_timeout_s:g} s")
        try:
            return task.result()
        except Exception as error:
            raise ClusterError(f"{what}: {type(error).__name__}: {error}") from error

    def _on_lifecycle(self, state: str) -> None:
        if state in (LifecycleState.DISCONNECTED, LifecycleState.SHUTTING_DOWN):
            self.lost.set()


def _forget(task: asyncio.Task[Any]) -> None:
    """Let a task end by itself, and mark its exception as seen."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _client_config(config: Hazelcast, name: str, on_lifecycle: Any) -> ClientConfig:
    client = ClientConfig()  # type: ignore[no-untyped-call]
    client.client_name = name
    client.cluster_name = config.cluster_name
    client.cluster_members = list(config.members)
    client.connection_timeout = config.connect_timeout_s
    client.cluster_connect_timeout = 0  # one round over the members; the caller decides when to try again
    client.reconnect_mode = ReconnectMode.OFF
    client.heartbeat_timeout = config.heartbeat_timeout_s
    client.heartbeat_interval = config.heartbeat_timeout_s / 5
    client.invocation_timeout = config.call_timeout_s
    client.invocation_retry_pause = 0.05
    client.operation_backup_timeout = config.call_timeout_s * BACKUP_ACK_SHARE
    client.socket_options = [(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)]
    client.lifecycle_listeners = [on_lifecycle]
    password_file = credential_path(config.password_file)
    if config.username is not None and password_file is not None:
        client.creds_username = config.username
        client.creds_password = password_file.read_text().rstrip("\n")
    if config.tls.enabled:
        client.ssl_enabled = True
        client.ssl_check_hostname = config.tls.check_hostname
        if config.tls.ca_file:
            client.ssl_cafile = str(config.tls.ca_file)
        if config.tls.cert_file:
            client.ssl_certfile = str(config.tls.cert_file)
        if key_file := credential_path(config.tls.key_file):
            client.ssl_keyfile = str(key_file)
    return client


class _LastConnectionError(logging.Handler):
    """Catches why a connection failed: the client only logs it ("Error during initial connection", with traceback)."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        self._logger = logging.getLogger("hazelcast.internal.asyncio_connection")

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, ConnectionError) and error.errno:
            self.text = os.strerror(error.errno)
        elif error:
            self.text = str(error) or type(error).__name__

    def __enter__(self) -> _LastConnectionError:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
