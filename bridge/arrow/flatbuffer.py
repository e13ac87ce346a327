"""Reading flatbuffers, the encoding of Arrow's metadata, without trusting them.

Every position is checked against the bounds of the buffer before it is read: what does not fit raises `Malformed`.
An offset is followed only when asked for, so nothing here recurses or loops on its own. Alignment, and whether tables
overlap, is left to pyarrow's verifier, which sees the same bytes (verify.py).

Format: https://flatbuffers.dev/internals/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

_INT32 = struct.Struct("<i").unpack_from
_UINT32 = struct.Struct("<I").unpack_from
_UINT16 = struct.Struct("<H").unpack_from
# Arrow's largest table (Field) has 7 fields; a few more, so that `Table.has_beyond` notices newer ones.
_MAX_SLOTS = 12
_VTABLES = [struct.Struct(f"<{count}H").unpack_from for count in range(_MAX_SLOTS + 1)]


class Malformed(Exception):
    """The bytes are not what they claim to be. The message is the reason."""


def unpack(format_: str, data: memoryview, at: int) -> tuple[Any, ...]:
    """`struct.unpack_from`, raising `Malformed` where the values do not lie inside `data`."""
    if at < 0:
        raise Malformed("an offset points before its buffer")
    try:
        return struct.unpack_from(format_, data, at)
    except struct.error:
        raise _outside() from None


class Table:
    """One table: its fields are reached by slot, their number in the schema (*.fbs) that describes the table."""

    __slots__ = ("_slots", "at", "data")

    def __init__(self, data: memoryview, at: int) -> None:
        try:
            vtable = at - _INT32(data, at)[0]
            if vtable < 0:
                raise _outside()
            count = _UINT16(data, vtable)[0] // 2 - 2
            self._slots: tuple[int, ...] = _VTABLES[min(max(count, 0), _MAX_SLOTS)](data, vtable + 4)
        except struct.error:
            raise _outside() from None
        self.data = data
        self.at = at

    def position(self, slot: int) -> int:
        """Where the field is stored; 0 if it is absent, i.e. has its default."""
        offset = self._slots[slot] if slot < len(self._slots) else 0
        return offset and self.at + offset

    def has_beyond(self, slot: int) -> bool:
        """Whether a field is set that comes after `slot`."""
        return any(self._slots[slot + 1 :])

    def scalar(self, slot: int, format_: str, default: int = 0) -> int:
        """The number in `slot`."""
        at = self.position(slot)
        return int(unpack(format_, self.data, at)[0]) if at else default

    def byte(self, slot: int) -> int:
        """The unsigned byte in `slot`, for flags and union types; 0 if absent."""
        at = self.position(slot)
        if at >= len(self.data):
            raise _outside()
        return at and self.data[at]

    def target(self, slot: int) -> int:
        """Where the offset in `slot` points to; 0 if the field is absent."""
        offset = self._slots[slot] if slot < len(self._slots) else 0
        if not offset:
            return 0
        at = self.at + offset
        try:
            return at + _nonzero(_UINT32(self.data, at)[0])
        except struct.error:
            raise _outside() from None

    def table(self, slot: int) -> Table | None:
        """The table that `slot` refers to, if any."""
        at = self.target(slot)
        return Table(self.data, at) if at else None

    def vector(self, slot: int, item_size: int) -> tuple[int, int]:
        """Where the items of the vector in `slot` start, and how many there are; all lie inside the buffer."""
        offset = self._slots[slot] if slot < len(self._slots) else 0
        if not offset:
            return 0, 0
        at = self.at + offset
        try:
            at += _nonzero(_UINT32(self.data, at)[0])
            count = _UINT32(self.data, at)[0]
        except struct.error:
            raise _outside() from None
        if at + 4 + count * item_size > len(self.data):
            raise _outside()
        return at + 4, count

    def tables(self, slot: int) -> Iterator[Table]:
        """The tables in the vector in `slot`."""
        data = self.data
        start, count = self.vector(slot, 4)
        for at in range(start, start + 4 * count, 4):
            yield Table(data, at + _nonzero(_UINT32(data, at)[0]))

    def text(self, slot: int) -> memoryview:
        """The string in `slot`, undecoded; empty if absent."""
        start, length = self.vector(slot, 1)
        return self.data[start : start + length]


def root(data: memoryview) -> Table:
    """The root table of a flatbuffer."""
    return Table(data, unpack("<I", data, 0)[0])


def _nonzero(offset: int) -> int:
    """An offset of 0 would lead to itself; only damage writes it."""
    if not offset:
        raise Malformed("an offset of 0")
    return offset


def _outside() -> Malformed:
    return Malformed("an offset points outside its flatbuffer")
