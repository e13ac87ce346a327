"""A file that changes once it is published, without becoming newer: its time is set late, or its content is another."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import hazelcast
import pytest
from support import process
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, eventually, land, scan

pytestmark = pytest.mark.hazelcast
S = 1_000_000_000
HABIT = "only after closing it"


@pytest.fixture(params=["inotify", "polling"])
def watching(request: pytest.FixtureRequest, new_bridge: NewBridge) -> BridgeProcess:
    """A bridge that watches in each of its ways."""
    bridge = new_bridge(source={"watch_mode": request.param, "poll_s": 0.05, "rescan_s": 3600})
    (bridge.root / day()).mkdir()
    return bridge.start()


def set_time(bridge: BridgeProcess, path: str, ago_s: float) -> int:
    """Set a file's time to so long ago; that time. Minutes, not seconds, lie between times that are compared."""
    at_ns = time.time_ns() - int(ago_s * S)
    os.utime(bridge.root / path, ns=(at_ns, at_ns))
    return at_ns


def published_at(status: dict[str, Any]) -> int | None:
    """The time of the scan that the status calls published."""
    return (status["published"] or {}).get("mtime_ns")


def wait_for_date(consumer: Consumer, path: str, mtime_ns: int) -> None:
    """Wait until the map holds this scan under this time."""
    eventually(
        lambda: consumer.seen and consumer.seen[-1].key == (mtime_ns, path),
        lambda: f"{path} as of {mtime_ns}; seen: {[seen.key for seen in consumer.seen]}",
    )


def test_a_time_that_is_set_after_the_close_becomes_the_held_scans_own_and_later_scans_get_through(
    watching: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    late = land(watching.root, f"{day()}/late.arrow", scan("late"))
    before = consumer.expect(late)

    true_ns = set_time(watching, late, 573)

    wait_for_date(consumer, late, true_ns)
    after = consumer.seen[-1]
    assert after.table.equals(before.table)
    assert (after.metadata["tag"], after.sequence) == ("late", before.sequence + 1)
    watching.wait_status(client, lambda status: published_at(status) == true_ns, "it says so")
    assert watching.status(client)["newest"]["mtime_ns"] == true_ns
    consumer.expect(land(watching.root, f"{day()}/b.arrow", mtime_ns=true_ns + S))
    assert watching.status(client)["counters"]["bad"] == 0


def test_the_producers_habit_is_named_once(watching: BridgeProcess, consumer: Consumer) -> None:
    for number in range(3):
        path = land(watching.root, f"{day()}/{number}.arrow")
        consumer.expect(path)
        wait_for_date(consumer, path, set_time(watching, path, 60 - number))

    eventually(lambda: len(watching.lines("corrected the time of")) == 3, watching.log)
    (warning,) = watching.lines(HABIT)
    assert "WARNING" in warning
    assert "rename" in warning


def test_what_the_wrong_time_hid_is_published(watching: BridgeProcess, consumer: Consumer) -> None:
    """Both the scan that was held before, and one that came meanwhile and counted as older."""
    now_ns = time.time_ns()
    held = land(watching.root, f"{day()}/held_before.arrow", mtime_ns=now_ns - 2000 * S)
    consumer.expect(held)
    backfilled = land(watching.root, f"{day()}/backfilled.arrow")
    consumer.expect(backfilled)
    backfilled_ns = set_time(watching, backfilled, 3600)
    wait_for_date(consumer, held, now_ns - 2000 * S)
    assert (backfilled_ns, backfilled) in [seen.key for seen in consumer.seen]

    late = land(watching.root, f"{day()}/late.arrow")
    consumer.expect(late)
    meanwhile = land(watching.root, f"{day()}/meanwhile.arrow", mtime_ns=now_ns - 500 * S)
    set_time(watching, late, 1300)
    wait_for_date(consumer, meanwhile, now_ns - 500 * S)


def test_a_time_that_was_set_while_the_bridge_was_down_is_corrected_at_the_start(
    watching: BridgeProcess, consumer: Consumer
) -> None:
    late = land(watching.root, f"{day()}/late.arrow")
    consumer.expect(late)
    assert watching.terminate() == 0
    true_ns = set_time(watching, late, 60)
    hidden = land(watching.root, f"{day()}/hidden.arrow", mtime_ns=true_ns + S)

    watching.start()

    wait_for_date(consumer, hidden, true_ns + S)
    assert (true_ns, late) in [seen.key for seen in consumer.seen]


@pytest.mark.parametrize(
    "tool",
    [["cp", "-p"], pytest.param(["rsync", "--inplace", "-t"], marks=pytest.mark.rsync), ["python3", "-c", "copy2"]],
)
def test_scans_copied_by_real_tools_end_under_their_own_times(
    bridge: BridgeProcess, consumer: Consumer, tool: list[str], tmp_path: Path
) -> None:
    if tool[-1] == "copy2":
        tool = ["python3", "-c", "import shutil, sys; shutil.copy2(*sys.argv[1:])"]
    (bridge.root / day()).mkdir()
    now_ns = time.time_ns()
    for number in range(5):
        path = land(tmp_path, f"{number}.arrow", mtime_ns=now_ns - (100 - number) * S)
        process.run([*tool, tmp_path / path, bridge.root / day() / path], check=True)
        wait_for_date(consumer, f"{day()}/{path}", now_ns - (100 - number) * S)


def test_two_bridges_whose_copies_differ_in_their_times_do_not_correct_each_other(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    one, other = new_bridge("one", source={"rescan_s": 0.1}), new_bridge("other", source={"rescan_s": 0.1})
    now_ns = time.time_ns()
    content = scan("same")
    path = f"{day()}/scan.arrow"
    land(one.root, path, content, mtime_ns=now_ns - 10 * S)
    land(other.root, path, content, mtime_ns=now_ns - 5 * S)
    other.start()
    wait_for_date(consumer, path, now_ns - 5 * S)
    one.start()  # and sees at once what the map holds

    for bridge in (one, other):
        for _ in range(5):
            before = bridge.wait_status(client, bool, "a status")["heartbeat_at"]
            bridge.wait_status(client, lambda status, before=before: status["heartbeat_at"] > before, "a heartbeat")
    assert [seen.key for seen in consumer.seen] == [(now_ns - 5 * S, path)]


def test_other_content_under_the_same_name_and_time_is_told_and_counted_once(
    watching: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    path = land(watching.root, f"{day()}/scan.arrow", scan("first"))
    first = consumer.expect(path)

    land(watching.root, path, scan("corrected, with the old time"), mtime_ns=first.mtime_ns)

    warning = watching.wait_log("has other content by now")
    assert "WARNING" in warning
    assert path in warning
    watching.wait_status(client, lambda status: status["counters"]["skipped"] == 1, "it is counted")
    consumer.expect(land(watching.root, f"{day()}/z_next.arrow"))
    assert consumer.sources == [path, f"{day()}/z_next.arrow"]
    assert len(watching.lines("has other content by now")) == 1
    assert watching.status(client)["counters"]["skipped"] == 1


def test_a_held_scan_that_is_only_touched_or_put_there_again_is_nothing_to_tell(
    watching: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    path = land(watching.root, f"{day()}/scan.arrow", scan("same"))
    first = consumer.expect(path)

    (watching.root / path).chmod(0o640)
    land(watching.root, path, scan("same"), mtime_ns=first.mtime_ns)
    consumer.expect(land(watching.root, f"{day()}/z_next.arrow"))

    assert consumer.sources == [path, f"{day()}/z_next.arrow"]
    assert watching.lines("WARNING") == []
    status = watching.wait_status(client, lambda status: status["counters"]["published"] == 2, "the next one is told")
    assert status["counters"]["skipped"] == 0
