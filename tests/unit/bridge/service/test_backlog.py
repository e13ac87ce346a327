"""The backlog: newest first, misdated last, bounded, and nothing is lost in it."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge.model.order import Held, ScanFile, is_misdated, supersedes
from bridge.service import backlog as module
from bridge.service.backlog import (
    FIRST_RETRY_S,
    LAST_RETRY_S,
    MOST_RECENT,
    MOST_WAITING,
    RECENT_S,
    Backlog,
    Waiting,
)

S = 1_000_000_000
NOW = 1_774_339_200 * S
MAX_FUTURE_S = 5.0
SETTLE_S = 2.0
QUIET_S = 0.25


def scan(mtime_ns: int = NOW, path: str = "2026-03-24/a.arrow", size: int = 100, landed_ns: int = NOW) -> ScanFile:
    return ScanFile(mtime_ns, path, size, landed_ns)


def numbered(number: int) -> ScanFile:
    return scan(NOW - S + number, f"2026-03-24/{number:05}.arrow")


MISDATED = scan(NOW + 3600 * S, "2026-03-24/misdated.arrow")


@pytest.fixture
def backlog() -> Backlog:
    return Backlog(MAX_FUTURE_S, SETTLE_S, QUIET_S)


def offer(backlog: Backlog, file: ScanFile, now_s: float = 0.0) -> int:
    """As after an event that says that its writer is done."""
    return backlog.offer(file, now_s, NOW, writer_done=True)


def order_of(backlog: Backlog, now_s: float = 0.0) -> list[ScanFile]:
    """Everything due, as it comes."""
    files = []
    while waiting := backlog.next(now_s, NOW):
        files.append(waiting.file)
        backlog.drop(waiting.file)
    return files


def taken(backlog: Backlog, now_s: float = 0.0) -> Waiting:
    waiting = backlog.next(now_s, NOW)
    assert waiting is not None
    return waiting


def test_the_newest_comes_first(backlog: Backlog) -> None:
    for number in (2, 0, 3, 1):
        offer(backlog, numbered(number))
    assert order_of(backlog) == [numbered(3), numbered(2), numbered(1), numbered(0)]
    assert len(backlog) == 0


def test_scans_dated_in_the_future_come_last(backlog: Backlog) -> None:
    for file in (MISDATED, numbered(1), numbered(2)):
        offer(backlog, file)
    assert order_of(backlog) == [numbered(2), numbered(1), MISDATED]


def test_an_empty_backlog_has_nothing_and_waits_for_nothing(backlog: Backlog) -> None:
    assert backlog.next(0, NOW) is None
    assert backlog.due_in_s(0) is None
    assert backlog.newest is None


def test_a_file_offered_twice_waits_once(backlog: Backlog) -> None:
    for _ in range(3):
        offer(backlog, scan())
    assert order_of(backlog) == [scan()]


def test_a_file_that_changed_waits_once_as_it_is_now(backlog: Backlog) -> None:
    offer(backlog, scan(size=100))
    offer(backlog, scan(size=200))
    assert order_of(backlog) == [scan(size=200)]


# ---- when a file counts


def test_a_file_whose_writer_is_done_comes_at_once(backlog: Backlog) -> None:
    backlog.offer(scan(), 10.0, NOW, writer_done=True)
    assert taken(backlog, 10.0).file == scan()


def test_a_file_of_which_no_event_says_so_comes_when_it_was_quiet_and_others_before(backlog: Backlog) -> None:
    backlog.offer(numbered(2), 10.0, NOW)
    backlog.offer(numbered(1), 10.0, NOW, writer_done=True)
    assert taken(backlog, 10.0).file == numbered(1)
    backlog.drop(numbered(1))
    assert backlog.next(10.0 + QUIET_S - 0.01, NOW) is None
    assert backlog.due_in_s(10.0) == pytest.approx(QUIET_S)
    assert backlog.due_in_s(20.0) == 0.0
    assert taken(backlog, 10.0 + QUIET_S).file == numbered(2)


def test_an_event_that_says_so_makes_an_end_of_waiting_and_nothing_takes_it_back(backlog: Backlog) -> None:
    backlog.offer(scan(), 0.0, NOW)
    backlog.offer(scan(), 0.1, NOW, writer_done=True)
    backlog.offer(scan(), 0.2, NOW)
    assert taken(backlog, 0.1).file == scan()


def test_each_change_begins_the_wait_anew(backlog: Backlog) -> None:
    for tenth in range(10):
        backlog.offer(scan(size=tenth), tenth / 10, NOW)
        assert backlog.next(tenth / 10 + 0.099, NOW) is None
    assert backlog.next(0.9 + QUIET_S - 0.01, NOW) is None
    assert taken(backlog, 0.9 + QUIET_S).file == scan(size=9)


def test_to_be_seen_again_unchanged_does_not_begin_the_wait_anew(backlog: Backlog) -> None:
    for tenth in range(3):
        backlog.offer(scan(), tenth / 10, NOW)
    assert taken(backlog, QUIET_S).file == scan()


def test_a_file_that_was_quiet_before_it_was_seen_waits_for_the_rest_only(backlog: Backlog) -> None:
    backlog.offer(numbered(1), 10.0, NOW, age_s=QUIET_S - 0.1)
    backlog.offer(numbered(2), 10.0, NOW, age_s=QUIET_S)
    assert order_of(backlog, 10.0) == [numbered(2)]
    assert order_of(backlog, 10.11) == [numbered(1)]


def test_of_a_file_that_changed_after_the_event_the_event_says_nothing(backlog: Backlog) -> None:
    """Two writers, of which one has closed it; or it is being rewritten."""
    backlog.offer(scan(size=1), 0.0, NOW, writer_done=True)
    backlog.changed(taken(backlog), scan(size=2), 0.0, NOW)
    assert backlog.next(QUIET_S - 0.01, NOW) is None
    assert taken(backlog, QUIET_S).file == scan(size=2)


@pytest.mark.parametrize(
    "after",
    [scan(landed_ns=NOW + 1), scan(mtime_ns=NOW - S, landed_ns=NOW + 1)],
    ids=["mode or owner set", "time set back"],
)
def test_a_file_that_was_only_touched_after_the_event_need_not_be_quiet(backlog: Backlog, after: ScanFile) -> None:
    backlog.offer(scan(), 0.0, NOW, writer_done=True)
    backlog.offer(after, 0.0, NOW)
    assert taken(backlog).file == after


def test_an_event_is_worth_one_try_after_that_the_file_has_to_be_quiet(backlog: Backlog) -> None:
    """Bytes that do not validate when a writer closes the file are those of another who goes on; or bad."""
    backlog.offer(scan(), 0.0, NOW, writer_done=True)
    assert backlog.retry_later(taken(backlog), 0.0)
    assert backlog.next(QUIET_S - 0.01, NOW) is None
    assert taken(backlog, QUIET_S).file == scan()


def test_where_producers_always_rename_nothing_has_to_be_quiet() -> None:
    backlog = Backlog(MAX_FUTURE_S, SETTLE_S, quiet_s=0.0)
    backlog.offer(scan(), 0.0, NOW)
    assert taken(backlog).file == scan()
    backlog.changed(taken(backlog), scan(size=2), 0.0, NOW)
    assert 0 < (backlog.due_in_s(0.0) or 0) < 0.1, "but a writer at work costs no busy loop"


# ---- what does not validate


def test_a_file_that_does_not_validate_is_tried_again_with_backoff(backlog: Backlog) -> None:
    offer(backlog, scan())
    now_s = 0.0
    waits_s = []
    while backlog.retry_later(taken(backlog, now_s), now_s):
        wait_s = backlog.due_in_s(now_s)
        assert wait_s is not None
        waits_s.append(wait_s)
        now_s += wait_s
    assert waits_s[:3] == pytest.approx([QUIET_S, 2 * FIRST_RETRY_S, 4 * FIRST_RETRY_S])
    assert waits_s[-1] == pytest.approx(LAST_RETRY_S)
    assert SETTLE_S <= now_s <= SETTLE_S + LAST_RETRY_S


def test_a_file_that_nobody_served_is_tried_again_for_ever_and_overtaken_like_any_other(backlog: Backlog) -> None:
    for file in (numbered(1), numbered(2)):
        offer(backlog, file)
    waiting = taken(backlog)
    for now_s in range(0, 100, 10):
        backlog.put_off(waiting, 5.0, float(now_s))
        assert taken(backlog, now_s + 4.9).file == numbered(1)
        assert taken(backlog, now_s + 5.0) is waiting
    backlog.drop(waiting.file)
    backlog.put_off(taken(backlog), 5.0, 100.0)
    assert backlog.drop_overtaken(Held(numbered(2).key, NOW), NOW) == [numbered(1)]


def test_a_file_that_keeps_changing_gets_its_time_anew(backlog: Backlog) -> None:
    for second in range(60):
        offer(backlog, scan(size=second), second)
        assert backlog.retry_later(taken(backlog, second), second)
    assert backlog.retry_later(taken(backlog, 60), 59 + SETTLE_S - 0.001)
    assert not backlog.retry_later(taken(backlog, 70), 59 + SETTLE_S)


def test_the_backoff_goes_on_where_it_was_when_a_file_changes(backlog: Backlog) -> None:
    offer(backlog, scan(size=1))
    backlog.retry_later(taken(backlog), 0)
    offer(backlog, scan(size=2))
    assert taken(backlog).tries == 1


def test_a_file_known_to_have_long_been_quiet_is_bad_at_the_first_try(backlog: Backlog) -> None:
    backlog.offer(scan(), 0, NOW, age_s=SETTLE_S)
    assert not backlog.retry_later(taken(backlog), 0)


@pytest.mark.parametrize("landed_ns", [NOW, NOW - 3600 * S, NOW + 3600 * S])
def test_a_file_first_seen_now_gets_time_whatever_its_dates_and_the_servers_clock(
    backlog: Backlog, landed_ns: int
) -> None:
    offer(backlog, scan(mtime_ns=NOW - 3600 * S, landed_ns=landed_ns))
    assert backlog.retry_later(taken(backlog), 0)


def test_a_settled_file_is_not_taken_in_again_until_it_changes(backlog: Backlog) -> None:
    offer(backlog, scan())
    backlog.settle(scan())
    assert len(backlog) == 0
    offer(backlog, scan())
    assert len(backlog) == 0
    offer(backlog, scan(landed_ns=NOW + 1))
    assert order_of(backlog) == [scan(landed_ns=NOW + 1)]


@pytest.mark.parametrize("end", ["drop", "settle"])
def test_what_becomes_of_a_file_does_not_touch_its_newer_version(backlog: Backlog, end: str) -> None:
    """A file may be rewritten while its former version is on its way to the map."""
    offer(backlog, scan(size=1))
    in_hand = taken(backlog).file
    offer(backlog, scan(size=2))
    getattr(backlog, end)(in_hand)
    assert order_of(backlog) == [scan(size=2)]


def test_only_so_many_settled_files_are_remembered(backlog: Backlog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SETTLED", 3)
    for number in range(5):
        backlog.settle(numbered(number))
    for number in range(5):
        offer(backlog, numbered(number))
    assert order_of(backlog) == [numbered(1), numbered(0)]


def test_the_newest_seen_is_remembered_after_it_is_done_with(backlog: Backlog) -> None:
    offer(backlog, numbered(2))
    backlog.drop(numbered(2))
    offer(backlog, numbered(1))
    offer(backlog, MISDATED)
    assert backlog.newest == numbered(2)


def test_beyond_the_room_the_oldest_are_given_up_and_counted(backlog: Backlog) -> None:
    offered = 3 * MOST_WAITING
    given_up = 0
    for number in range(offered):
        given_up += offer(backlog, numbered(number))
        assert len(backlog) <= MOST_WAITING
    assert len(backlog) == offered - given_up >= MOST_WAITING // 2
    assert sorted(order_of(backlog)) == [numbered(number) for number in range(given_up, offered)]


def test_a_flood_of_misdated_scans_does_not_crowd_out_those_with_a_possible_date(backlog: Backlog) -> None:
    for number in range(MOST_WAITING):
        offer(backlog, scan(NOW + 3600 * S + number, f"2026-03-24/misdated{number}.arrow"))
    offer(backlog, numbered(1))
    assert taken(backlog).file == numbered(1)


def test_what_a_publish_overtook_is_dropped_and_named(backlog: Backlog) -> None:
    for number in range(5):
        offer(backlog, numbered(number))
    overtaken = backlog.drop_overtaken(Held(numbered(3).key, NOW), NOW)
    assert sorted(overtaken) == [numbered(0), numbered(1), numbered(2), numbered(3)]
    assert order_of(backlog) == [numbered(4)]


def test_the_file_of_the_held_scan_stays_if_it_changed_while_that_was_published(backlog: Backlog) -> None:
    """Its time was set to an earlier one."""
    earlier = numbered(3)._replace(mtime_ns=NOW - 60 * S, ctime_ns=NOW + 1)
    offer(backlog, earlier)
    assert backlog.drop_overtaken(Held(numbered(3).key, NOW), NOW) == []
    assert order_of(backlog) == [earlier]


def test_the_newest_seen_goes_back_with_its_own_time(backlog: Backlog) -> None:
    offer(backlog, numbered(3))
    offer(backlog, numbered(3)._replace(mtime_ns=NOW - 60 * S))
    assert backlog.newest == numbered(3)._replace(mtime_ns=NOW - 60 * S)


def test_a_file_that_did_not_validate_is_owed_a_verdict_even_when_overtaken(backlog: Backlog) -> None:
    offer(backlog, numbered(1))
    backlog.retry_later(taken(backlog), 0)
    assert backlog.drop_overtaken(Held(numbered(2).key, NOW), NOW) == []
    assert order_of(backlog, 1) == [numbered(1)]


# ---- what is to be seen again where no event tells of changes


def test_what_changed_lately_and_what_is_bad_is_seen_again(backlog: Backlog) -> None:
    offer(backlog, numbered(1), 0.0)
    offer(backlog, numbered(2), 30.0)
    backlog.drop(numbered(1))  # published, or overtaken
    assert backlog.to_stat_again(RECENT_S) == [numbered(1).path, numbered(2).path]
    assert backlog.to_stat_again(RECENT_S + 1) == [numbered(2).path]
    backlog.settle(numbered(1))  # bad
    assert backlog.to_stat_again(RECENT_S + 1) == [numbered(2).path, numbered(1).path]
    offer(backlog, scan(path=numbered(2).path, size=7), RECENT_S)
    assert backlog.to_stat_again(2 * RECENT_S) == [numbered(2).path, numbered(1).path]


def test_after_the_clock_was_stepped_back_the_newest_seen_is_one_that_came_then(backlog: Backlog) -> None:
    backlog.offer(numbered(3), 0.0, NOW)
    then_ns = NOW - 3600 * S
    come = scan(then_ns, "2026-03-24/00004.arrow", landed_ns=then_ns)
    backlog.offer(come, 0.0, then_ns)
    assert backlog.newest == come


def test_its_number_is_bounded_and_the_newest_stay(backlog: Backlog) -> None:
    for number in range(2 * MOST_RECENT):
        offer(backlog, numbered(number), 0.0)
        backlog.settle(scan(path=f"2026-03-24/bad_{number}.arrow"))
    again = backlog.to_stat_again(1.0)
    assert len(again) == 2 * MOST_RECENT
    assert numbered(2 * MOST_RECENT - 1).path in again
    assert f"2026-03-24/bad_{2 * MOST_RECENT - 1}.arrow" in again


paths = st.sampled_from([f"2026-03-24/{letter}.arrow" for letter in "abcdefgh"])
ages_s = st.integers(-20, 20)  # negative: dated ahead, below -MAX_FUTURE_S in the future


class NothingIsLost(RuleBasedStateMachine):
    """A bridge at work: files come, change, are published, fail, are given up.

    Each version of a file that was ever taken in must end exactly once: published, skipped, settled, or replaced by
    a newer version of the same file. `ends` is that account, kept by the rules as the pipeline keeps it.
    """

    ROOM = 4

    def __init__(self) -> None:
        super().__init__()
        self.room, module.MOST_WAITING = module.MOST_WAITING, self.ROOM
        self.backlog = Backlog(MAX_FUTURE_S, SETTLE_S, QUIET_S)
        self.now_s = 1000.0
        self.on_disk: dict[str, ScanFile] = {}
        self.waiting: dict[str, ScanFile] = {}
        self.settled: dict[str, ScanFile] = {}
        self.ends: Counter[ScanFile] = Counter()
        self.taken_in: set[ScanFile] = set()
        self.in_map: list[tuple[ScanFile, Held]] = []

    def teardown(self) -> None:
        """When the producer stops, everything gets its end in bounded time."""
        for _ in range(1000):
            due_in_s = self.backlog.due_in_s(self.now_s)
            if due_in_s is None:
                break
            self.now_s += due_in_s
            if not self.backlog.retry_later(self.next_due(), self.now_s):
                self.settle(self.next_due().file)
        module.MOST_WAITING = self.room
        assert len(self.backlog) == 0
        assert set(self.ends) == self.taken_in
        assert set(self.ends.values()) <= {1}

    @property
    def now_ns(self) -> int:
        return NOW + int(self.now_s * S)

    @property
    def held(self) -> Held | None:
        return self.in_map[-1][1] if self.in_map else None

    def next_due(self) -> Waiting:
        waiting = self.backlog.next(self.now_s, self.now_ns)
        assert waiting is not None
        return waiting

    def rank(self, file: ScanFile) -> tuple[bool, ScanFile]:
        return not is_misdated(file.mtime_ns, self.now_ns, MAX_FUTURE_S), file

    def end(self, file: ScanFile) -> None:
        self.ends[file] += 1
        if self.waiting.get(file.path) == file:
            del self.waiting[file.path]

    def settle(self, file: ScanFile) -> None:
        self.backlog.settle(file)
        self.settled[file.path] = file
        self.end(file)

    def offer(self, file: ScanFile, *, writer_done: bool = False) -> None:
        before = dict(self.waiting)
        given_up = self.backlog.offer(file, self.now_s, self.now_ns, writer_done=writer_done)
        if self.settled.get(file.path) == file:
            assert given_up == 0
            return
        former = before.get(file.path)
        if former != file:
            if former:
                self.end(former)
            self.taken_in.add(file)
            self.waiting[file.path] = file
        for lost in sorted(self.waiting.values(), key=self.rank)[:given_up]:
            self.end(lost)

    @rule(path=paths, age_s=ages_s, size=st.integers(0, 3), writer_done=st.booleans())
    def write(self, path: str, age_s: int, size: int, writer_done: bool) -> None:
        """A file is written, or rewritten: its inode changes now, whatever date it bears."""
        self.now_s += 0.001
        self.on_disk[path] = ScanFile(self.now_ns - age_s * S, path, size, self.now_ns)
        self.offer(self.on_disk[path], writer_done=writer_done)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def see_again(self, data: st.DataObject) -> None:
        """A rescan finds a file that is still waiting."""
        self.offer(data.draw(st.sampled_from(sorted(self.waiting.values()))))

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def see_settled_again(self, data: st.DataObject) -> None:
        self.offer(data.draw(st.sampled_from(sorted(self.settled.values()))))

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(rewritten=st.booleans())
    def publish_the_next(self, rewritten: bool) -> None:
        """Also with the file rewritten while its former version is on its way."""
        waiting = self.backlog.next(self.now_s, self.now_ns)
        if waiting is None:
            return
        file = waiting.file
        if rewritten:
            self.write(file.path, 0, 9, True)
            assert self.ends[file] == 1
        if not supersedes(file, self.held, self.now_ns, MAX_FUTURE_S):
            self.backlog.drop(file)
        else:
            held = Held(file.key, self.now_ns)
            self.in_map.append((file, held))
            self.backlog.drop(file)
            for overtaken in self.backlog.drop_overtaken(held, self.now_ns):
                self.end(overtaken)
        if not rewritten:
            self.end(file)

    @rule()
    def fail_the_next(self) -> None:
        waiting = self.backlog.next(self.now_s, self.now_ns)
        if waiting is not None and not self.backlog.retry_later(waiting, self.now_s):
            self.settle(waiting.file)

    @invariant()
    def what_waits_is_what_should(self) -> None:
        assert len(self.backlog) == len(self.waiting)
        assert self.taken_in == set(self.ends) | set(self.waiting.values())
        assert not set(self.ends) & set(self.waiting.values())

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.backlog) <= self.ROOM

    @invariant()
    def the_best_that_is_due_is_next(self) -> None:
        """Once everything is due, next is the newest with a possible date."""
        waiting = self.backlog.next(self.now_s + 3600, self.now_ns)
        best = max(self.waiting.values(), key=self.rank, default=None)
        assert (waiting and waiting.file) == best

    @invariant()
    def the_next_has_its_time_come(self) -> None:
        waiting = self.backlog.next(self.now_s, self.now_ns)
        due_in_s = self.backlog.due_in_s(self.now_s)
        assert (waiting is not None) == (due_in_s == 0)


TestNothingIsLost = pytest.mark.exhaustive(NothingIsLost.TestCase)
TestNothingIsLost.settings = settings(max_examples=60, stateful_step_count=40)
