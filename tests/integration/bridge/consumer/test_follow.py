"""Each newest scan as it comes, by iterator and by callback: none twice, none older, and what went by is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.bridge_process import eventually
from support.deaf_relay import DeafRelay
from support.hazelcast_member import Member
from support.scan_values import NewConsumer, Writer, arrow_value

from bridge.consumer import Follower, NoScan, Scan, ScanConsumer, Stale

pytestmark = pytest.mark.hazelcast

PATIENCE_S = 30.0


class Taking:
    """A thread that takes all that an iterator gives."""

    def __init__(self, scans: Iterator[Scan]) -> None:
        self.taken: list[Scan] = []
        self.ended = threading.Event()
        threading.Thread(target=self._take, args=(scans,), daemon=True).start()

    def _take(self, scans: Iterator[Scan]) -> None:
        for scan in scans:
            self.taken.append(scan)
        self.ended.set()

    @property
    def names(self) -> list[str]:
        """Of the scans taken so far."""
        return [name_of(scan) for scan in self.taken]

    def expect(self, *names: str) -> None:
        """Wait until just these were taken."""
        eventually(lambda: len(self.taken) >= len(names), lambda: f"{names}, so far: {self.names}")
        assert self.names == list(names)


def name_of(scan: Scan) -> str:
    return scan.provenance.source.removeprefix("2026-03-24/").removesuffix(".arrow")


def next_fresh(scans: Follower) -> Scan:
    """The next one, once there is a fresh one."""
    try:
        return next(scans)
    except (NoScan, Stale):
        return next(scans)


def test_two_iterators_and_a_callback_each_get_every_scan_once_and_in_order(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    called: list[Scan] = []
    writer.publish("0")
    consumer = consume(member, writer, on_scan=called.append)
    readers = [Taking(consumer.follow()), Taking(consumer.follow())]
    expected = ["0"]
    for reader in readers:
        reader.expect(*expected)

    for number in range(1, 30):
        expected.append(str(number))
        writer.publish(str(number))
        for reader in readers:
            reader.expect(*expected)
        eventually(lambda: len(called) == len(expected), "the callback")

    assert [name_of(scan) for scan in called] == expected
    assert {scan.missed for scan in (*called, *readers[0].taken, *readers[1].taken)} == {0}


def test_one_that_is_slow_gets_the_newest_and_learns_how_many_it_missed(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    writer.publish("0")
    consumer = consume(member, writer)
    scans = consumer.follow()
    assert name_of(next(scans)) == "0"

    for number in range(1, 11):
        writer.publish(str(number))
    eventually(lambda: name_of(consumer.newest()) == "10", "the last one came")

    newest = next(scans)
    assert (name_of(newest), newest.missed) == ("10", 9)
    writer.publish("11")
    newest = next(scans)
    assert (name_of(newest), newest.missed) == ("11", 0)


def test_a_callback_that_is_slow_gets_the_newest_and_learns_how_many_it_missed(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    go_on, called = threading.Semaphore(0), []

    def slow(scan: Scan) -> None:
        called.append((name_of(scan), scan.missed))
        go_on.acquire(timeout=PATIENCE_S)

    writer.publish("0")
    consumer = consume(member, writer, on_scan=slow)
    eventually(lambda: called == [("0", 0)], lambda: f"the first one: {called}")
    for number in range(1, 6):
        writer.publish(str(number))
    eventually(lambda: name_of(consumer.newest()) == "5", "the last one came")
    go_on.release()

    eventually(lambda: len(called) == 2, lambda: f"the second call: {called}")
    go_on.release()
    assert called == [("0", 0), ("5", 4)]


def test_several_threads_on_one_iterator_share_its_scans(consume: NewConsumer, member: Member, writer: Writer) -> None:
    writer.publish("0")
    consumer = consume(member, writer)
    scans = consumer.follow()
    readers = [Taking(scans) for _ in range(4)]
    expected: list[str] = []

    for number in range(30):
        if number:
            writer.publish(str(number))
        expected.append(str(number))
        eventually(
            lambda: sum(len(reader.taken) for reader in readers) == len(expected),
            lambda: f"it was taken: {[reader.names for reader in readers]}",
        )

    assert sorted((name for reader in readers for name in reader.names), key=int) == expected


def test_neither_an_older_value_nor_the_same_one_again_is_handed_out(
    consume: NewConsumer, member: Member, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    older = writer.publish("older", age_s=5)
    same = writer.publish("same")
    reader = Taking(consume(member, writer, look_s=0.05).follow())
    reader.expect("same")

    writer.put(arrow_value(same))
    writer.put(arrow_value(older))
    eventually(lambda: "went back to" in caplog.text, "the older value was seen")
    writer.put(arrow_value(same))
    writer.publish("newer")

    reader.expect("same", "newer")


def test_a_scan_whose_event_was_lost_is_found_by_asking(consume: NewConsumer, member: Member, writer: Writer) -> None:
    relay = DeafRelay(member.port)
    try:
        writer.publish("0")
        consumer = consume(member, writer, members=[relay.address], look_s=0.2)
        reader = Taking(consumer.follow())
        reader.expect("0")
        writer.publish("1")
        reader.expect("0", "1")
        relay.deaf.set()
        lost = relay.lost

        writer.publish("2")

        reader.expect("0", "1", "2")
        assert relay.lost > lost
    finally:
        relay.close()


def test_it_says_once_that_there_is_no_fresh_scan_and_goes_on_with_the_next(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    writer.publish("old", age_s=100)
    scans = consume(member, writer, max_age_s=6.0).follow()
    with pytest.raises(Stale, match=r"old\.arrow"):
        next(scans)

    threading.Timer(0.3, writer.publish, ["fresh"]).start()
    fresh = next(scans)
    assert name_of(fresh) == "fresh"
    with pytest.raises(Stale, match=r"fresh\.arrow is \d+\.\d s old"):
        next(scans)
    writer.publish("fresh again")
    again = next(scans)
    assert (name_of(again), again.missed) == ("fresh again", 0)


def test_a_scan_that_turned_stale_before_it_was_taken_is_not_handed_out(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    consumer = consume(member, writer, max_age_s=5.0)
    scans = consumer.follow()
    with pytest.raises(NoScan):
        next(scans)
    writer.publish("a")
    assert consumer.fresh.wait(PATIENCE_S)
    assert consumer.stale.wait(PATIENCE_S)

    threading.Timer(0.3, writer.publish, ["b"]).start()

    assert name_of(next_fresh(scans)) == "b"


def test_scans_go_on_after_the_member_was_restarted_with_nothing_in_it(
    consume: NewConsumer, own_member: Member, own_writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="bridge.consumer")
    own_writer.publish("a")
    own_writer.publish("b")
    consumer = consume(own_member, own_writer)
    reader = Taking(consumer.follow())
    reader.expect("b")

    own_member.stop()
    eventually(lambda: "away" in caplog.text, "it was noticed")
    own_member.start()
    again = Writer(own_member.client(), own_writer.map_name)
    again.publish("c")  # the sequence begins anew

    reader.expect("b", "c")
    eventually(lambda: "away: over after" in caplog.text, "the end of the trouble was told")
    ours = [record for record in caplog.records if record.threadName == "scan-consumer"]
    assert {record.name for record in ours} == {"bridge.consumer.connection"}


def test_closing_ends_every_iterator_and_callback(consume: NewConsumer, member: Member, writer: Writer) -> None:
    writer.publish("a")
    called: list[Any] = []

    def close_in_callback(scan: Scan) -> None:
        consumer.close()
        called.append(scan)

    ready = threading.Event()
    consumer: ScanConsumer = consume(member, writer, on_scan=lambda scan: ready.wait() and close_in_callback(scan))
    readers = [Taking(consumer.follow()), Taking(consumer.history(time.time_ns(), follow=True))]
    readers[0].expect("a")
    ready.set()

    for reader in readers:
        assert reader.ended.wait(PATIENCE_S)
    eventually(lambda: called, "close() returned in the callback")
    assert list(consumer_threads()) == []


def consumer_threads() -> Iterator[str]:
    """Threads of consumers, once they had the time to end."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        running = [thread.name for thread in threading.enumerate() if thread.name.startswith("scan-consumer")]
        if not running:
            return
        time.sleep(0.01)
    yield from running
