"""`latest_eigen_scan` never goes back, and a wrong clock cannot wedge it."""

from __future__ import annotations

import random
import shutil
import signal
import time

import hazelcast
import pytest
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, eventually, land

pytestmark = pytest.mark.hazelcast
SECOND_NS = 1_000_000_000


@pytest.fixture
def now_ns() -> int:
    return time.time_ns()


def test_an_older_scan_that_lands_later_is_skipped_and_counted(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer, now_ns: int
) -> None:
    land(bridge.root, f"{day()}/b.arrow", mtime_ns=now_ns)
    consumer.expect(f"{day()}/b.arrow")

    land(bridge.root, f"{day()}/a.arrow", mtime_ns=now_ns - 1)
    bridge.wait_status(client, lambda status: status["counters"]["skipped"] == 1, "the older scan is counted")

    land(bridge.root, f"{day()}/c.arrow", mtime_ns=now_ns + 1)
    consumer.expect(f"{day()}/c.arrow")
    assert consumer.sources == [f"{day()}/b.arrow", f"{day()}/c.arrow"]
    assert bridge.status(client)["counters"]["skipped"] == 1


def test_of_scans_with_the_same_time_the_greater_path_counts_as_newer(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer, now_ns: int
) -> None:
    land(bridge.root, f"{day()}/b.arrow", mtime_ns=now_ns)
    consumer.expect(f"{day()}/b.arrow")

    land(bridge.root, f"{day()}/a.arrow", mtime_ns=now_ns)
    land(bridge.root, f"{day(-1)}/c.arrow", mtime_ns=now_ns)
    bridge.wait_status(client, lambda status: status["counters"]["skipped"] >= 1, "it counts as older")
    land(bridge.root, f"{day()}/c.arrow", mtime_ns=now_ns)

    consumer.expect(f"{day()}/c.arrow")
    assert consumer.sources == [f"{day()}/b.arrow", f"{day()}/c.arrow"]


def test_a_day_folder_that_arrives_late_is_looked_into_and_only_what_is_newer_is_published(
    bridge: BridgeProcess, consumer: Consumer, now_ns: int
) -> None:
    consumer.expect(land(bridge.root, f"{day()}/scan.arrow", mtime_ns=now_ns))
    late = bridge.folder / "late"
    land(late, "older.arrow", mtime_ns=now_ns - SECOND_NS)
    late.rename(bridge.root / day(-40))
    land(bridge.root, f"{day(-40)}/old.arrow", mtime_ns=now_ns - 1)

    consumer.expect(land(bridge.root, f"{day(-40)}/newer.arrow", mtime_ns=now_ns + 1))
    late = bridge.folder / "later"
    land(late, "newest.arrow", mtime_ns=now_ns + 2)
    late.rename(bridge.root / day(-50))
    consumer.expect(f"{day(-50)}/newest.arrow")

    assert consumer.sources == [f"{day()}/scan.arrow", f"{day(-40)}/newer.arrow", f"{day(-50)}/newest.arrow"]


def test_a_restart_publishes_nothing_twice_and_goes_on_with_the_sequence(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    for name in ("a", "b"):
        consumer.expect(land(bridge.root, f"{day()}/{name}.arrow"))
    assert bridge.terminate() == 0

    bridge.start()
    last = consumer.expect(land(bridge.root, f"{day()}/c.arrow"))

    assert consumer.sources == [f"{day()}/{name}.arrow" for name in "abc"]
    assert last.sequence == 3
    bridge.wait_status(client, lambda status: status["counters"]["published"] == 1, "it published one scan itself")


def test_a_restart_after_the_newest_file_was_deleted_does_not_publish_the_one_before(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    for name in ("a", "b"):
        consumer.expect(land(bridge.root, f"{day()}/{name}.arrow"))
    assert bridge.terminate() == 0
    (bridge.root / day() / "b.arrow").unlink()

    bridge.start()
    consumer.expect(land(bridge.root, f"{day()}/c.arrow"))

    assert consumer.sources == [f"{day()}/{name}.arrow" for name in "abc"]


def test_after_a_burst_only_the_newest_counts_and_the_overtaken_are_counted(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge()
    for number in range(100):
        land(bridge.root, f"{day()}/{number:03}.arrow")

    bridge.start()
    consumer.expect(f"{day()}/099.arrow")

    assert consumer.sources == [f"{day()}/099.arrow"]
    bridge.wait_status(
        client,
        lambda status: (status["counters"]["published"], status["counters"]["skipped"]) == (1, 99),
        "99 were overtaken",
    )


def test_each_scan_of_a_burst_is_published_or_counted_as_skipped_and_none_twice(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, now_ns: int
) -> None:
    bridge = new_bridge(source={"rescan_s": 0.05}).start()
    order = list(range(300))
    random.Random(2).shuffle(order)
    for number in order:
        land(bridge.root, f"{day()}/{number:03}.arrow", mtime_ns=now_ns + number)

    consumer.expect(f"{day()}/299.arrow")
    bridge.wait_status(
        client,
        lambda status: status["counters"]["published"] + status["counters"]["skipped"] == 300,
        "each was published or skipped",
    )
    bridge.send(signal.SIGHUP)  # the new configuration makes it look at all of them again
    bridge.wait_log("configuration reloaded")
    consumer.expect(land(bridge.root, f"{day()}/last.arrow", mtime_ns=now_ns + 1000))
    status = bridge.wait_status(client, lambda status: status["published"]["path"].endswith("last.arrow"), "the last")
    assert status["counters"]["published"] + status["counters"]["skipped"] == 301


def test_two_bridges_at_once_never_take_the_map_back(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, now_ns: int
) -> None:
    one = new_bridge("one").start()
    two = new_bridge("two", root=one.root).start()
    shuffle = random.Random(1).shuffle

    for batch in range(10):
        # Now both see each scan at once, now one wakes up to find that the map went on without it.
        asleep = (None, one, two)[batch % 3]
        if asleep:
            asleep.send(signal.SIGSTOP)
        *late_or_not, newest = range(batch * 40, batch * 40 + 40)
        shuffle(late_or_not)
        for number in (*late_or_not, newest):
            land(one.root, f"{day()}/{number:03}.arrow", mtime_ns=now_ns + number * 1000)
        consumer.expect(f"{day()}/{newest:03}.arrow")
        if asleep:
            asleep.send(signal.SIGCONT)

    consumer.assert_rising()
    assert {seen.metadata["scan_bridge.bridge"] for seen in consumer.seen} == {"one", "two"}
    eventually(
        lambda: sum(len(bridge.lines("INFO     published")) for bridge in (one, two)) == len(consumer.seen),
        "each value was published by one of them",
    )


def test_a_scan_dated_in_the_future_is_reported_and_holds_nothing_up(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer, now_ns: int
) -> None:
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    consumer.expect(land(bridge.root, f"{day()}/future.arrow", mtime_ns=now_ns + 3600 * SECOND_NS))
    assert "dated 3" in bridge.wait_log("future.arrow is dated")

    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))
    consumer.expect(land(bridge.root, f"{day()}/c.arrow"))
    assert bridge.terminate() == 0
    bridge.start()
    consumer.expect(land(bridge.root, f"{day()}/d.arrow"))

    assert consumer.sources == [f"{day()}/{name}.arrow" for name in ("a", "future", "b", "c", "d")]


def test_a_scan_dated_before_1970_is_reported_published_once_and_holds_nothing_up(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    old = consumer.expect(land(bridge.root, f"{day()}/old.arrow", mtime_ns=-5 * SECOND_NS))
    assert old.metadata["scan_bridge.mtime_ns"] == str(-5 * SECOND_NS)
    bridge.wait_log("old.arrow is dated before 1970")
    for _ in range(2):
        assert bridge.terminate() == 0
        bridge.start()
        bridge.wait_log("the map holds")
        bridge.wait_status(client, lambda status: status["published"] is None, "it publishes nothing anew")

    last = consumer.expect(land(bridge.root, f"{day()}/b.arrow"))

    assert consumer.sources == [f"{day()}/{name}.arrow" for name in ("a", "old", "b")]
    assert last.sequence == 3


def test_a_map_that_holds_a_scan_dated_in_the_future_gives_way_to_one_with_a_possible_date(
    new_bridge: NewBridge, consumer: Consumer, now_ns: int
) -> None:
    bridge = new_bridge().start()
    consumer.expect(land(bridge.root, f"{day()}/future.arrow", mtime_ns=now_ns + 3600 * SECOND_NS))
    assert bridge.terminate() == 0
    shutil.rmtree(bridge.root / day())
    land(bridge.root, f"{day()}/now.arrow")

    bridge.start()

    consumer.expect(f"{day()}/now.arrow")
    bridge.wait_log("the map holds")
    assert consumer.sources == [f"{day()}/future.arrow", f"{day()}/now.arrow"]


def test_a_producer_whose_clock_is_ahead_is_followed_in_its_order(
    bridge: BridgeProcess, consumer: Consumer, now_ns: int
) -> None:
    for number in range(5):
        ahead_ns = (600 + number) * SECOND_NS
        consumer.expect(land(bridge.root, f"{day()}/{number}.arrow", mtime_ns=now_ns + ahead_ns))

    consumer.assert_rising()
