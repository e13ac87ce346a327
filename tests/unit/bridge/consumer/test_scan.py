"""Which of two scans is the newer one to a consumer, and how old one is."""

from __future__ import annotations

import time
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scan_values import SECOND_NS

from bridge.consumer.scan import Scan, age_s, missed_between, replaces
from bridge.model.provenance import Provenance

NOW_NS = 1_800_000_000 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS


def scan(mtime_ns: int = NOW_NS, source: str = "b", sequence: int = 5, published_ns: int = NOW_NS) -> Provenance:
    return Provenance(source, mtime_ns, 1, sequence, published_ns, "bridge-1")


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (scan(), False),
        (scan(sequence=6), False),  # the same scan once more, in a cluster that had lost its data
        (scan(NOW_NS + 1), True),
        (scan(NOW_NS - 1, source="a", sequence=6), False),
        (scan(NOW_NS - 1, sequence=6), True),  # its producer had set the time late, and the bridge corrected it
        (scan(NOW_NS - 1, sequence=4), False),
        (scan(source="c"), True),
        (scan(source="a", sequence=6), False),
        (scan(NOW_NS + 1, sequence=1), True),  # the cluster had lost its data: the sequence began anew
        (scan(NOW_NS + HOUR_NS, sequence=6), True),  # dated in the future, but published later
        (scan(NOW_NS + HOUR_NS, sequence=4, published_ns=NOW_NS - 1), False),  # and an event that was overtaken
    ],
)
def test_a_scan_replaces_a_dated_one_by_time_then_path(new: Provenance, expected: bool) -> None:
    assert replaces(new, scan(), NOW_NS) is expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (scan(sequence=6, published_ns=NOW_NS + 1), True),  # what comes after it counts, whatever its date
        (scan(sequence=4, published_ns=NOW_NS - 1), False),
        (scan(sequence=1, published_ns=NOW_NS + 1), True),  # the cluster had lost its data
        (scan(NOW_NS + 2 * HOUR_NS, sequence=6), True),
        (scan(NOW_NS + HOUR_NS - 1, source="a", sequence=6), False),
        (scan(NOW_NS + HOUR_NS - 1, sequence=6), True),
    ],
)
def test_a_scan_dated_in_the_future_is_replaced_by_what_was_published_after_it(new: Provenance, expected: bool) -> None:
    held = scan(NOW_NS + HOUR_NS)

    assert replaces(new, held, NOW_NS) is expected


def test_after_a_corrected_date_what_it_had_hidden_comes_and_the_wrong_date_never_again() -> None:
    wrong, corrected = scan(NOW_NS), scan(NOW_NS - HOUR_NS, sequence=6, published_ns=NOW_NS + 1)
    hidden = scan(NOW_NS - HOUR_NS // 2, source="c", sequence=7, published_ns=NOW_NS + 2)

    assert replaces(corrected, wrong, NOW_NS)
    assert not replaces(wrong, corrected, NOW_NS), "in an event that was overtaken"
    assert replaces(hidden, corrected, NOW_NS)


def test_any_scan_replaces_none() -> None:
    assert replaces(scan(0), None, NOW_NS)


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("abc")), min_size=1))
def test_in_whatever_order_scans_come_the_newest_is_kept(keys: list[tuple[int, str]]) -> None:
    held: Provenance | None = None
    for mtime_ns, source in keys:
        new = scan(mtime_ns, source)
        if replaces(new, held, NOW_NS):
            assert held is None or new.held.key > held.held.key
            held = new

    assert held is not None
    assert held.held.key == max(keys)


@pytest.mark.parametrize(
    ("mtime_ns", "published_ns", "expected_s"),
    [
        (NOW_NS - 3 * SECOND_NS, NOW_NS - 1 * SECOND_NS, 3.0),
        (NOW_NS + 1 * SECOND_NS, NOW_NS, 0.0),  # clocks differ a little
        (NOW_NS + HOUR_NS, NOW_NS - 50 * SECOND_NS, 50.0),  # such a date says nothing
        (NOW_NS + HOUR_NS, NOW_NS + HOUR_NS, 0.0),
    ],
)
def test_the_age_is_that_of_the_file_unless_its_date_is_impossible(
    mtime_ns: int, published_ns: int, expected_s: float
) -> None:
    assert age_s(scan(mtime_ns, published_ns=published_ns), NOW_NS) == expected_s


def test_a_step_of_the_clock_does_not_change_the_age_of_a_scan_that_was_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bridge.consumer.clock import steady_s

    received = Scan(pa.table({}), scan(), 0, steady_s(), 7.0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)

    before = received.age_s
    assert 7.0 <= before <= received.age_s


@pytest.mark.parametrize(
    ("earlier", "later", "missed"),
    [(None, 7, 0), (6, 7, 0), (4, 7, 2), (7, 1, 0), (7, 3, 2)],
)
def test_what_was_missed_is_counted_by_the_sequence(earlier: int | None, later: int, missed: int) -> None:
    before = None if earlier is None else replace(scan(), sequence=earlier)

    assert missed_between(before, replace(scan(), sequence=later)) == missed
