"""No offset in a flatbuffer leads outside it."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from support import arrow_craft as craft

from bridge.arrow.flatbuffer import Malformed, Table, root, unpack

SAMPLE = memoryview(
    craft.flatbuffer(
        craft.Table({0: ("B", 7), 1: craft.Text(b"text"), 2: craft.Vector([craft.Table({0: ("q", 2**40)})])}),
    )
)


def test_fields_are_read_by_slot() -> None:
    table = root(SAMPLE)
    assert table.byte(0) == 7
    assert bytes(table.text(1)) == b"text"
    assert [item.scalar(0, "<q") for item in table.tables(2)] == [2**40]


def test_absent_fields_have_their_defaults() -> None:
    table = root(SAMPLE)
    assert (table.byte(3), table.scalar(3, "<q", 5), table.table(3), bytes(table.text(3))) == (0, 5, None, b"")
    assert (list(table.tables(99)), table.vector(99, 8), table.position(99)) == ([], (0, 0), 0)
    assert table.has_beyond(1)
    assert not table.has_beyond(2)


def words(*numbers: int) -> memoryview:
    return memoryview(struct.pack(f"<{len(numbers)}i", *numbers))


@pytest.mark.parametrize(
    "read",
    [
        lambda: unpack("<I", words(0, 0), -4),
        lambda: unpack("<I", words(0, 0), 5),
        lambda: root(words()),
        lambda: root(words(2**31 - 1)),
        lambda: Table(words(8, 0x00040004, 0), 0),  # the vtable before the buffer, where Python counts from the end
        lambda: Table(words(-8, 0), 0),  # after it
        lambda: Table(words(-4, 0x00040100), 0),  # more slots than bytes
    ],
)
def test_what_lies_outside_is_refused(read: Callable[[], object]) -> None:
    with pytest.raises(Malformed):
        read()


@pytest.mark.parametrize("slot_offset", [64, 2**16 - 1])
@pytest.mark.parametrize("target", [0, 2**32 - 1])
def test_a_field_outside_is_refused(slot_offset: int, target: int) -> None:
    data = struct.pack("<IHHHHiI", 12, 6, 8, slot_offset, 0, 8, target)
    table = root(memoryview(data))
    reads = (table.byte, table.text, table.table, table.target, lambda slot: table.scalar(slot, "<q"))
    for read in (*reads, lambda slot: table.vector(slot, 4), lambda slot: list(table.tables(slot))):
        with pytest.raises(Malformed):
            read(0)


@pytest.mark.parametrize("target", [8, 2**32 - 1])
def test_an_offset_that_leads_outside_is_refused(target: int) -> None:
    table = root(memoryview(struct.pack("<IHHHHiI", 12, 6, 8, 4, 0, 8, target)))
    for read in (table.text, table.table, lambda slot: table.vector(slot, 4), lambda slot: list(table.tables(slot))):
        with pytest.raises(Malformed):
            read(0)


def test_a_vector_longer_than_the_buffer_is_refused() -> None:
    table = root(memoryview(struct.pack("<IHHHHiIII", 12, 6, 8, 4, 0, 8, 4, 2, 0)))
    assert table.vector(0, 2) == (24, 2)
    for item_size in (4, 2**62):
        with pytest.raises(Malformed):
            table.vector(0, item_size)
