"""The Hazelcast client as this project needs it: the one place that touches private names of hazelcast-python-client.

Each of them is checked when this module is imported, so that a version that renamed one is refused at once
(pyproject.toml pins the minor version). Nothing that the cluster holds may become an object here but `byte[]` and JSON:
a pickle would run whatever code it names.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from hazelcast.asyncio import HazelcastClient, Map
from hazelcast.config import Config
from hazelcast.core import Address, HazelcastJsonValue
from hazelcast.internal.asyncio_connection import Connection, ConnectionManager
from hazelcast.internal.asyncio_invocation import InvocationService
from hazelcast.internal.asyncio_proxy.base import Proxy
from hazelcast.internal.asyncio_reactor import AsyncioConnection, AsyncioReactor
from hazelcast.serialization import serialization_const
from hazelcast.serialization.data import DATA_OFFSET, Data

from bridge.cluster import tcp
from bridge.cluster.hazelcast_errors import is_refusal, one_line
from bridge.cluster.hazelcast_wire import Buffer, Reactor
from bridge.cluster.private_names import incompatible, require

BYTE_ARRAY: int = serialization_const.CONSTANT_TYPE_BYTE_ARRAY
JSON: int = serialization_const.JAVASCRIPT_JSON_SERIALIZATION_TYPE
STRING: int = serialization_const.CONSTANT_TYPE_STRING
NULL: int = serialization_const.CONSTANT_TYPE_NULL
TYPE_NAMES: dict[int, str] = {
    number: name.partition("TYPE_")[2].replace("_", " ").lower()
    for name, number in vars(serialization_const).items()
    if "TYPE_" in name
}
HEADER = struct.Struct(">iii")  # partition hash (0: that of the value itself), type, length of what follows
CONTENT_OFFSET = HEADER.size


@dataclass(frozen=True)
class Foreign:
    """A value that no bridge can have written: not read, but kept, so that it can be replaced by compare-and-set."""

    data: Data

    @property
    def type_name(self) -> str:
        """What it is, in Hazelcast's words: `string`, `pickle`, `portable`, or the number of its serializer."""
        number = _type_of(self.data)
        return TYPE_NAMES.get(number, f"type {number}")


@dataclass(frozen=True)
class ByteArray:
    """A `byte[]`, kept serialized, as it is sent and compared: a scan may be large, and is not to be copied."""

    data: Data

    @classmethod
    def of(cls, *pieces: Buffer) -> Self:
        """One made of `pieces`, with a single copy. (The client would make three of a bytearray.)"""
        header = HEADER.pack(0, BYTE_ARRAY, sum(map(len, pieces)))
        return cls(Data(bytearray().join([header, *pieces])))  # type: ignore[no-untyped-call]

    @property
    def content(self) -> memoryview:
        """Its bytes."""
        return memoryview(self.data.buffer)[CONTENT_OFFSET:]

    def consists_of(self, *pieces: Buffer) -> bool:
        """Whether it is made of these pieces, which are not joined for it."""
        at = CONTENT_OFFSET
        for piece in pieces:
            if not self.data.buffer.startswith(piece, at):
                return False
            at += len(piece)
        return at == len(self.data.buffer)


MapValue: TypeAlias = ByteArray | HazelcastJsonValue | Foreign


def read_value(data: Data | None) -> MapValue | None:
    """What a key of a map holds: a ByteArray, JSON, or Foreign; None for nothing."""
    if data is None or (kind := _type_of(data)) == NULL:
        return None
    length, content = data.buffer[DATA_OFFSET:CONTENT_OFFSET], memoryview(data.buffer)[CONTENT_OFFSET:]
    if length == len(content).to_bytes(4):
        if kind == BYTE_ARRAY:
            return ByteArray(data)
        if kind == JSON:
            with contextlib.suppress(UnicodeDecodeError):
                return HazelcastJsonValue(str(content, "utf-8"))
    return Foreign(data)


def read_key(found: object) -> str | None:
    """A key as maps give it: to `read_value` a string is foreign, since no value of a bridge is one."""
    if isinstance(found, Foreign) and _type_of(found.data) == STRING:
        with contextlib.suppress(UnicodeDecodeError):
            return str(memoryview(found.data.buffer)[CONTENT_OFFSET:], "utf-8")
    return None


def _type_of(data: Data) -> int:
    return int(data.get_type())  # type: ignore[no-untyped-call]


def _host_port(address: Address) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


class CannotConnect(Exception):
    """No member let us in. The text says why in one line: the reason that all have in common, or that of each."""

    def __init__(self, reasons: Mapping[str, BaseException]) -> None:
        """`reasons` by address."""
        texts = {address: one_line(reason) for address, reason in reasons.items()}
        differ = len(set(texts.values())) > 1
        listed = [f"{address}: {text}" for address, text in texts.items()] if differ else list(texts.values())[:1]
        super().__init__("; ".join(listed))
        self.refused = any(is_refusal(reason) for reason in reasons.values())


class _Loop:
    """The running event loop, but for how it opens connections: see `tcp.connect`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connect_timeout_s: float) -> None:
        self._loop = loop
        self._connect_timeout_s = connect_timeout_s
        self._opening: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, protocol: Any, host: str, port: int, **tls: Any) -> Any:
        """As the loop's own, each part of it within the deadline."""
        task = asyncio.current_task()
        assert task is not None
        self._opening.add(task)
        try:
            opened = await tcp.connect(host, port, self._connect_timeout_s)
            if tls.get("ssl") is not None:
                tls["ssl_handshake_timeout"] = self._connect_timeout_s
            return await self._loop.create_connection(protocol, sock=opened, **tls)
        finally:
            self._opening.discard(task)

    def give_up(self) -> None:
        """End what is not open yet."""
        for task in self._opening:
            task.cancel()


class _Connections(ConnectionManager):
    """Asks all members at once, and each with a deadline: one that cannot be reached does not keep us from the others.

    The original asks one after the other; and one that accepts but does not answer, for ever.
    """

    connect_timeout_s: float

    async def _connect_to_cluster(self) -> None:
        """Return when the first member let us in; the others may follow."""
        primary, secondary = await self._address_provider.load_addresses()
        attempts = {_host_port(address): self._attempt(address) for address in [*primary, *secondary]}
        try:
            await tcp.first_success(attempts.values())
        except Exception as error:
            reasons = {address: attempt.exception() or error for address, attempt in attempts.items()}
            raise CannotConnect(reasons) from error

    def _attempt(self, address: Address) -> asyncio.Task[Connection]:
        attempt = asyncio.create_task(self._get_or_connect_to_address(address))  # type: ignore[no-untyped-call]
        self._tasks.add(attempt)  # the loop itself does not keep it
        attempt.add_done_callback(self._tasks.discard)
        attempt.add_done_callback(lambda done: done.cancelled() or done.exception())  # it need not be asked for
        return attempt

    def _authenticate(self, connection: Connection) -> asyncio.Future[Any]:
        return asyncio.create_task(self._within_deadline(super()._authenticate(connection)))

    async def _within_deadline(self, answer: asyncio.Future[Any]) -> Any:
        # Given up, not cancelled: an answer to a cancelled call would break the connection.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.wait({answer}, timeout=self.connect_timeout_s)
        if not answer.done():
            raise TimeoutError(f"no answer within {self.connect_timeout_s:g} s")
        return answer.result()

    async def _shutdown_client(self) -> None:
        """Nothing: whoever owns the client ends it.

        The original shuts the client down at the loss of its last connection, even in the midst of a shutdown, which
        then waits for itself for ever.
        """


class Client(HazelcastClient):
    """A client that reads no foreign value, and leaves reconnecting and its end to its owner."""

    def __init__(self, config: Config, connect_timeout_s: float, cleaning_s: float) -> None:
        """Prepare, but do not connect.

        Args:
            config: of the client; what it has about timeouts of connections is not used.
            connect_timeout_s: deadline for a member to accept a connection, and again to let us in.
            cleaning_s: how often it looks for calls whose connection is gone. (The original looks ten times a second:
                most of what an idle bridge would cost.)
        """
        config.connection_timeout = 0  # no timer of the client's own
        config.async_start = True  # not to wait for members that it learns of
        super().__init__(config)
        self._connection_manager.__class__ = _Connections
        self._connection_manager.connect_timeout_s = connect_timeout_s  # type: ignore[attr-defined]
        self._reactor.__class__ = Reactor
        self._opener = _Loop(self._reactor._loop, connect_timeout_s)
        self._reactor._loop = self._opener  # type: ignore[assignment]
        self._invocation_service._CLEAN_RESOURCES_PERIOD = cleaning_s
        self._serialization_service.to_object = read_value  # type: ignore[method-assign]

    async def start(self) -> None:
        """Connect. (`create_and_start` would leak its sockets and tasks when it is cancelled; `shutdown` ends them.)

        Raises:
            CannotConnect: no member let us in.
        """
        await self._start()  # type: ignore[no-untyped-call]

    async def shutdown(self) -> None:
        """End it, attempts to connect included."""
        self._opener.give_up()
        await super().shutdown()

    async def open_map(self, name: str) -> Map[str, Any]:
        """The map, whose values are read by `read_value` alone."""
        opened: Map[str, Any] = await self.get_map(name)
        if opened._to_object is not read_value:
            raise incompatible("Map._to_object")
        return opened

    @property
    def member_addresses(self) -> tuple[str, ...]:
        """Where the cluster says that its members are, `host:port`."""
        members = self.cluster_service.get_members()
        return tuple(_host_port(member.address) for member in members)


# What is overridden or set above: whose it is, which function of theirs uses it, its name.
PRIVATE_NAMES: tuple[tuple[type, str, str], ...] = (
    (HazelcastClient, "create_and_start", "_start"),
    (HazelcastClient, "__init__", "_connection_manager"),
    (HazelcastClient, "__init__", "_invocation_service"),
    (HazelcastClient, "__init__", "_serialization_service"),
    (HazelcastClient, "__init__", "_reactor"),
    (AsyncioReactor, "__init__", "_loop"),
    (AsyncioReactor, "connection_factory", "_loop"),
    (AsyncioConnection, "_create_connection", "create_connection"),
    (ConnectionManager, "start", "_connect_to_cluster"),
    (ConnectionManager, "__init__", "_tasks"),
    (ConnectionManager, "__init__", "_address_provider"),
    (ConnectionManager, "_sync_connect_to_cluster", "_get_or_connect_to_address"),
    (ConnectionManager, "_get_or_connect_to_address", "_authenticate"),
    (ConnectionManager, "_get_or_connect_to_member", "_authenticate"),
    (ConnectionManager, "_trigger_cluster_reconnection", "_shutdown_client"),
    (InvocationService, "_start_clean_resources_timer", "_CLEAN_RESOURCES_PERIOD"),
    (Proxy, "__init__", "to_object"),
    (Proxy, "__init__", "_to_object"),
    (Map, "_get_internal", "_to_object"),
)


require(PRIVATE_NAMES)
