"""How requests go out: as the client sends them, but without copies of a scan. Private names as in hazelcast_client.py.

The client's own way holds twelve copies of a large scan at once, and keeps a buffer as large as the largest request
ever was.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from typing import Any, TypeAlias

from hazelcast.asyncio import Map
from hazelcast.core import HazelcastJsonValue
from hazelcast.internal.asyncio_connection import ConnectionManager
from hazelcast.internal.asyncio_proxy.base import Proxy, task_id
from hazelcast.internal.asyncio_reactor import AsyncioConnection, AsyncioReactor, HazelcastProtocol
from hazelcast.protocol.client_message import OutboundMessage
from hazelcast.protocol.codec import map_put_if_absent_codec, map_replace_if_same_codec
from hazelcast.serialization.data import Data

from bridge.cluster.private_names import require

Buffer: TypeAlias = bytes | bytearray | memoryview
Serializable: TypeAlias = Data | HazelcastJsonValue

# Handed to the socket at once; what it does not take is copied. A usual scan, old and new, goes out in one.
MOST_AT_ONCE = 1024**2
PART_HEADER = struct.Struct("<iH")  # of each part of a message: its size, this header included, and flags
NOTHING = Data(b"")  # type: ignore[no-untyped-call]


class _Protocol(HazelcastProtocol):
    """Hands requests to the socket piece by piece, as it takes them."""

    def __init__(self, conn: AsyncioConnection) -> None:
        super().__init__(conn)
        self._unsent: deque[memoryview] = deque()
        self._paused = False

    def write(self, buf: Buffer) -> None:
        self._unsent.append(memoryview(buf))
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._conn._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        self.flush()

    def flush(self) -> None:
        """Send what waits now, not in the loop's next turn."""
        while self._unsent and not self._paused:
            pieces = self._next_pieces()
            self._transport.writelines(pieces)  # type: ignore[union-attr]
            self._conn._update_write_time(time.time())  # type: ignore[no-untyped-call]
            self._conn._update_sent(sum(map(len, pieces)))  # type: ignore[no-untyped-call]

    def _next_pieces(self) -> list[memoryview]:
        """What is next to be sent, MOST_AT_ONCE bytes at most."""
        pieces, room = [], MOST_AT_ONCE
        while self._unsent and room:
            piece = self._unsent.popleft()
            if len(piece) > room:
                self._unsent.appendleft(piece[room:])
            pieces.append(piece[:room])
            room -= len(pieces[-1])
        return pieces

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()


class Request(OutboundMessage):
    """A request whose last parts lie elsewhere."""

    __slots__ = ("rest",)
    rest: tuple[Buffer, ...]


class _Connection(AsyncioConnection):
    def _create_protocol(self) -> _Protocol:
        return _Protocol(self)

    def send_message(self, message: OutboundMessage) -> bool:
        """As the original, and the rest of ours."""
        sent: bool = super().send_message(message)  # type: ignore[no-untyped-call]
        if sent and isinstance(message, Request):
            for part in message.rest:
                self._write(part)  # type: ignore[no-untyped-call]
            if self._proto is not None:
                self._proto.flush()
        return sent


class Reactor(AsyncioReactor):
    """Makes connections that send as said above."""

    def connection_factory(self, *arguments: Any) -> _Connection:
        """As the original, but one of ours."""
        made: _Connection = _Connection.create_and_connect(self._loop, self, *arguments)
        return made


def replace_if_same(map_: Map[str, Any], key: str, expected: Serializable, value: Serializable) -> asyncio.Future[bool]:
    """As the map's own, without a copy of what is serialized already, and under way when this returns."""
    key_data, old, new = (map_._to_data(item) for item in (key, expected, value))
    request = replace_request(map_.name, key_data, old, new)
    partition = map_._partition_service.get_partition_id(key_data)
    return map_._invoke_on_partition(request, partition, map_replace_if_same_codec.decode_response)


def replace_request(map_name: str, key: Data, old: Data, new: Data) -> Request:
    """What the client's own codec makes of it, in parts."""
    whole = map_replace_if_same_codec.encode_request(map_name, key, NOTHING, NOTHING, task_id())  # type: ignore[no-untyped-call]
    return _in_parts(whole, old, new)


async def put_if_absent(map_: Map[str, Any], key: str, value: Serializable, ttl_s: float) -> Any:
    """As the map's own, without a copy of what is serialized already; what was there before, None for nothing."""
    key_data, value_data = map_._to_data(key), map_._to_data(value)

    def answer(message: Any) -> Any:
        return map_._to_object(map_put_if_absent_codec.decode_response(message))  # type: ignore[no-untyped-call]

    return await map_._invoke_on_key(put_request(map_.name, key_data, value_data, ttl_s), key_data, answer)


def put_request(map_name: str, key: Data, value: Data, ttl_s: float) -> Request:
    """What the client's own codec makes of it, in parts."""
    ttl_ms = int(ttl_s * 1000)
    whole = map_put_if_absent_codec.encode_request(map_name, key, NOTHING, task_id(), ttl_ms)  # type: ignore[no-untyped-call]
    return _in_parts(whole, value)


def _in_parts(whole: OutboundMessage, *values: Data) -> Request:
    """A request that ends with so many times NOTHING, with the values in their place."""
    at = len(whole.buf) - len(values) * PART_HEADER.size
    headers = [
        PART_HEADER.pack(PART_HEADER.size + len(data.buffer), flags)
        for data, (_, flags) in zip(values, PART_HEADER.iter_unpack(whole.buf[at:]), strict=True)
    ]
    request = Request(whole.buf[:at] + headers[0], whole.retryable, whole.contains_data)  # type: ignore[no-untyped-call]
    parts = [part for header, data in zip(headers, values, strict=True) for part in (header, data.buffer)]
    request.rest = tuple(parts[1:])
    return request


PRIVATE_NAMES: tuple[tuple[type, str, str], ...] = (
    (ConnectionManager, "_create_connection", "connection_factory"),
    (AsyncioReactor, "connection_factory", "create_and_connect"),
    (AsyncioConnection, "_create_connection", "_create_protocol"),
    (AsyncioConnection, "_write", "write"),
    (AsyncioConnection, "send_message", "_write"),
    (AsyncioConnection, "_write", "_proto"),
    (HazelcastProtocol, "connection_made", "_transport"),
    (HazelcastProtocol, "write", "_flush_scheduled"),
    (HazelcastProtocol, "write", "_flush"),
    (HazelcastProtocol, "_do_write", "_update_write_time"),
    (HazelcastProtocol, "_do_write", "_update_sent"),
    (Map, "replace_if_same", "_to_data"),
    (Proxy, "_invoke_on_key", "_partition_service"),
    (Proxy, "_invoke_on_key", "get_partition_id"),
    (Proxy, "_ainvoke_on_partition", "_invoke_on_partition"),
    (Map, "_replace_if_same_internal", "encode_request"),
    (Map, "_put_if_absent_internal", "_to_object"),
    (Map, "_put_if_absent_internal", "encode_request"),
)
require(PRIVATE_NAMES)
