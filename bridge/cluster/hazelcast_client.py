"""The Hazelcast client as this project needs it: the one place that touches private names of hazelcast-python-client.

Each of them is checked when this module is imported, so that a version that renamed one is refused at once
(pyproject.toml pins the minor version). Nothing that the cluster holds may become an object here but `byte[]` and JSON:
a pickle would run whatever code it names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, TypeAlias

from hazelcast import __version__
from hazelcast.asyncio import HazelcastClient, Map
from hazelcast.config import Config
from hazelcast.core import HazelcastJsonValue
from hazelcast.internal.asyncio_connection import ConnectionManager
from hazelcast.internal.asyncio_invocation import InvocationService
from hazelcast.internal.asyncio_proxy.base import Proxy
from hazelcast.serialization import serialization_const
from hazelcast.serialization.data import DATA_OFFSET, Data

BYTE_ARRAY: int = serialization_const.CONSTANT_TYPE_BYTE_ARRAY
JSON: int = serialization_const.JAVASCRIPT_JSON_SERIALIZATION_TYPE
STRING: int = serialization_const.CONSTANT_TYPE_STRING
NULL: int = serialization_const.CONSTANT_TYPE_NULL
TYPE_NAMES: dict[int, str] = {
    number: name.partition("TYPE_")[2].replace("_", " ").lower()
    for name, number in vars(serialization_const).items()
    if "TYPE_" in name
}
CONTENT_OFFSET = DATA_OFFSET + 4  # behind the length


@dataclass(frozen=True)
class Foreign:
    """A value that no bridge can have written: not read, but kept, so that it can be replaced by compare-and-set."""

    data: Data

    @property
    def type_name(self) -> str:
        """What it is, in Hazelcast's words: `string`, `pickle`, `portable`, or the number of its serializer."""
        number = _type_of(self.data)
        return TYPE_NAMES.get(number, f"type {number}")


MapValue: TypeAlias = bytearray | HazelcastJsonValue | Foreign


def read_value(data: Data | None) -> MapValue | None:
    """What a key of a map holds: `byte[]` as bytearray, JSON, or Foreign; None for nothing."""
    if data is None or (kind := _type_of(data)) == NULL:
        return None
    length, content = data.buffer[DATA_OFFSET:CONTENT_OFFSET], memoryview(data.buffer)[CONTENT_OFFSET:]
    if length == len(content).to_bytes(4):
        if kind == BYTE_ARRAY:
            return bytearray(content)
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


class _Connections(ConnectionManager):
    async def _shutdown_client(self) -> None:
        """Nothing. The original shuts the client down at the loss of its last connection, even in the midst of a
        shutdown, which then waits for itself for ever; whoever owns the client ends it.
        """


class Client(HazelcastClient):
    """A client that reads no foreign value, and leaves reconnecting and its end to its owner."""

    def __init__(self, config: Config, cleaning_s: float) -> None:
        """`cleaning_s`: how often it looks for calls whose connection or backup acknowledgement is gone.

        The original looks ten times a second: most of what an idle bridge would cost.
        """
        super().__init__(config)
        self._connection_manager.__class__ = _Connections
        self._invocation_service._CLEAN_RESOURCES_PERIOD = cleaning_s
        self._serialization_service.to_object = read_value  # type: ignore[method-assign]

    async def start(self) -> None:
        """Connect. (`create_and_start` would leak its sockets and tasks when it is cancelled; `shutdown` ends them.)"""
        await self._start()  # type: ignore[no-untyped-call]

    async def open_map(self, name: str) -> Map[str, Any]:
        """The map, whose values are read by `read_value` alone."""
        opened: Map[str, Any] = await self.get_map(name)
        if opened._to_object is not read_value:
            raise _incompatible("Map._to_object")
        return opened


def _incompatible(name: str) -> ImportError:
    return ImportError(
        f"hazelcast-python-client {__version__} does not use {name} as scan-bridge expects; "
        "install the version that pyproject.toml asks for"
    )


# What is overridden or set above: whose it is, which function of theirs uses it, its name.
PRIVATE_NAMES: tuple[tuple[type, str, str], ...] = (
    (HazelcastClient, "create_and_start", "_start"),
    (HazelcastClient, "__init__", "_connection_manager"),
    (HazelcastClient, "__init__", "_invocation_service"),
    (HazelcastClient, "__init__", "_serialization_service"),
    (ConnectionManager, "_trigger_cluster_reconnection", "_shutdown_client"),
    (InvocationService, "_start_clean_resources_timer", "_CLEAN_RESOURCES_PERIOD"),
    (Proxy, "__init__", "to_object"),
    (Proxy, "__init__", "_to_object"),
    (Map, "_get_internal", "_to_object"),
)


def require(names: tuple[tuple[type, str, str], ...]) -> None:
    """Raises ImportError if one of these functions is not there or does not use the name that stands with it."""
    for owner, function, name in names:
        code = getattr(getattr(owner, function, None), "__code__", None)
        if code is None or name not in _names_in(code):
            raise _incompatible(f"{name} in {owner.__name__}.{function}")


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


require(PRIVATE_NAMES)
