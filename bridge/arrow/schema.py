"""The schema of a scan: its custom metadata read and extended, what it costs to read found before it is read.

A schema is never rebuilt, which would lose what is not known here. It stays as it is, byte for byte, and new tables
that refer into it are put before it; offsets in a flatbuffer only point forward.

Formats: https://github.com/apache/arrow/tree/main/format (Schema.fbs, Message.fbs, File.fbs); slots as there.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, Self, TypeAlias

from bridge.arrow.flatbuffer import Malformed, Table
from bridge.arrow.format import MessageHeader, MetadataVersion, Type

_VERSION, _FOOTER_SCHEMA, _MESSAGE_HEADER = range(3)
_HOLDER_METADATA = 4  # of Message and of Footer, the last slot of both
_ENDIANNESS, _FIELDS, _METADATA, _FEATURES = range(4)
_NAME, _, _TYPE_TYPE, _TYPE, _DICTIONARY, _CHILDREN, _FIELD_METADATA = range(7)
_KEY, _VALUE = range(2)
# The types with a parameter of variable size, in slot 1 of each: Timestamp's zone, Union's type ids.
_SIZED_TYPES: dict[int, int] = {Type.TIMESTAMP: 1, Type.UNION: 4}

# pyarrow takes near 1 kB for each field.
_MAX_FIELDS = 100_000
# No writer needs less for a key and its value.
_MIN_PAIR_BYTES = 32
# A larger schema is looked at anew each time, rather than kept.
MAX_KEPT_BYTES = 2**16
# A schema may refer to a part twice (a shared string), within reason.
_SLACK_BYTES = 2**20

# Before the original: root offset; vtable of Message, Message; vtable of Schema, Schema; then the metadata vector, the
# vtable of KeyValue, the new KeyValues, their strings. A vtable is its size, the table's size, and where in the table
# each slot is. Some readers (Polars) want a vtable to come after whatever refers to its table.
_HEAD = struct.Struct("<I 7H2x iIIhBx 6H iIIIh2x")
_MESSAGE_VTABLE_AT, _MESSAGE_AT, _SCHEMA_VTABLE_AT, _SCHEMA_AT, _VECTOR_AT = 4, 20, 36, 48, 68
_KEY_VALUE_VTABLE = struct.pack("<4H", 8, 12, 4, 8)


class Allowance:
    """How much reading a flatbuffer may still ask for.

    It may refer to a part any number of times, so that a small one unfolds to terabytes. One that a writer made
    refers to each of its bytes once.
    """

    def __init__(self, data: memoryview) -> None:
        self._left = len(data) + _SLACK_BYTES

    def spend(self, count: int) -> None:
        """Raises `Malformed` when more is read than the flatbuffer has."""
        self._left -= count
        if self._left < 0:
            raise Malformed("its metadata unfolds to far more than its size")

    def spend_metadata(self, owner: Table, slot: int) -> None:
        """Spend what the custom metadata in `slot` takes. Raises `Malformed` as `key_values`."""
        if owner.position(slot):
            for _ in self.key_values(owner, slot):
                pass

    def key_values(self, owner: Table, slot: int) -> Iterator[tuple[Table, memoryview, memoryview]]:
        """The custom metadata in `slot`: each pair, its key, its value.

        Raises:
            Malformed: as `spend`, or an offset is out of bounds.
        """
        self.spend(owner.vector(slot, 4)[1] * _MIN_PAIR_BYTES)
        for pair in owner.tables(slot):
            key, value = pair.text(_KEY), pair.text(_VALUE)
            self.spend(len(key) + len(value))
            yield pair, key, value


# The flatbuffer that has it, where in it, the metadata version.
Origin: TypeAlias = tuple[bytes, int, int]


class Survey(NamedTuple):
    """What the fields of a schema are, at any depth."""

    types: set[int]  # flatbuffer's Type
    nodes: int  # how many field nodes each record batch has: one a field, but for those below a dictionary
    dictionary_uses: Counter[int]  # how many fields each dictionary encodes, by the dictionary's id


class SchemaSource:
    """The schema of a stream, in its first message; or of a file, in its footer, where all readers take it from.

    A file may begin with a schema message as well, or not (JavaScript's do not).

    Raises (here and in all it does):
        Malformed: an offset is out of bounds, or the schema unfolds to far more than its size.
    """

    def __init__(self, holder: Table, schema: Table | None, version: int, *, in_footer: bool) -> None:
        """`holder`: the message or footer that has the schema."""
        if schema is None:
            raise Malformed("it has no schema")
        self._holder = holder
        self._schema = schema
        self._version = version
        self._in_footer = in_footer

    @classmethod
    def of_stream(cls, message: Table) -> Self:
        """That of a stream, in its first message."""
        return cls(message, message.table(_MESSAGE_HEADER), message.scalar(_VERSION, "<h"), in_footer=False)

    @classmethod
    def of_file(cls, footer: Table, message: Table | None) -> Self:
        """That of a file. The metadata version is that of any message: pyarrow's footers give a wrong one.

        Without messages any version will do; some footers have none (Arrow 0.14.1).
        """
        version = message.scalar(_VERSION, "<h") if message else max(footer.scalar(_VERSION, "<h"), MetadataVersion.V4)
        return cls(footer, footer.table(_FOOTER_SCHEMA), version, in_footer=True)

    def metadata(self) -> dict[str, str]:
        """The schema's custom metadata; the first of equal keys, as pyarrow does."""
        found: dict[str, str] = {}
        for _, key, value in Allowance(self._schema.data).key_values(self._schema, _METADATA):
            found.setdefault(str(key, errors="replace"), str(value, errors="replace"))
        return found

    def survey(self) -> Survey:
        """Look at every field; once for all scans that have the very same schema, as those of one producer do."""
        data = self._schema.data
        if len(data) > MAX_KEPT_BYTES:
            return _survey(self._schema)
        return _kept_survey(bytes(data), self._schema.at)

    @property
    def origin(self) -> Origin:
        """All that a reader takes it from: equal ones are the same schema."""
        return bytes(self._schema.data), self._schema.at, self._version

    def extended_message(self, metadata: Mapping[str, str]) -> bytes:
        """The flatbuffer of a schema message: this schema, its custom metadata extended by `metadata`.

        A footer's own custom metadata joins the schema's, as a stream has no footer. Of equal keys, `metadata` goes
        before the schema's, that before the footer's.
        """
        if self._holder.has_beyond(_HOLDER_METADATA) or self._schema.has_beyond(_FEATURES):
            raise Malformed("its schema has parts from a newer version of Arrow")
        kept = self._kept({key.encode() for key in metadata})
        total = len(kept) + len(metadata)
        pairs, places = _key_values(_VECTOR_AT + 4 + 4 * total, metadata)
        size = _VECTOR_AT + 4 + 4 * total + len(pairs)
        size += -size % 8  # the original keeps its alignment
        places += [size + at for at in kept]
        entries = (place - (_VECTOR_AT + 4 + 4 * i) for i, place in enumerate(places))
        prefix = self._head(size) + struct.pack(f"<{1 + total}I", total, *entries) + pairs
        return prefix.ljust(size, b"\0") + bytes(self._schema.data)

    def _kept(self, replaced: set[bytes]) -> list[int]:
        """Where the key-value pairs are that stay in the schema's metadata."""
        allowance = Allowance(self._schema.data)
        kept: list[int] = []
        taken = set(replaced)
        for pair, key, _ in allowance.key_values(self._schema, _METADATA):
            if bytes(key) not in replaced:
                kept.append(pair.at)
                taken.add(bytes(key))
        for pair, key, _ in allowance.key_values(self._holder, _HOLDER_METADATA):
            if self._in_footer and bytes(key) not in taken:
                kept.append(pair.at)
        return kept

    def _head(self, size: int) -> bytes:
        """Root, vtables, Message and Schema, to stand `size` bytes before the original."""
        message_metadata = 0 if self._in_footer else self._holder.target(_HOLDER_METADATA)
        fields, features = self._schema.target(_FIELDS), self._schema.target(_FEATURES)
        return _HEAD.pack(
            _MESSAGE_AT,
            *(14, 16, 12, 14, 4, 0, 8 if message_metadata else 0),
            _MESSAGE_AT - _MESSAGE_VTABLE_AT,
            _SCHEMA_AT - (_MESSAGE_AT + 4),
            size + message_metadata - (_MESSAGE_AT + 8),
            self._version,
            MessageHeader.SCHEMA,
            *(12, 20, 16, 4 if fields else 0, 8, 12 if features else 0),
            _SCHEMA_AT - _SCHEMA_VTABLE_AT,
            size + fields - (_SCHEMA_AT + 4),
            _VECTOR_AT - (_SCHEMA_AT + 8),
            size + features - (_SCHEMA_AT + 12),
            self._schema.scalar(_ENDIANNESS, "<h"),
        )


@lru_cache(maxsize=2)  # in a file's footer, and at its head
def _kept_survey(flatbuffer: bytes, schema_at: int) -> Survey:
    return _survey(Table(memoryview(flatbuffer), schema_at))


def _survey(schema: Table) -> Survey:
    allowance = Allowance(schema.data)
    types: set[int] = set()
    uses: Counter[int] = Counter()
    fields = nodes = 0
    pending = [(schema, _FIELDS, True)]
    while pending:
        owner, slot, has_nodes = pending.pop()
        for field in owner.tables(slot):
            fields += 1
            nodes += has_nodes
            if fields > _MAX_FIELDS:
                raise Malformed(f"more than {_MAX_FIELDS} fields")
            types.add(type_ := field.byte(_TYPE_TYPE))
            name = field.text(_NAME)
            allowance.spend(len(name))
            _require_utf8(name)
            allowance.spend_metadata(field, _FIELD_METADATA)
            if type_ in _SIZED_TYPES and (parameters := field.table(_TYPE)):
                allowance.spend(parameters.vector(1, _SIZED_TYPES[type_])[1] * _SIZED_TYPES[type_])
            if dictionary := field.table(_DICTIONARY):
                uses[dictionary.scalar(0, "<q")] += 1
            if field.vector(_CHILDREN, 4)[1]:
                pending.append((field, _CHILDREN, has_nodes and dictionary is None))
    return Survey(types, nodes, uses)


def _require_utf8(name: memoryview) -> None:
    """Names are UTF-8 by Arrow's format. pyarrow reads what is not, and fails later, whenever the name is asked for."""
    try:
        str(name, "utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"a field's name is not UTF-8: {bytes(name)!r}") from None


def _key_values(at: int, metadata: Mapping[str, str]) -> tuple[bytes, list[int]]:
    """KeyValues to stand at `at`, first their vtable, then each with its strings; and where each will be."""
    out, places = bytearray(_KEY_VALUE_VTABLE), []
    for pair in metadata.items():
        key, value = (text.encode(errors="backslashreplace") for text in pair)
        # A string is its length, its bytes, and one or more NULs up to a multiple of 4.
        key_size, value_size = (len(text) // 4 * 4 + 4 for text in (key, value))
        places.append(at + len(out))
        offsets = len(out), 8, 8 + key_size  # back to the vtable, to the key, to the value
        layout = f"<iII I{key_size}s I{value_size}s"
        out += struct.pack(layout, *offsets, len(key), key, len(value), value)
    return bytes(out), places
