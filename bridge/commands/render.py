"""A scan as text: JSON lines or CSV for programs, a table for people.

Whatever type a column has, its values come out exactly, or an error does; never rounded, never cut without a mark.
What a scan holds is foreign: nothing in it may command a terminal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from rich.table import Column, Table
from rich.text import Text

from bridge.model.order import printable

TABLE_ROWS = 20
CELL_LENGTH = 40

# What `pyarrow.csv` writes as it is.
_CSV_TYPES = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_null,
)


def json_lines(scan: pa.Table) -> Iterator[bytes]:
    """A line for each row. Binary is hexadecimal; decimals, dates and times are text, as NaN and Infinity are.

    Raises:
        pa.ArrowException, ValueError, OverflowError: a column has values that cannot be told in JSON.
    """
    for batch in scan.to_batches():
        for row in zip(*map(_values, batch.columns), strict=True):
            line = json.dumps(dict(zip(batch.schema.names, row, strict=True)), ensure_ascii=False)
            yield line.encode(errors="backslashreplace") + b"\n"


def csv(scan: pa.Table) -> bytes:
    """A line for each row, below one with the names. Lists and the like, which CSV does not know, are JSON text.

    Raises:
        pa.ArrowException, ValueError, OverflowError: a column has values that cannot be told in CSV.
    """
    import pyarrow.csv

    sink = pa.BufferOutputStream()
    columns = [pa.chunked_array([_flat(chunk) for chunk in _chunks(column)]) for column in scan.columns]
    pyarrow.csv.write_csv(pa.table(columns, names=scan.column_names), sink)
    return sink.getvalue().to_pybytes()


def table(scan: pa.Table) -> Table:
    """The first rows, as a table of rich.

    Raises:
        pa.ArrowException, ValueError, OverflowError: a column has values that cannot be told.
    """
    view = Table(*(Column(Text(_short(name))) for name in scan.column_names))
    for batch in scan.slice(0, TABLE_ROWS).to_batches():
        for row in zip(*map(_values, batch.columns), strict=True):
            view.add_row(*(Text(_short(cell)) for cell in row))
    return view


def _values(column: pa.Array[Any]) -> list[Any]:
    """The values as JSON knows them."""
    readable = _readable(column.type)
    return [_plain(value) for value in (column if readable is None else column.cast(readable)).to_pylist()]


def _readable(type_: Any) -> Any:
    """What to cast a type to first, at any depth; None: nothing. Python's own times have no nanoseconds."""
    if pa.types.is_duration(type_):
        return pa.int64()
    if pa.types.is_temporal(type_) and not pa.types.is_interval(type_):
        return pa.string()
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        item = _readable(type_.value_type)
        if item is None:
            return None
        if pa.types.is_fixed_size_list(type_):
            return pa.list_(item, type_.list_size)
        return pa.list_(item) if pa.types.is_list(type_) else pa.large_list(item)
    if pa.types.is_struct(type_):
        fields = [(field, _readable(field.type)) for field in type_]
        if any(readable is not None for _, readable in fields):
            return pa.struct([field if readable is None else field.with_type(readable) for field, readable in fields])
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)


def _chunks(column: pa.ChunkedArray[Any]) -> list[pa.Array[Any]]:
    return column.chunks or [pa.array([], column.type)]


def _flat(column: pa.Array[Any]) -> pa.Array[Any]:
    """The column as CSV can have it."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if any(is_type(column.type) for is_type in _CSV_TYPES):
        return column
    if pa.types.is_duration(column.type):
        return column.cast(pa.int64())
    values = (
        None if value is None else value if isinstance(value, str) else json.dumps(value) for value in _values(column)
    )
    return pa.array(values, pa.string())


def _short(cell: Any) -> str:
    text = f"{cell:.6g}" if isinstance(cell, float) else printable(str(cell))
    return text if len(text) <= CELL_LENGTH else text[: CELL_LENGTH - 1] + "…"
