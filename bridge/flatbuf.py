"""Reading flatbuffers, the encoding of Arrow's metadata, without trusting them.

Every position is checked against the bounds of the buffer before it is read: what does not fit raises `Malformed`.
It reads on demand and follows an offset only when asked, so it neither recurses nor loops on its own.

Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

# Arrow's largest table (Field) has 7 fields. More are read so that `Table.has_beyond` can notice newer ones.
_MAX_SLOTS = 12
_VTABLES = [struct.Struct(f"<{count}H") for count in range(_MAX_SLOTS + 1)]


class Malformed(Exception):
    """The bytes are not what they claim to be. The message is the reason."""


def unpack(format: str, data: memoryview, at: int) -> tuple[Any, ...]:
    """`struct.unpack_from`, raising `Malformed` where the values do not lie inside `data`."""
    if at < 0:
        raise Malformed("an offset points before its buffer")
    try:
        return struct.unpack_from(format, data, at)
    except struct.error:
        raise Malformed("an offset points past its buffer") from None


class Table:
    """One table: its fields are reached by slot, their number in the schema (*.fbs) that describes the table."""

    __slots__ = ("_slots", "at", "data")

    def __init__(self, data: memoryview, at: int) -> None:
        (to_vtable,) = unpack("<i", data, at)
        vtable = at - to_vtable
        (size,) = unpack("<H", data, vtable)
        layout = _VTABLES[min(max(size // 2 - 2, 0), _MAX_SLOTS)]
        if vtable + 4 + layout.size > len(data):
            raise Malformed("a table reaches past its buffer")
        self.data = data
        self.at = at
        self._slots: tuple[int, ...] = layout.unpack_from(data, vtable + 4)

    def position(self, slot: int) -> int:
        """Where the field is stored; 0 if it is absent, i.e. has its default."""
        offset = self._slots[slot] if slot < len(self._slots) else 0
        return offset and self.at + offset

    def has_beyond(self, slot: int) -> bool:
        """Whether a field is set that comes after `slot`."""
        return any(self._slots[slot + 1 :])

    def scalar(self, slot: int, format: str, default: int = 0) -> int:
        """The number in `slot`."""
        at = self.position(slot)
        return int(unpack(format, self.data, at)[0]) if at else default

    def target(self, slot: int) -> int:
        """Where the offset in `slot` points to; 0 if the field is absent."""
        at = self.position(slot)
        return at and at + int(unpack("<I", self.data, at)[0])

    def table(self, slot: int) -> Table | None:
        """The table that `slot` refers to, if any."""
        at = self.target(slot)
        return Table(self.data, at) if at else None

    def vector(self, slot: int, item_size: int) -> tuple[int, int]:
        """Where the items of the vector in `slot` start, and how many there are: all inside the buffer."""
        at = self.target(slot)
        if not at:
            return 0, 0
        (count,) = unpack("<I", self.data, at)
        if at + 4 + count * item_size > len(self.data):
            raise Malformed("a vector reaches past its buffer")
        return at + 4, count

    def tables(self, slot: int) -> Iterator[Table]:
        """The tables in the vector in `slot`."""
        start, count = self.vector(slot, 4)
        for at in range(start, start + 4 * count, 4):
            yield Table(self.data, at + unpack("<I", self.data, at)[0])

    def text(self, slot: int) -> bytes | None:
        """The string in `slot`, as bytes."""
        start, length = self.vector(slot, 1)
        return bytes(self.data[start : start + length]) if start else None


def root(data: memoryview) -> Table:
    """The root table of a flatbuffer."""
    return Table(data, unpack("<I", data, 0)[0])
