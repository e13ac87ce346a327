"""Events are a hint: what they miss is found, and where there are none the bridge polls."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import hazelcast
import pytest
from support import mounts
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, eventually, land, scan

from bridge.folder.day_folder import RACY_S

pytestmark = pytest.mark.hazelcast
QUEUE_LIMIT = Path("/proc/sys/fs/inotify/max_queued_events")


def seconds_between(earlier: str, later: str) -> float:
    """Of two heartbeats."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def fill_the_queue(folder: Path) -> None:
    """More events than the kernel keeps for a reader that sleeps. (Its limit is for all, so no test may lower it.)"""
    for number in range(int(QUEUE_LIMIT.read_text()) + 10):
        (folder / f"noise_{number % 2}").write_bytes(b"")  # one after the other, or they would count as one


@pytest.fixture
def fuse(as_root: None, tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """(a FUSE mount, the folder below it): what is written below changes the mount without an event there."""
    point, below = tmp_path / "mounted", tmp_path / "below"
    with mounts.bound(below, point, cached_s=3600):
        yield point, below


def test_an_overflow_of_the_event_queue_loses_no_scan(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"rescan_s": 3600}).start()
    consumer.expect(land(bridge.root, f"{day()}/before.arrow"))

    bridge.send(signal.SIGSTOP)
    fill_the_queue(bridge.root / day())
    for number in range(50):
        land(bridge.root, f"{day()}/{number:02}.arrow")
    late_day = day(1)
    land(bridge.root, f"{late_day}/newest.arrow")
    bridge.send(signal.SIGCONT)

    consumer.expect(f"{late_day}/newest.arrow")
    consumer.expect(land(bridge.root, f"{late_day}/after.arrow"))
    bridge.wait_status(client, lambda status: status["counters"]["overflows"] == 1, "it is counted")
    assert len(bridge.lines("events were lost")) == 1


def test_an_overflow_does_not_hide_a_scan_rewritten_in_place(new_bridge: NewBridge, consumer: Consumer) -> None:
    bridge = new_bridge(source={"rescan_s": 3600}).start()
    path = land(bridge.root, f"{day()}/scan.arrow")
    consumer.expect(path)

    bridge.send(signal.SIGSTOP)
    fill_the_queue(bridge.root / day())
    (bridge.root / path).write_bytes(scan("rewritten"))
    bridge.send(signal.SIGCONT)

    eventually(lambda: consumer.seen[-1].metadata["tag"] == "rewritten", "the new content is in the map")


@pytest.mark.root
@pytest.mark.fuse
def test_a_scan_without_any_event_is_found_by_the_reconciling_scan(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, fuse: tuple[Path, Path], consumer: Consumer
) -> None:
    point, below = fuse
    bridge = new_bridge(root=point, source={"watch_mode": "inotify", "rescan_s": 0.2}).start()

    for number in range(3):
        consumer.expect(land(below, f"{day()}/{number}.arrow"))
    consumer.expect(land(below, f"{day(1)}/a.arrow"))
    bridge.wait_status(client, lambda status: status["source"]["watch_mode"] == "inotify", "inotify as told")


@pytest.mark.root
@pytest.mark.fuse
def test_polling_is_chosen_by_itself_on_fuse(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, fuse: tuple[Path, Path], consumer: Consumer
) -> None:
    point, below = fuse
    bridge = new_bridge(root=point, source={"poll_s": 0.05, "rescan_s": 3600}).start()
    bridge.wait_log("fuse gives no events")

    for number in range(3):
        consumer.expect(land(below, f"{day()}/{number}.arrow"))
    consumer.expect(land(below, f"{day(1)}/a.arrow"))
    bridge.wait_status(client, lambda status: status["source"]["watch_mode"] == "polling", "it says so")


def test_polling_can_be_forced(new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer) -> None:
    bridge = new_bridge(source={"watch_mode": "polling", "poll_s": 0.05}).start()

    for offset in (-1, 0):
        for name in ("a", "b"):
            consumer.expect(land(bridge.root, f"{day(offset)}/{name}.arrow"))
    bridge.wait_status(client, lambda status: status["source"]["watch_mode"] == "polling", "it says so")
    assert not any("inotify" in os.readlink(fd) for fd in Path(f"/proc/{bridge.pid}/fd").iterdir())


def test_polling_waits_for_a_scan_that_is_still_being_written(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"watch_mode": "polling", "poll_s": 0.05, "settle_s": 30}).start()
    content = scan()
    (bridge.root / day()).mkdir()

    with (bridge.root / day() / "scan.arrow").open("wb") as file:
        file.write(content[:-100])
        file.flush()
        bridge.wait_status(client, lambda status: status["counters"]["retries"] > 2, "it is tried again")
        file.write(content[-100:])

    consumer.expect(f"{day()}/scan.arrow")


def test_polling_publishes_a_scan_whose_writer_paused_until_it_was_called_bad(
    new_bridge: NewBridge, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"watch_mode": "polling", "poll_s": 0.05, "settle_s": 0.2}).start()
    content = scan()
    path = bridge.root / day() / "scan.arrow"
    path.parent.mkdir()
    path.write_bytes(content[:-100])
    bridge.wait_log("bad scan")

    with path.open("ab") as file:
        file.write(content[-100:])

    consumer.expect(f"{day()}/scan.arrow")


def test_polling_notices_that_the_published_scan_is_rewritten_in_place(
    new_bridge: NewBridge, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"watch_mode": "polling", "poll_s": 0.05}).start()
    path = land(bridge.root, f"{day()}/scan.arrow")
    consumer.expect(path)

    (bridge.root / path).write_bytes(scan("rewritten"))

    eventually(lambda: consumer.seen[-1].metadata["tag"] == "rewritten", "the new content is in the map")


@pytest.mark.root
@pytest.mark.fuse
def test_where_folder_times_stand_still_and_the_servers_clock_is_late_scans_are_found_and_given_their_time(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, as_root: None, tmp_path: Path
) -> None:
    point, below = tmp_path / "mounted", tmp_path / "below"
    with mounts.object_store(below, point, behind_s=3600):
        bridge = new_bridge(root=point, source={"poll_s": 0.05, "settle_s": 30}).start()
        for number in range(3):
            consumer.expect(land(below, f"{day()}/{number}.arrow"))
        since = bridge.wait_status(client, bool, "a status")["heartbeat_at"]
        bridge.wait_status(  # as long as it takes until a folder's times are trusted, where they are
            client, lambda status: seconds_between(since, status["heartbeat_at"]) > 2 * RACY_S, "a later heartbeat"
        )
        consumer.expect(land(below, f"{day()}/later.arrow"))

        content = scan()
        (below / day() / "slow.arrow").write_bytes(content[:-100])
        bridge.wait_status(client, lambda status: status["counters"]["retries"] > 2, "it is tried again")
        assert bridge.lines("bad scan") == []
        with (below / day() / "slow.arrow").open("ab") as file:
            file.write(content[-100:])

        consumer.expect(f"{day()}/slow.arrow")
        bridge.terminate()


def test_a_hard_link_into_place_is_published(bridge: BridgeProcess, consumer: Consumer) -> None:
    (bridge.root / day()).mkdir()
    land(bridge.folder, "elsewhere.arrow")

    os.link(bridge.folder / "elsewhere.arrow", bridge.root / day() / "linked.arrow")

    consumer.expect(f"{day()}/linked.arrow")


def test_a_scan_whose_time_is_set_after_it_is_closed_is_published_by_its_time(
    bridge: BridgeProcess, consumer: Consumer
) -> None:
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    newer_ns = consumer.seen[-1].mtime_ns + 1_000_000_000
    land(bridge.root, f"{day()}/b.arrow", mtime_ns=1)

    os.utime(bridge.root / day() / "b.arrow", ns=(newer_ns, newer_ns))

    consumer.expect(f"{day()}/b.arrow")
    assert consumer.seen[-1].mtime_ns == newer_ns


@pytest.mark.limits
@pytest.mark.parametrize(("limit", "said"), [("instances", "no inotify"), ("watches", "watch limit reached")])
def test_where_the_kernel_has_no_watches_left_the_bridge_polls_and_says_so(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, limit: str, said: str
) -> None:
    # Limits of its own, in a user namespace of its own: one watch is enough for ROOT, not for a day folder.
    script = f'echo {int(limit == "watches")} > /proc/sys/user/max_inotify_{limit} && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    bridge = new_bridge(prefix=prefix, source={"poll_s": 0.05}).start()

    for number in range(3):
        consumer.expect(land(bridge.root, f"{day()}/{number}.arrow"))

    assert len(bridge.lines(said)) == 1
    assert "WARNING" in bridge.wait_log(said)
    bridge.wait_status(client, lambda status: status["source"]["watch_mode"] == "polling", "it says so")
