"""What stands in the map, read: one function for each form a bridge writes. Never trusts what it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
from hazelcast.core import HazelcastJsonValue

from bridge.cluster.hazelcast_client import ByteArray, Foreign
from bridge.model.provenance import PREFIX, Provenance


class NotAScan(Exception):
    """The value is none that a bridge wrote. The message says what it is, in one line."""


@dataclass(frozen=True)
class Opened:
    """A value of which only the head was read so far: enough to see whether it is wanted."""

    provenance: Provenance
    read: Callable[[], pa.Table]


def open_value(value: object) -> Opened:
    """Open a value of either form.

    Raises:
        NotAScan: no bridge wrote it. `read` raises it as well.
    """
    if isinstance(value, ByteArray):
        return _open_arrow(value.content)
    if isinstance(value, HazelcastJsonValue):
        return _open_json(value.to_string())
    kind = value.type_name if isinstance(value, Foreign) else type(value).__name__
    raise NotAScan(f"a value that no bridge wrote ({kind})")


def _open_arrow(value: memoryview) -> Opened:
    """`hazelcast.value = "arrow"`: an IPC stream, its provenance in the schema's metadata."""
    try:
        stream = pa.ipc.open_stream(pa.py_buffer(value))
    except (pa.ArrowException, OSError) as error:
        raise NotAScan(f"not an Arrow stream: {_one_line(error)}") from error
    metadata = stream.schema.metadata or {}
    given = {
        PREFIX + field.name: metadata[key].decode(errors="surrogateescape")
        for field in fields(Provenance)
        if (key := (PREFIX + field.name).encode()) in metadata
    }

    def read() -> pa.Table:
        try:
            return stream.read_all()
        except (pa.ArrowException, OSError) as error:
            raise NotAScan(f"not a whole Arrow stream: {_one_line(error)}") from error

    return Opened(_provenance(given), read)


def _open_json(text: str) -> Opened:
    """`hazelcast.value = "json"`: `{"scan_bridge": {…provenance…}, "columns": {name: [values…]}}`."""
    try:
        document = json.loads(text)
        given = {PREFIX + name: str(value) for name, value in document["scan_bridge"].items()}
        columns = document["columns"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotAScan(f"not the JSON of a scan: {_one_line(error)}") from error
    provenance = _provenance(given)

    def read() -> pa.Table:
        try:
            table = pa.table({name: _column(values) for name, values in columns.items()})
            return table.replace_schema_metadata(
                {name: text.encode(errors="surrogateescape") for name, text in given.items()}
            )
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise NotAScan(f"not the columns of a scan: {_one_line(error)}") from error

    return Opened(provenance, read)


def _column(values: list[Any]) -> Any:
    try:
        return pa.array(values)
    except OverflowError:  # pyarrow guesses no other integers than those of 64 bits with a sign
        if all(value is None or type(value) is int for value in values):
            return pa.array(values, pa.uint64())
        raise


def _provenance(given: dict[str, str]) -> Provenance:
    provenance = Provenance.from_metadata(given)
    if provenance is None:
        raise NotAScan("a scan that no bridge wrote")
    return provenance


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
