"""A scan as JSON, for consumers without Arrow: one object with a list of values for each column.

What JSON has no word for: NaN and infinities are null; 64-bit integers are exact, as JSON's numbers are (who reads
them as doubles loses that); decimals are text; timestamps, dates and times are ISO 8601, with all their digits;
what no calendar has (the largest 64-bit integer as a timestamp in seconds) is null; durations are integers, in the
column's own unit; binary is base64; lists are lists, structs objects, maps lists of {"key": …, "value": …}.
Dictionaries are decoded. Of columns of one name, the later ones are numbered: `x`, `x.2`.

A small scan can be endless text (dictionaries, runs and views repeat what they hold once), so no more is made than
MOST_BYTES, and nothing is expanded before it was counted.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from bridge.arrow.json_head import HEAD, MOST_BYTES
from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import ArrowScan

Array: TypeAlias = Any  # a pyarrow.Array of any type
NULL = "null"
# So many values are told at once: meanwhile no other thread gets on, and each takes ten times as much as in the scan.
AT_ONCE = 1000


def document(columns_text: str, provenance: Mapping[str, Any]) -> str:
    """`{"scan_bridge": {…provenance…}, "columns": {name: [values…]}}`, in ASCII, of what `columns` made."""
    return f'{HEAD}{json.dumps(provenance, separators=(",", ":"))},"columns":{columns_text}}}'


def columns(scan: ArrowScan, most_bytes: int = MOST_BYTES) -> str:
    """`{name: [values…]}`, in ASCII.

    Takes many times the scan's size in memory, and long: not for an event loop.

    Raises:
        InvalidScan: it would take more than `most_bytes`, or a value is not what its type says (text that is not
            UTF-8), so JSON cannot tell it.
    """
    try:
        # Its metadata is of no interest; what parse() has verified is read.
        table = pa.ipc.open_stream(pa.py_buffer(b"".join(scan.with_metadata({})))).read_all()
        return "".join(["{", *_Columns(most_bytes).pieces(table), "}"])
    except (pa.ArrowException, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise InvalidScan.because(f"cannot be told as JSON: {error or type(error).__name__}") from error


class _Columns:
    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._spent = 0

    def pieces(self, table: Any) -> Iterator[str]:
        """`"name":[values…]`, one after the other, in pieces."""
        for number, (name, column) in enumerate(zip(_free_names(table.column_names), table.columns, strict=True)):
            yield f"{',' if number else ''}{quoted(name)}:["
            between = ""
            for chunk in column.chunks:
                for part in _slices(chunk):
                    yield between + ",".join(self._texts(part))
                    between = ","
            yield "]"

    def _spend(self, texts: list[str]) -> list[str]:
        self._spend_bytes(sum(map(len, texts)) + len(texts))
        return texts

    def _spend_bytes(self, count: int) -> None:
        self._spent += count
        if self._spent > self._most:
            raise ValueError(f"it takes more than {self._most} bytes")

    def _texts(self, array: Array) -> list[str]:
        """Each value as JSON. `array` is short."""
        type_ = array.type
        if isinstance(type_, pa.BaseExtensionType):
            return self._texts(array.storage)
        for is_type, method in _NESTED:
            if is_type(type_):
                texts = method(self, array)
                return (
                    [text if valid else NULL for text, valid in zip(texts, array.is_valid().to_pylist(), strict=True)]
                    if array.null_count
                    else texts
                )
        if pa.types.is_dictionary(type_):
            return self._dictionary(array)
        if pa.types.is_run_end_encoded(type_):
            return self._runs(array)
        if pa.types.is_union(type_):
            return [self._texts(pa.repeat(scalar.value, 1))[0] if scalar.is_valid else NULL for scalar in array]
        if type_ in (pa.string_view(), pa.binary_view()):  # views may overlap
            return [self._spend(_leaf_texts(pa.repeat(scalar, 1)))[0] for scalar in array]
        return self._spend(_leaf_texts(array))

    def _dictionary(self, array: Array) -> list[str]:
        used = pc.unique(array.indices).drop_null()
        known = dict(zip(used.to_pylist(), self._texts(array.dictionary.take(used)), strict=True))
        return self._spend([NULL if index is None else known[index] for index in array.indices.to_pylist()])

    def _runs(self, array: Array) -> list[str]:
        first, count = array.find_physical_offset(), array.find_physical_length()
        ends = array.run_ends.slice(first, count).to_pylist()
        at, end_of_all = array.offset, array.offset + len(array)
        texts: list[str] = []
        for text, end in zip(self._texts(array.values.slice(first, count)), ends, strict=True):
            texts += [text] * (min(end, end_of_all) - at)
            at = end
        return self._spend(texts)

    def _lists(self, array: Array) -> list[str]:
        offsets = array.offsets.to_pylist()
        return self._ranges(array.values, list(pairwise(offsets)))

    def _fixed_size_lists(self, array: Array) -> list[str]:
        size, first = array.type.list_size, array.offset
        starts = [(first + row) * size for row in range(len(array))]
        return self._ranges(array.values, [(start, start + size) for start in starts])

    def _list_views(self, array: Array) -> list[str]:
        starts, sizes = array.offsets.to_pylist(), array.sizes.to_pylist()
        return [self._range(array.values, start, start + size) for start, size in zip(starts, sizes, strict=True)]

    def _ranges(self, items: Array, ranges: list[tuple[int, int]]) -> list[str]:
        """A list for each range; they follow each other."""
        if not ranges:
            return []
        first, end = ranges[0][0], ranges[-1][1]
        if end - first > 4 * AT_ONCE:
            return [self._range(items, start, stop) for start, stop in ranges]
        self._spend_bytes(2 * len(ranges))
        texts = self._texts(items.slice(first, end - first))
        return [f"[{','.join(texts[start - first : stop - first])}]" for start, stop in ranges]

    def _range(self, items: Array, start: int, stop: int) -> str:
        self._spend_bytes(2)
        return f"[{','.join(','.join(self._texts(part)) for part in _slices(items.slice(start, stop - start)))}]"

    def _maps(self, array: Array) -> list[str]:
        offsets = array.offsets.to_pylist()
        first, count = offsets[0], offsets[-1] - offsets[0]
        keys, items = (self._texts(part.slice(first, count)) for part in (array.keys, array.items))
        entries = self._spend([f'{{"key":{key},"value":{item}}}' for key, item in zip(keys, items, strict=True)])
        return [f"[{','.join(entries[start - first : stop - first])}]" for start, stop in pairwise(offsets)]

    def _structs(self, array: Array) -> list[str]:
        names = _free_names([field.name for field in array.type])
        if not names:
            return self._spend(["{}"] * len(array))
        labels = [f"{quoted(name)}:" for name in names]
        self._spend_bytes(len(array) * (sum(map(len, labels)) + 2))
        members = [self._texts(array.field(number)) for number in range(len(names))]
        return [f"{{{','.join(map(str.__add__, labels, row))}}}" for row in zip(*members, strict=True)]


_NESTED: tuple[tuple[Callable[[Any], bool], Callable[[_Columns, Array], list[str]]], ...] = (
    (pa.types.is_map, _Columns._maps),
    (pa.types.is_list, _Columns._lists),
    (pa.types.is_large_list, _Columns._lists),
    (pa.types.is_fixed_size_list, _Columns._fixed_size_lists),
    (pa.types.is_list_view, _Columns._list_views),
    (pa.types.is_large_list_view, _Columns._list_views),
    (pa.types.is_struct, _Columns._structs),
)


def _slices(array: Array) -> Iterator[Array]:
    return (array.slice(start, AT_ONCE) for start in range(0, len(array), AT_ONCE))


def _leaf_texts(array: Array) -> list[str]:
    """Each value of a type that is not nested."""
    type_ = array.type
    if pa.types.is_floating(type_):
        values = (array.cast(pa.float32()) if pa.types.is_float16(type_) else array).to_pylist()
        return [repr(value) if value is not None and value - value == 0 else NULL for value in values]  # NaN - NaN
    if pa.types.is_duration(type_):
        array = array.cast(pa.int64())
    elif pa.types.is_timestamp(type_):
        return _timestamps(array)
    elif pa.types.is_date(type_) or pa.types.is_time(type_):
        return [NULL if value is None else f'"{value}"' for value in _told(array)]
    return [NULL if value is None else _text(value) for value in array.to_pylist()]


def _timestamps(array: Array) -> list[str]:
    """ISO 8601, with as many digits as the unit has; with a time zone in UTC, which is how Arrow keeps them."""
    zone = "Z" if array.type.tz else ""
    values = _told(array.view(pa.timestamp(array.type.unit)))
    return [NULL if value is None else f'"{value.replace(" ", "T", 1)}{zone}"' for value in values]


def _told(array: Array) -> list[str | None]:
    """Each date or time as text; None where no calendar or day has it, for which pyarrow has words of its own."""
    values: list[str | None] = array.cast(pa.string()).to_pylist()
    return [None if value is None or value.startswith("<") else value for value in values]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bytes):
        return f'"{b64encode(value).decode()}"'
    if isinstance(value, pa.MonthDayNano):
        return f'{{"months":{value.months},"days":{value.days},"nanoseconds":{value.nanoseconds}}}'
    return f'"{value:f}"'  # a decimal


def _free_names(names: Iterator[str] | list[str]) -> list[str]:
    """The names, the later ones of the same numbered."""
    taken: dict[str, None] = {}
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}.{number}"
        taken[free] = None
    return list(taken)
