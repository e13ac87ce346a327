"""What the history lacks, and what is next: never a file twice at once, none forgotten, the newest first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.history.ledger import Ledger
from bridge.model.history import history_key
from bridge.model.order import ScanFile

SECOND_NS = 1_000_000_000


def file(name: str, mtime_s: float = 100.0, *, size: int = 1, changed_s: float | None = None) -> ScanFile:
    changed_s = mtime_s if changed_s is None else changed_s
    return ScanFile(int(mtime_s * SECOND_NS), f"2026-03-24/{name}.arrow", size, int(changed_s * SECOND_NS))


def ledger(*files: ScanFile, keys: tuple[ScanFile, ...] = (), checked_s: float = 101.0) -> Ledger:
    made = Ledger(quiet_s=0.25, settle_s=2.0, checked_ns=int(checked_s * SECOND_NS))
    made.compared(files, {history_key(of.key) for of in keys}, 0.0)
    made.found(files, 0.0)
    return made


def take_all(of: Ledger, now_s: float) -> list[ScanFile]:
    taken = []
    while (wanted := of.take(now_s)) is not None:
        taken.append(wanted.file)
    return taken


def test_what_the_map_lacks_comes_newest_first_once_it_was_quiet() -> None:
    a, b, c = file("a", 1), file("b", 3), file("c", 2)
    of = ledger(a, b, c, keys=(c,))
    assert of.take(0.2) is None
    assert take_all(of, 0.25) == [b, a]
    assert of.missing == 2  # in hand
    assert of.due_in_s(0.25) is None


def test_a_closed_file_is_due_at_once() -> None:
    of = ledger()
    of.closed(file("a"), 5.0)
    assert take_all(of, 5.0) == [file("a")]


def test_a_file_in_hand_is_not_taken_again_by_a_look_or_an_event() -> None:
    a = file("a")
    of = ledger(a)
    assert of.take(1.0)
    of.found([a], 2.0)
    of.closed(a, 2.0)
    assert of.take(9.0) is None
    of.kept(a)
    of.found([a], 9.0)
    assert of.missing == 0


def test_a_file_rewritten_while_in_hand_is_wanted_anew() -> None:
    a, b = file("a"), file("a", size=2)
    of = ledger(a)
    assert of.take(1.0)
    of.found([b], 2.0)
    of.kept(a)
    assert take_all(of, 3.0) == [b]


def test_a_file_that_does_not_validate_is_bad_after_settle_s_until_it_changes() -> None:
    a = file("a")
    of = ledger(a)
    wanted = of.take(1.0)
    assert wanted
    assert of.retry_later(wanted, 1.0)
    assert of.take(1.0) is None
    assert of.take(1.1) is wanted
    assert not of.retry_later(wanted, 2.5)
    of.found([a], 3.0)
    assert of.missing == 0
    of.found([file("a", size=2)], 4.0)
    assert of.missing == 1


def test_what_came_since_a_listing_began_is_not_taken_for_gone() -> None:
    of = ledger()
    of.closed(file("a"), 5.0)
    of.found([], 4.0)
    assert of.missing == 1
    of.found([], 6.0)
    assert of.missing == 0


def test_what_the_cluster_lost_is_wanted_again_and_what_is_bad_is_not() -> None:
    a, bad = file("a"), file("bad")
    of = ledger(a, bad)
    of.kept(a)
    of.bad(bad)
    of.compared([a, bad], set(), 1.0)
    of.found([a, bad], 1.0)
    assert take_all(of, 2.0) == [a]


def test_a_value_is_compared_with_its_file_where_that_may_have_changed() -> None:
    before, after, other = file("before", changed_s=101), file("after", changed_s=102), file("other")
    of = ledger(before, after, other, keys=(before, after, other), checked_s=102)
    assert take_all(of, 1.0) == [after]
    of.kept(after)
    rewritten = file("other", size=2)
    of.compared([before, after, rewritten], {history_key(one.key) for one in (before, after, other)}, 2.0)
    of.found([before, after, rewritten], 2.0)
    assert take_all(of, 3.0) == [rewritten]


def test_all_that_changed_before_what_is_missing_is_checked() -> None:
    a, b, c = file("a", changed_s=101), file("b", changed_s=102), file("c", changed_s=103)
    of = ledger(a, b, c, keys=(a, b, c), checked_s=101)
    assert of.checked_ns == 101 * SECOND_NS
    of.kept(a)
    of.kept(b)
    of.found([a, b, c], 1.0)
    assert of.checked_ns == 103 * SECOND_NS  # all but c
    of.kept(c)
    late = file("late", changed_s=103.5)
    of.found([a, b, c, late], 2.0)
    assert of.checked_ns == 103 * SECOND_NS  # what the listing before did not know may have come after it


def test_what_is_checked_stays_so_when_the_folder_is_not_there() -> None:
    of = ledger(checked_s=101)
    of.found([], 1.0)
    of.found([], 2.0)
    assert of.checked_ns == 101 * SECOND_NS


def test_the_key_of_an_earlier_time_is_outdated_only_once_the_file_stands_there_under_its_own() -> None:
    before, after = file("a", 100), file("a", 50)
    keys = {history_key(before.key), "no key", history_key(file("deleted").key)}
    of = ledger(after, keys=(before,))
    assert of.outdated([after], keys) == {}
    assert of.kept(after)
    assert of.outdated([after], {*keys, history_key(after.key)}) == {history_key(before.key): after}


def test_for_how_long_it_is_behind_counts_from_the_one_that_is_missing_longest() -> None:
    a, b = file("a"), file("b")
    of = ledger(a)
    of.closed(b, 10.0)
    assert of.behind_s(15.0) == 15.0
    of.kept(a)
    assert of.behind_s(15.0) == 5.0
    of.kept(b)
    assert of.behind_s(15.0) == 0.0


def test_a_map_that_loses_scans_again_and_again_is_behind_although_they_are_put_there_each_time() -> None:
    a, b = file("a"), file("b", 10)
    of = ledger(a, b)
    for now_s, lost_again in ((60.0, 0), (120.0, 1), (180.0, 1)):
        for one in (a, b):
            of.kept(one)
        of.compared([a, b], {history_key(b.key)}, now_s)
        assert of.lost_again == lost_again  # a cluster may lose its data once
    of.kept(a)
    assert of.behind_s(200.0) == 140.0

    of.compared([a, b], {history_key(a.key)}, 240.0, since_ns=20 * SECOND_NS)  # b's time is over
    assert (of.lost_again, of.behind_s(250.0)) == (0, 0.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.sampled_from("lctfkr")), max_size=40))
def test_whatever_happens_in_the_end_all_is_kept(steps: list[tuple[str, int, str]]) -> None:
    disk: dict[str, ScanFile] = {}
    of, hand, now_s = Ledger(quiet_s=0.25, settle_s=1e9), [], 0.0
    for name, size, step in steps:
        now_s += 0.2
        if step in "cl":
            disk[name] = file(name, size=size)
        if step == "c":
            of.closed(disk[name], now_s)
        elif step == "f":
            of.found(disk.values(), now_s)
        elif step == "t" and (wanted := of.take(now_s)) is not None:
            assert all(other.file.path != wanted.file.path or other.file != wanted.file for other in hand)
            hand.append(wanted)
        elif step == "k" and hand:
            of.kept(hand.pop().file)
        elif step == "r" and hand:
            of.retry_at(hand.pop(), now_s)
    for wanted in hand:
        of.retry_at(wanted, now_s)
    of.found(disk.values(), now_s + 1)
    kept = take_all(of, now_s + 9)
    for one in kept:
        of.kept(one)
    of.found(disk.values(), now_s + 10)
    assert of.missing == 0
    assert len(kept) == len(set(kept))
