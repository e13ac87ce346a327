"""The pace of catching up: bounded in scans and in bytes, over any time, and kept although timers come late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.history.pace import ARREARS_S, MOST_BYTES_PER_S, MOST_PER_S, Pace


def turns_within(duration_s: float, size: int, late_s: float = 0.0) -> int:
    """How many scans have their turn, where each timer comes so late."""
    pace, now_s, turns = Pace(), 1000.0, 0
    while now_s < 1000.0 + duration_s:
        pace.took(size, now_s)
        turns += 1
        now_s = max(now_s, pace.next_s + late_s)
    return turns


@given(size=st.integers(1, 1_000_000), late_s=st.floats(0, 0.1))
def test_no_more_scans_and_bytes_a_second_than_promised(size: int, late_s: float) -> None:
    turns = turns_within(10, size, late_s)
    assert turns - 1 <= (10 + ARREARS_S) * MOST_PER_S
    assert (turns - 1) * size <= (10 + ARREARS_S) * MOST_BYTES_PER_S


def test_timers_that_come_late_make_it_no_slower() -> None:
    assert turns_within(10, 100_000, late_s=0.002) >= turns_within(10, 100_000)


def test_after_a_rest_there_is_no_burst() -> None:
    pace = Pace()
    pace.took(100_000, 1000.0)
    pace.took(100_000, 2000.0)
    assert pace.next_s > 2000.0 - ARREARS_S


def test_usual_scans_are_caught_up_at_hundreds_a_second() -> None:
    assert turns_within(10, 100_000) / 10 >= 300
