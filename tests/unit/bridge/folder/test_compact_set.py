"""A set of 64-bit numbers, whatever they are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.folder.compact_set import CompactSet

# hash() gives these; few bits make many of them share a bucket.
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 3).map(lambda n: n << 12), st.integers(-3, 3))


@pytest.mark.exhaustive
@given(st.lists(NUMBERS), st.lists(NUMBERS))
def test_it_holds_what_was_put_in_and_nothing_else(put_in: list[int], others: list[int]) -> None:
    hashes = CompactSet(put_in)
    assert all(number in hashes for number in put_in)
    assert len(hashes) == len(set(put_in))
    for number in others:
        assert (number in hashes) == (number in put_in)
    hashes.update(others)
    assert len(hashes) == len({*put_in, *others})


def test_the_end_of_one_and_the_beginning_of_the_next_are_none() -> None:
    first, second, across = 0x1122334455000000, 0x1000, 0x0011223344550000
    packed = first.to_bytes(8, "little") + second.to_bytes(8, "little")
    assert packed[1:9] == across.to_bytes(8, "little")
    assert {number % 4096 for number in (first, second, across)} == {0}, "so that it is looked for there"
    assert across not in CompactSet([first, second])


@pytest.mark.exhaustive
def test_it_takes_a_small_part_of_the_memory_of_a_set() -> None:
    assert kept_bytes(CompactSet) * 7 < kept_bytes(set)


def kept_bytes(kind: Callable[[Iterable[int]], object]) -> int:
    """What 100,000 numbers take."""
    tracemalloc.start()
    held = kind(hash(str(number)) for number in range(100_000))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del held
    return kept
