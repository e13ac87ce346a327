"""A scan as JSON, for consumers without Arrow: one object with a list of values for each column.

What JSON has no word for: NaN and infinities are null; 64-bit integers are exact, as JSON's numbers are (who reads
them as doubles loses that); decimals are text; timestamps, dates and times are ISO 8601, with all their digits;
durations are integers, in the column's own unit; binary is base64; lists are lists, structs objects, maps lists of
[key, value]. Dictionaries are decoded. Of columns of one name, the later ones are numbered: `x`, `x.2`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bridge.arrow.json_head import HEAD
from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import Scan

# Rows that are told at once: meanwhile no other thread gets on.
AT_ONCE = 1000

_types = pa.types
_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def text(scan: Scan, provenance: Mapping[str, Any]) -> str:
    """`{"scan_bridge": {…provenance…}, "columns": {name: [values…]}}`, in ASCII.

    Takes many times the scan's size in memory, and long: not for an event loop.

    Raises:
        InvalidScan: a value is not what its type says (text that is not UTF-8), so JSON cannot tell it.
    """
    head = f'{HEAD}{_dump(provenance)},"columns":{{'
    try:
        return head + ",".join(_columns(scan)) + "}}"
    except (pa.ArrowException, ValueError, OverflowError, RecursionError) as error:
        raise InvalidScan.because(f"cannot be told as JSON: {error}") from error


def _columns(scan: Scan) -> Iterator[str]:
    """`"name":[values…]`, one after the other."""
    # Its metadata is of no interest; what parse() has verified is read.
    table = pa.ipc.open_stream(pa.py_buffer(b"".join(scan.with_metadata({})))).read_all()
    taken: dict[str, None] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        taken[free := _free(name, taken)] = None
        slices = (chunk.slice(at, AT_ONCE) for chunk in column.chunks for at in range(0, len(chunk), AT_ONCE))
        yield f"{_dump(free)}:[{','.join(_dump(_values(piece))[1:-1] for piece in slices)}]"


def _free(name: str, taken: Mapping[str, Any]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}.{number}"
    return free


def _values(array: Any) -> list[Any]:
    """The values as JSON knows them, at any depth."""
    type_ = array.type
    if _types.is_dictionary(type_):
        return _values(array.dictionary_decode())
    if _types.is_run_end_encoded(type_):
        return _values(pc.call_function("run_end_decode", [array]))
    if isinstance(type_, pa.BaseExtensionType):
        return _values(array.storage)
    if _types.is_timestamp(type_):
        return _timestamps(array)
    if _types.is_duration(type_):
        return array.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]
    if _types.is_temporal(type_) and not _types.is_interval(type_):
        return array.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    if _types.is_floating(type_):
        return [value if value is not None and math.isfinite(value) else None for value in array.to_pylist()]
    if _types.is_struct(type_):
        return _structs(array)
    if any(is_list(type_) for is_list in _LISTS):
        return _lists(array)
    return [_plain(value) for value in array.to_pylist()]


_LISTS = (
    _types.is_list,
    _types.is_large_list,
    _types.is_fixed_size_list,
    _types.is_list_view,
    _types.is_large_list_view,
)


def _timestamps(array: Any) -> list[Any]:
    zone = "Z" if array.type.tz is not None else ""  # with a zone, Arrow counts in UTC
    naive = array.cast(pa.int64()).cast(pa.timestamp(array.type.unit))
    return pc.strftime(naive, format=f"%Y-%m-%dT%H:%M:%S{zone}").to_pylist()  # type: ignore[no-any-return]


def _lists(array: Any) -> list[Any]:
    items, at = _values(array.flatten()), 0
    lists: list[list[Any] | None] = []
    for length in pc.list_value_length(array).to_pylist():
        if length is None:
            lists.append(None)
        else:
            lists.append(items[at : at + length])
            at += length
    return lists


def _structs(array: Any) -> list[Any]:
    names: dict[str, None] = {}
    for field in array.type:
        names[_free(field.name, names)] = None
    columns = [_values(child) for child in array.flatten()]
    rows = zip(*columns, strict=True) if columns else (() for _ in range(len(array)))
    return [
        dict(zip(names, row, strict=True)) if valid else None
        for valid, row in zip(array.is_valid().to_pylist(), rows, strict=True)
    ]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
