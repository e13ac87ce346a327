"""Which of two scans is newer, and which may replace which."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.order import (
    LATEST_NS,
    Held,
    OrderKey,
    ScanFile,
    how_misdated,
    is_misdated,
    printable,
    published_at_most,
    supersedes,
)

S = 1_000_000_000
NOW = 1_774_339_200 * S  # 2026-03-24T08:00:00Z
MAX_FUTURE_S = 5.0
HORIZON = NOW + 5 * S  # the last moment that is not yet the future

paths = st.sampled_from(["2026-03-23/z.arrow", "2026-03-24/a.arrow", "2026-03-24/b.arrow"])
# A narrow range, so that equal times are common.
possible_ns = st.integers(NOW - 3, NOW + 3) | st.integers(0, HORIZON)
future_ns = st.integers(HORIZON + 1, HORIZON + 3) | st.integers(HORIZON + 1, 2**70)
impossible_ns = future_ns | st.integers(-3, -1) | st.integers(-(2**70), -1)
moments_ns = st.integers(NOW - 3, NOW + 3) | st.integers(0, NOW + 10 * S)


def files(mtimes: st.SearchStrategy[int]) -> st.SearchStrategy[ScanFile]:
    return st.builds(ScanFile, mtimes, paths, st.integers(0, 10), moments_ns)


def held(file: ScanFile, published_ns: int = NOW) -> Held:
    return Held(file.key, published_ns)


def replaces(scan: ScanFile, other: Held | None) -> bool:
    return supersedes(scan, other, NOW, MAX_FUTURE_S)


def scan(mtime_ns: int, path: str = "2026-03-24/a.arrow", landed_ns: int = NOW) -> ScanFile:
    return ScanFile(mtime_ns, path, 100, landed_ns)


HOUR = 3600 * S


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param(scan(0), None, True, id="anything into an empty map"),
        pytest.param(scan(NOW + HOUR), None, True, id="even a misdated scan into an empty map"),
        pytest.param(scan(NOW), held(scan(NOW - 1)), True, id="newer by a nanosecond"),
        pytest.param(scan(NOW - 1), held(scan(NOW)), False, id="older by a nanosecond"),
        pytest.param(scan(NOW), held(scan(NOW)), False, id="itself"),
        pytest.param(scan(NOW, "b"), held(scan(NOW, "a")), True, id="equal times: later path"),
        pytest.param(scan(NOW, "a"), held(scan(NOW, "b")), False, id="equal times: earlier path"),
        pytest.param(scan(NOW, "2026-03-23/x"), held(scan(NOW - 1, "2026-03-24/x")), True, id="time beats the folder"),
        pytest.param(scan(HORIZON), held(scan(NOW)), True, id="as far ahead as clocks may differ"),
        pytest.param(
            scan(NOW - HOUR, landed_ns=NOW + 1),
            held(scan(NOW + HOUR)),
            True,
            id="possible replaces misdated, if landed later",
        ),
        pytest.param(
            scan(NOW, landed_ns=NOW), held(scan(NOW + HOUR)), False, id="possible, but landed before the misdated"
        ),
        pytest.param(
            scan(HORIZON, landed_ns=NOW + 1),
            held(scan(HORIZON + 1)),
            True,
            id="misdated begins right after the horizon",
        ),
        pytest.param(
            scan(NOW, landed_ns=NOW - 1),
            held(scan(NOW + HOUR), NOW),
            False,
            id="landed before a clock was stepped back",
        ),
        pytest.param(
            scan(NOW + HOUR, landed_ns=NOW + 1), held(scan(NOW), NOW), True, id="misdated, landed after the publish"
        ),
        pytest.param(
            scan(NOW + HOUR, landed_ns=NOW), held(scan(NOW), NOW), False, id="misdated, landed before the publish"
        ),
        pytest.param(scan(NOW, landed_ns=NOW + 1), held(scan(-1)), True, id="possible replaces one from before 1970"),
        pytest.param(scan(NOW, landed_ns=NOW), held(scan(-1)), False, id="possible, but landed before that one"),
        pytest.param(scan(-1, landed_ns=NOW), held(scan(NOW), NOW), False, id="before 1970, landed before it"),
        pytest.param(scan(-1, landed_ns=NOW + 1), held(scan(NOW), NOW), True, id="before 1970, landed after it"),
        pytest.param(scan(0), held(scan(1)), False, id="1970 itself is possible"),
        pytest.param(scan(-1), held(scan(-2)), True, id="both from before 1970: newer"),
        pytest.param(scan(-1), held(scan(-1)), False, id="itself, from before 1970"),
        pytest.param(scan(2**70), held(scan(2**70)), False, id="itself, later than 64 bits hold"),
        pytest.param(scan(NOW + HOUR + 1), held(scan(NOW + HOUR)), True, id="both misdated: newer"),
        pytest.param(scan(NOW + HOUR), held(scan(NOW + HOUR + 1)), False, id="both misdated: older"),
    ],
)
def test_which_scan_replaces_which(new: ScanFile, old: Held | None, expected: bool) -> None:
    assert replaces(new, old) is expected


def test_the_key_is_the_time_then_the_path() -> None:
    assert scan(NOW, "b").key == OrderKey(NOW, "b")
    assert OrderKey(1, "b") < OrderKey(2, "a") < OrderKey(2, "b")


@pytest.mark.parametrize("time_ns", [LATEST_NS, LATEST_NS + 1, 2**70, -LATEST_NS, -LATEST_NS - 1, -(2**70)])
def test_the_key_holds_what_64_bits_hold(time_ns: int) -> None:
    assert scan(time_ns, "b").key == OrderKey(LATEST_NS if time_ns > 0 else -LATEST_NS, "b")


def test_dates_are_impossible_after_max_future_s_and_before_1970() -> None:
    assert not is_misdated(HORIZON, NOW, MAX_FUTURE_S)
    assert is_misdated(HORIZON + 1, NOW, MAX_FUTURE_S)
    assert is_misdated(NOW + 1, NOW, 0)
    assert not is_misdated(0, NOW, MAX_FUTURE_S)
    assert is_misdated(-1, NOW, MAX_FUTURE_S)


def test_it_is_told_how_a_date_is_impossible() -> None:
    assert how_misdated(NOW + HOUR, NOW) == "3600 s in the future"
    assert how_misdated(-1, NOW) == "before 1970"


@given(files(possible_ns), files(possible_ns))
def test_of_two_scans_with_possible_dates_exactly_the_newer_replaces_the_other(a: ScanFile, b: ScanFile) -> None:
    assert replaces(a, held(b)) is (a.key > b.key)
    if a.key != b.key:
        assert replaces(a, held(b)) is not replaces(b, held(a))


@given(files(possible_ns), files(possible_ns), files(possible_ns))
def test_possible_dates_are_in_one_total_order(a: ScanFile, b: ScanFile, c: ScanFile) -> None:
    if replaces(a, held(b)) and replaces(b, held(c)):
        assert replaces(a, held(c))
    assert not replaces(a, held(a))


@given(files(possible_ns | impossible_ns), files(possible_ns | impossible_ns), moments_ns)
def test_two_bridges_cannot_replace_each_others_scan_for_ever(a: ScanFile, b: ScanFile, published_ns: int) -> None:
    """Once published later than both landed, at most one of two scans replaces the other."""
    published_ns = max(published_ns, a.ctime_ns, b.ctime_ns)
    assert not (replaces(a, held(b, published_ns)) and replaces(b, held(a, published_ns)))


@given(files(possible_ns), files(impossible_ns), moments_ns)
def test_an_impossible_date_in_the_map_never_wedges_the_bridge(a: ScanFile, b: ScanFile, published_ns: int) -> None:
    """The next scan with a possible date replaces it, whenever it was published."""
    landed = a._replace(ctime_ns=max(a.ctime_ns, min(published_ns, NOW) + 1))
    if published_ns <= NOW or published_ns > HORIZON:
        assert replaces(landed, held(b, published_at_most(published_ns, NOW, 0.0, MAX_FUTURE_S)))


@pytest.mark.parametrize(
    ("published_ns", "expected_ns"),
    [
        pytest.param(NOW - HOUR, NOW - HOUR, id="in the past"),
        pytest.param(HORIZON, HORIZON, id="as far ahead as clocks may differ"),
        pytest.param(HORIZON + 1, NOW - 60 * S, id="in the future: the clock was stepped back since"),
    ],
)
def test_by_a_clock_that_was_stepped_back_what_landed_since_the_start_was_not_there_before(
    published_ns: int, expected_ns: int
) -> None:
    assert published_at_most(published_ns, NOW, 60.0, MAX_FUTURE_S) == expected_ns


@given(files(impossible_ns), files(possible_ns), st.integers(0, 10 * S))
def test_a_misdated_scan_does_not_come_back_after_a_restart(bad: ScanFile, good: ScanFile, later_ns: int) -> None:
    """Published after the misdated one landed, a scan with a possible date stays."""
    assert not replaces(bad, held(good, bad.ctime_ns + later_ns))


@given(st.lists(files(possible_ns), max_size=20))
def test_whatever_the_order_of_arrival_the_map_only_goes_forward_and_ends_at_the_newest(scans: list[ScanFile]) -> None:
    in_map: list[ScanFile] = []
    for file in scans:
        if replaces(file, held(in_map[-1]) if in_map else None):
            in_map.append(file)
    assert all(earlier.key < later.key for earlier, later in pairwise(in_map))
    if scans:
        assert in_map[-1].key == max(file.key for file in scans)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("2026-03-24/scan 1.arrow", "2026-03-24/scan 1.arrow"),
        ("Prüfung/λ.arrow", "Prüfung/λ.arrow"),
        ("a\nb", r"a\nb"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\udcffb", r"a\udcffb"),  # how Python names a byte that is no UTF-8
        ("a\u202eb", r"a\u202eb"),  # turns the writing direction around
    ],
)
def test_a_file_name_is_shown_so_that_it_cannot_act_on_a_terminal(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(st.text())
def test_every_name_can_be_shown(name: str) -> None:
    assert printable(name).isprintable()  # which no lone surrogate is: it can be encoded, too
