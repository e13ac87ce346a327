"""The schema of a scan: its custom metadata read and extended, what it costs to read found before it is read.

A schema is never rebuilt, which would lose what is not known here. It stays as it is, byte for byte, and new tables
that refer into it are put before it; offsets in a flatbuffer only point forward.

Formats: https://github.com/apache/arrow/tree/main/format (Schema.fbs, Message.fbs, File.fbs); slots as there.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bridge.flatbuf import Malformed, Table

SCHEMA = 1  # MessageHeader.Schema
_VERSION, _FOOTER_SCHEMA, _MESSAGE_HEADER = range(3)
_HOLDER_METADATA = 4  # of Message and of Footer, the last slot of both
_ENDIANNESS, _FIELDS, _METADATA, _FEATURES = range(4)
_NAME, _, _TYPE_TYPE, _TYPE, _DICTIONARY, _CHILDREN, _FIELD_METADATA = range(7)
_KEY, _VALUE = range(2)
# The types with a parameter of variable size, in slot 1 of each: Timestamp's zone, Union's type ids.
_SIZED_TYPES = {10: 1, 14: 4}

# No writer needs less for a field, or for a key and its value, not counting their strings.
_MIN_TABLE_BYTES = 16
# A schema may refer to a part twice (a shared string), within reason.
_SLACK_BYTES = 2**20

# Before the original: root offset; vtables of Message, Schema, KeyValue; Message; Schema; then the metadata vector,
# the new KeyValues, their strings. A vtable is its size, the table's size, and where in the table each slot is.
_HEAD = struct.Struct("<I 7H 6H 4H 2x iIIhBx iIIIh6x")
_MESSAGE_VTABLE, _SCHEMA_VTABLE, _KEY_VALUE_VTABLE, _MESSAGE_AT, _SCHEMA_AT, _VECTOR_AT = 4, 18, 30, 40, 56, 80


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
        """Spend what the key-value pairs in `slot` take."""
        if owner.position(slot):
            self.spend(owner.vector(slot, 4)[1] * _MIN_TABLE_BYTES)
            for pair in owner.tables(slot):
                self.spend(pair.vector(_KEY, 1)[1] + pair.vector(_VALUE, 1)[1])


@dataclass(frozen=True)
class SchemaSource:
    """A schema where it was found: in the first message of a stream, or in the footer of a file."""

    holder: Table
    schema: Table
    in_footer: bool

    @classmethod
    def of_message(cls, message: Table) -> Self:
        """The schema of a schema message."""
        return cls._of(message, _MESSAGE_HEADER, in_footer=False)

    @classmethod
    def of_footer(cls, footer: Table) -> Self:
        """The schema of a file. The one in the file's first message is a copy that no reader looks at."""
        return cls._of(footer, _FOOTER_SCHEMA, in_footer=True)

    @classmethod
    def _of(cls, holder: Table, slot: int, *, in_footer: bool) -> Self:
        schema = holder.table(slot)
        if schema is None:
            raise Malformed("it has no schema")
        return cls(holder, schema, in_footer)

    def dictionary_uses(self) -> Counter[int]:
        """How many fields, at any depth, each dictionary encodes, by the dictionary's id.

        Raises:
            Malformed: an offset is out of bounds, or the schema unfolds to far more than its size.
        """
        uses: Counter[int] = Counter()
        allowance = Allowance(self.schema.data)
        allowance.spend_metadata(self.holder, _HOLDER_METADATA)
        allowance.spend_metadata(self.schema, _METADATA)
        pending = [(self.schema, _FIELDS)]
        while pending:
            owner, slot = pending.pop()
            allowance.spend(owner.vector(slot, 4)[1] * _MIN_TABLE_BYTES)
            for field in owner.tables(slot):
                allowance.spend(field.vector(_NAME, 1)[1])
                allowance.spend_metadata(field, _FIELD_METADATA)
                if item_size := _SIZED_TYPES.get(field.scalar(_TYPE_TYPE, "<B")):
                    parameters = field.table(_TYPE)
                    allowance.spend(parameters.vector(1, item_size)[1] * item_size if parameters else 0)
                if dictionary := field.table(_DICTIONARY):
                    uses[dictionary.scalar(0, "<q")] += 1
                if field.position(_CHILDREN):
                    pending.append((field, _CHILDREN))
        return uses

    def metadata(self) -> dict[str, str]:
        """The schema's custom metadata; the first of equal keys, as pyarrow does.

        Raises:
            Malformed: as `dictionary_uses`.
        """
        Allowance(self.schema.data).spend_metadata(self.schema, _METADATA)
        found: dict[str, str] = {}
        for pair in self.schema.tables(_METADATA):
            key, value = ((pair.text(slot) or b"").decode(errors="replace") for slot in (_KEY, _VALUE))
            found.setdefault(key, value)
        return found

    def extended_message(self, metadata: Mapping[str, str]) -> bytes:
        """The flatbuffer of a schema message: this schema, its custom metadata extended by `metadata`.

        A footer's own custom metadata joins the schema's, as a stream has no footer. Of equal keys, `metadata` goes
        before the schema's, that before the footer's. Call `dictionary_uses` first: it bounds what this one reads.

        Raises:
            Malformed: an offset is out of bounds, or there are parts not known here, which would be lost.
        """
        if self.holder.has_beyond(_HOLDER_METADATA) or self.schema.has_beyond(_FEATURES):
            raise Malformed("its schema has parts from a newer version of Arrow")
        kept = self._kept({key.encode() for key in metadata})
        count = len(kept) + len(metadata)
        pairs_at = _VECTOR_AT + 4 + 4 * count
        pairs = _key_values(pairs_at, metadata)
        size = pairs_at + len(pairs)
        size += -size % 8  # the original keeps its alignment
        targets = [size + at for at in kept] + [pairs_at + 12 * i for i in range(len(metadata))]
        entries = (target - (_VECTOR_AT + 4 + 4 * i) for i, target in enumerate(targets))
        prefix = self._head(size) + struct.pack(f"<{1 + count}I", count, *entries) + pairs
        return b"".join((prefix.ljust(size, b"\0"), self.schema.data))

    def _kept(self, replaced: set[bytes]) -> list[int]:
        """Where the key-value pairs are that stay."""
        kept: list[int] = []
        taken: set[bytes | None] = set(replaced)
        for owner, slot in ((self.schema, _METADATA), (self.holder, _HOLDER_METADATA))[: 1 + self.in_footer]:
            pairs = [(pair.text(_KEY), pair.at) for pair in owner.tables(slot)]
            kept += [at for key, at in pairs if key not in taken]
            taken |= {key for key, _ in pairs}
        return kept

    def _head(self, size: int) -> bytes:
        """Root, vtables, Message and Schema, to stand `size` bytes before the original."""
        version = self.holder.scalar(_VERSION, "<h")
        message_metadata = 0 if self.in_footer else self.holder.target(_HOLDER_METADATA)
        fields, features = self.schema.target(_FIELDS), self.schema.target(_FEATURES)
        return _HEAD.pack(
            _MESSAGE_AT,
            *(14, 16, 12, 14, 4, 0, 8 if message_metadata else 0),
            *(12, 24, 16, 4 if fields else 0, 8, 12 if features else 0),
            *(8, 12, 4, 8),
            _MESSAGE_AT - _MESSAGE_VTABLE,
            _SCHEMA_AT - (_MESSAGE_AT + 4),
            size + message_metadata - (_MESSAGE_AT + 8),
            version,
            SCHEMA,
            _SCHEMA_AT - _SCHEMA_VTABLE,
            size + fields - (_SCHEMA_AT + 4),
            _VECTOR_AT - (_SCHEMA_AT + 8),
            size + features - (_SCHEMA_AT + 12),
            self.schema.scalar(_ENDIANNESS, "<h"),
        )


def _key_values(at: int, metadata: Mapping[str, str]) -> bytes:
    """The KeyValue tables of `metadata` and then their strings, to stand at `at`."""
    tables, strings = bytearray(), bytearray()
    strings_at = at + 12 * len(metadata)
    for pair in metadata.items():
        table_at = at + len(tables)
        tables += struct.pack("<i", table_at - _KEY_VALUE_VTABLE)
        for slot, text in enumerate(pair):
            tables += struct.pack("<I", strings_at + len(strings) - (table_at + 4 + 4 * slot))
            encoded = text.encode(errors="backslashreplace")
            strings += struct.pack("<I", len(encoded)) + encoded
            strings += bytes(4 - len(strings) % 4)  # at least one NUL
    return bytes(tables + strings)
