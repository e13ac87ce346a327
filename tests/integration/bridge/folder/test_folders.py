"""Day folders and ROOT come, go and come back; the bridge follows without a restart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import hazelcast
import pytest
from support import process
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, land

pytestmark = pytest.mark.hazelcast


@pytest.fixture
def mounted(as_root: None) -> Iterator[list[Path]]:
    """Mount points to be unmounted after the test, by `unmount`."""
    points: list[Path] = []
    yield points
    for point in points:
        process.run(["umount", "--lazy", point])


def mount(point: Path, mounted: list[Path]) -> None:
    process.run(["mount", "-t", "tmpfs", "scans", point], check=True)
    mounted.append(point)


def test_scans_are_followed_over_midnights(bridge: BridgeProcess, consumer: Consumer) -> None:
    for offset in (-3, -2, -1, 0, 1):
        for name in ("first", "last"):
            consumer.expect(land(bridge.root, f"{day(offset)}/{name}.arrow"))


def test_a_scan_written_right_after_its_folder_is_made_is_published(bridge: BridgeProcess, consumer: Consumer) -> None:
    for number in range(30):
        folder = bridge.root / f"20{number:02}-01-01"
        folder.mkdir()
        (folder / ".scan").write_bytes(b"")
        consumer.expect(land(bridge.root, f"20{number:02}-01-01/scan.arrow"))


def test_a_folder_moved_into_root_with_scans_in_it_is_looked_into(bridge: BridgeProcess, consumer: Consumer) -> None:
    consumer.expect(land(bridge.root, f"{day(-1)}/scan.arrow"))
    prepared = bridge.folder / "prepared"
    for name in ("a", "b", "c"):
        land(prepared, f"{name}.arrow")

    prepared.rename(bridge.root / day())

    consumer.expect(f"{day()}/c.arrow")
    consumer.expect(land(bridge.root, f"{day()}/d.arrow"))


def test_a_day_folder_removed_and_made_again_is_watched_again(bridge: BridgeProcess, consumer: Consumer) -> None:
    for number in range(3):
        consumer.expect(land(bridge.root, f"{day()}/{number}.arrow"))
        shutil.rmtree(bridge.root / day())

    consumer.expect(land(bridge.root, f"{day()}/last.arrow"))


def test_folders_made_ahead_of_time_do_not_hide_todays(new_bridge: NewBridge, consumer: Consumer) -> None:
    bridge = new_bridge()
    for year in range(2090, 2099):
        (bridge.root / f"{year}-01-01").mkdir()
    land(bridge.root, f"{day()}/a.arrow")

    bridge.start()

    consumer.expect(f"{day()}/a.arrow")
    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))


def test_what_is_no_day_folder_and_no_scan_is_left_alone(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    for path in (
        "scan.arrow",
        "2026-3-24/scan.arrow",
        "archive/scan.arrow",
        f"{day()}/nested/scan.arrow",
        f"{day()}/scan.arrow.part",
        f"{day()}/notes.txt",
        f"{day()}/.hidden.arrow",
    ):
        land(bridge.root, path)

    consumer.expect(land(bridge.root, f"{day()}/scan.arrow"))

    assert consumer.sources == [f"{day()}/scan.arrow"]
    status = bridge.wait_status(client, lambda status: status["counters"]["published"] == 1, "one scan")
    assert (status["counters"]["bad"], status["counters"]["skipped"]) == (0, 0)


def test_a_root_that_is_missing_at_the_start_is_waited_for(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, tmp_path: Path, consumer: Consumer
) -> None:
    bridge = new_bridge(root=tmp_path / "not" / "yet").start()

    assert "waiting for scans" in bridge.wait_status_line("does not exist")
    bridge.wait_status(client, lambda status: status["source"]["state"] == "missing", "it says so")
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))
    bridge.wait_status(client, lambda status: status["source"]["state"] == "ok", "it says so")
    assert len(bridge.lines("does not exist")) == 1


def test_a_root_removed_and_made_again_is_followed(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    for number in range(2):
        consumer.expect(land(bridge.root, f"{day()}/{number}_a.arrow"))
        shutil.rmtree(bridge.root)
        bridge.wait_status(client, lambda status: status["source"]["state"] == "missing", "it says so")
        consumer.expect(land(bridge.root, f"{day()}/{number}_b.arrow"))
        consumer.expect(land(bridge.root, f"{day()}/{number}_c.arrow"))


def test_a_root_replaced_between_two_looks_is_followed(bridge: BridgeProcess, consumer: Consumer) -> None:
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    prepared = bridge.folder / "prepared"
    land(prepared, f"{day()}/b.arrow")

    bridge.root.rename(bridge.folder / "old")
    prepared.rename(bridge.root)

    consumer.expect(f"{day()}/b.arrow")
    consumer.expect(land(bridge.root, f"{day()}/c.arrow"))


@pytest.mark.root
def test_a_root_mounted_unmounted_and_mounted_again_is_followed(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, mounted: list[Path], consumer: Consumer
) -> None:
    bridge = new_bridge().start()
    bridge.wait_status(client, lambda status: status["source"]["state"] == "empty", "an empty mount point")

    for number in range(2):
        mount(bridge.root, mounted)
        consumer.expect(land(bridge.root, f"{day()}/{number}_a.arrow"))
        consumer.expect(land(bridge.root, f"{day()}/{number}_b.arrow"))
        bridge.wait_status(client, lambda status: status["source"]["state"] == "ok", "mounted")

        process.run(["umount", bridge.root], check=True)  # fails if the bridge keeps it busy
        bridge.wait_status(client, lambda status: status["source"]["state"] == "empty", "unmounted")


@pytest.mark.root
def test_a_mount_over_a_day_folder_with_no_event_at_all_is_found_by_the_reconciling_scan(
    new_bridge: NewBridge, mounted: list[Path], consumer: Consumer
) -> None:
    bridge = new_bridge(source={"rescan_s": 0.2}).start()
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))

    mount(bridge.root / day(), mounted)
    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))
    consumer.expect(land(bridge.root, f"{day()}/c.arrow"))
