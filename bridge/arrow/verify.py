"""pyarrow's last word: it decodes the very bytes that were read, with a verifier of its own, and must see the same.

It judges structure (what a reader relies on not to crash or misread), not values: other Arrow writers legally
produce values that pyarrow's full validation refuses. (Of pyarrow nothing private is used: `pa.lib.Type_…` are the
values of the documented `DataType.id`.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Set
from typing import Any, NamedTuple

import pyarrow as pa

from bridge.arrow.flatbuffer import Malformed
from bridge.arrow.format import Type
from bridge.arrow.messages import framed
from bridge.arrow.schema import MAX_KEPT_BYTES, Origin, SchemaSource

_OPTIONS = pa.ipc.IpcReadOptions(use_threads=False)

# Types of the same layout that admit any value. pyarrow refuses dates off whole days and times off the day (and
# decimals beyond their precision). Checking the UTF-8 of string views has no bound, because they may overlap.
_ANY_VALUE: dict[int, Any] = {
    pa.lib.Type_DATE64: pa.int64(),
    pa.lib.Type_TIME32: pa.int32(),
    pa.lib.Type_TIME64: pa.int64(),
    pa.lib.Type_STRING_VIEW: pa.binary_view(),
}
_WITH_VALUE_RULES = {Type.DECIMAL, Type.DATE, Type.TIME, Type.UTF8_VIEW}  # all these
# How to make each nested type anew with other children.
_NESTED: dict[int, Callable[[Any, list[Any]], Any]] = {
    pa.lib.Type_LIST: lambda _, children: pa.list_(children[0]),
    pa.lib.Type_LARGE_LIST: lambda _, children: pa.large_list(children[0]),
    pa.lib.Type_LIST_VIEW: lambda _, children: pa.list_view(children[0]),
    pa.lib.Type_LARGE_LIST_VIEW: lambda _, children: pa.large_list_view(children[0]),
    pa.lib.Type_FIXED_SIZE_LIST: lambda type_, children: pa.list_(children[0], type_.list_size),
    pa.lib.Type_STRUCT: lambda _, children: pa.struct(children),
    pa.lib.Type_MAP: lambda _, children: pa.map_(children[0].type.field(0), children[0].type.field(1)),
    pa.lib.Type_SPARSE_UNION: lambda type_, children: pa.sparse_union(children, type_.type_codes),
    pa.lib.Type_DENSE_UNION: lambda type_, children: pa.dense_union(children, type_.type_codes),
    pa.lib.Type_RUN_END_ENCODED: lambda _, children: pa.run_end_encoded(children[0].type, children[1].type),
}


# Schemas that were found the same as pyarrow's, by all that either is read from. Those of one producer are alike, and
# to compare them takes pyarrow as long as to decode a usual scan.
_MATCHED: deque[tuple[bool, Origin, bytes]] = deque(maxlen=2)


class OwnReading(NamedTuple):
    """What our own reader made of a content."""

    is_file: bool
    schema: SchemaSource
    leading_schema: memoryview | None  # that at the head of a file
    types: Set[int]  # those in the schema at any depth, as flatbuffer's Type
    batches: int


def verify(content: memoryview | bytes, own: OwnReading) -> int:
    """Decode the whole file or stream, check each batch in full, and return the number of rows.

    Nothing is copied unless it is compressed or big-endian; one batch and its dictionaries are held at a time.

    Raises:
        Malformed: pyarrow cannot read it, finds it invalid, or does not read the same schema or number of batches.
    """
    rows = batches = 0
    try:
        buffer = pa.py_buffer(content)
        open_: Any = pa.ipc.open_file if own.is_file else pa.ipc.open_stream
        reader = open_(buffer, options=_OPTIONS)
        _require_same_schema(reader, own)
        if own.is_file and reader.num_record_batches != own.batches:
            raise Malformed(f"{own.batches} record batches, where Arrow reads {reader.num_record_batches}")
        layouts = _layouts(reader.schema) if own.types & _WITH_VALUE_RULES else {}
        for batch in _batches(reader, own):
            rows += batch.num_rows
            batches += 1
            for i, layout in layouts.items():
                column = batch.column(i)
                column.validate()  # `view` relies on it
                batch = batch.set_column(i, pa.field("", layout), column.view(layout))
            batch.validate(full=True)
    # Damage shows as ArrowInvalid, OSError or, in a name, UnicodeDecodeError (a ValueError).
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise Malformed(f"not valid Arrow: {error}") from error
    if batches != own.batches:
        raise Malformed(f"{own.batches} record batches, where Arrow reads {batches}")
    return rows


def _require_same_schema(reader: Any, own: OwnReading) -> None:
    """That the schema to be published is the one that pyarrow reads, the footer's metadata added."""
    origin = own.is_file, own.schema.origin, bytes(own.leading_schema or b"")
    if origin in _MATCHED:
        return
    published, theirs = _schema(b"".join(framed(own.schema.extended_message({})))), reader.schema
    if own.leading_schema and not _same(_schema(own.leading_schema), theirs):
        raise Malformed("its footer has another schema than its head")
    if own.is_file and reader.metadata:
        theirs = theirs.with_metadata({**reader.metadata, **(theirs.metadata or {})})
    if not _same(published, theirs):
        raise Malformed("its schema is not the one that Arrow reads")
    if len(own.schema.origin[0]) <= MAX_KEPT_BYTES:
        _MATCHED.append(origin)


def _schema(message: bytes | memoryview) -> pa.Schema:
    # Not read_schema, which leaves big-endian ones as they are.
    return pa.ipc.open_stream(pa.py_buffer(message)).schema


def _same(one: pa.Schema, other: pa.Schema) -> bool:
    return one.equals(other, check_metadata=True)


def _batches(reader: Any, own: OwnReading) -> Iterator[Any]:
    return map(reader.get_batch, range(own.batches)) if own.is_file else reader


def _layouts(schema: pa.Schema) -> dict[int, Any]:
    """What to validate columns as that have to be validated as something else than they are."""
    return {i: layout for i, field in enumerate(schema) if (layout := _layout(field.type)) is not None}


def _layout(type_: Any) -> Any:
    """What to validate the type as: the same layout, any value allowed, at every depth. None: as it is.

    pyarrow admits no schema so deep that this would recurse too far (128 levels).
    """
    if type_.id in _ANY_VALUE:
        return _ANY_VALUE[type_.id]
    if rebuild := _NESTED.get(type_.id):
        children = [type_.field(i) for i in range(type_.num_fields)]
        layouts = [_layout(child.type) for child in children]
        if all(layout is None for layout in layouts):
            return None
        pairs = zip(children, layouts, strict=True)
        return rebuild(type_, [child if layout is None else child.with_type(layout) for child, layout in pairs])
    if pa.types.is_decimal(type_):
        return pa.binary(type_.byte_width)
    if pa.types.is_dictionary(type_):
        values = _layout(type_.value_type)
        return None if values is None else pa.dictionary(type_.index_type, values, type_.ordered)
    return _layout(type_.storage_type) if isinstance(type_, pa.BaseExtensionType) else None
