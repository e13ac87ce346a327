"""What the bridge does at the start and afterwards does not grow with the archive."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hazelcast
import pytest
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, eventually, land, scan

pytestmark = pytest.mark.hazelcast
FILES_A_DAY = 125


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder where making and removing tens of thousands of files takes no time."""
    shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="scan-bridge-", dir=shared_memory) as folder:
        yield Path(folder)


def make_archive(root: Path, days: int) -> None:
    """`days` old day folders with FILES_A_DAY scans each."""
    content = scan()
    for number in range(1, days + 1):
        folder = root / day(-number)
        folder.mkdir(parents=True)
        (folder / "scan_000.arrow").write_bytes(content)
        for file in range(1, FILES_A_DAY):
            os.link(folder / "scan_000.arrow", folder / f"scan_{file:03}.arrow")


def traced(new_bridge: NewBridge, root: Path, trace: Path) -> BridgeProcess:
    """A bridge whose system calls with file names, and its listings, are written to `trace`."""
    # -D: the bridge keeps the process id that the test knows.
    strace = ["strace", "-D", "-f", "-qq", "-y", "--seccomp-bpf", "-e", "trace=%file,getdents64", "-o", str(trace)]
    return new_bridge(root.name, root=root, source={"rescan_s": 0.1}, prefix=strace)


def touched(trace: Path, root: Path) -> dict[str, int]:
    """How often each path below ROOT was opened, examined or listed."""
    counts: dict[str, int] = {}
    for path in re.findall(re.escape(str(root)) + r"/([^\">]+)", trace.read_text()):
        counts[path] = counts.get(path, 0) + 1
    return counts


def wait_for_looks(trace: Path, root: Path, count: int) -> None:
    """Wait until ROOT was listed so many times more."""

    def looks() -> int:
        return len(re.findall(f"getdents64.*{re.escape(str(root))}>", trace.read_text()))

    before = looks()
    eventually(lambda: looks() >= before + count, "it goes on looking")


@pytest.mark.strace
def test_with_50000_old_files_it_goes_straight_to_the_newest_and_touches_no_more_than_with_few(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, in_memory: Path, consumer: Consumer
) -> None:
    paths_touched: dict[int, list[set[str]]] = {}
    for days in (4, 400):
        root, trace = in_memory / f"archive_{days}", in_memory / f"trace_{days}"
        make_archive(root, days)
        bridge = traced(new_bridge, root, trace)
        for run in ("first", "second"):  # the second time the map holds a scan
            newest = land(root, f"{day()}/{run}_newest.arrow")
            bridge.start()
            consumer.expect(newest)
            wait_for_looks(trace, root, 3)
            consumer.expect(land(root, f"{day()}/{run}_newer.arrow"))
            assert bridge.terminate() == 0
            paths_touched.setdefault(days, []).append(set(touched(trace, root)))
        client.get_map(bridge.target.map_name).blocking().clear()

    assert len(paths_touched[4][0]) > FILES_A_DAY  # the trace is complete
    assert paths_touched[400] == paths_touched[4]
    assert {path.split("/")[0] for paths in paths_touched[400] for path in paths} == {day(), day(-1)}


@pytest.mark.strace
def test_in_a_folder_with_thousands_of_files_a_new_scan_does_not_make_it_examine_the_others_again(
    new_bridge: NewBridge, in_memory: Path, consumer: Consumer
) -> None:
    root, trace = in_memory / "full", in_memory / "trace"
    bridge = traced(new_bridge, root, trace)
    land(root, f"{day()}/old.arrow")
    for number in range(5000):
        os.link(root / day() / "old.arrow", root / day() / f"old_{number:04}.arrow")
    bridge.start()
    consumer.expect(land(root, f"{day()}/scan.arrow"))
    wait_for_looks(trace, root, 2)
    settled = touched(trace, root)

    for number in range(20):
        consumer.expect(land(root, f"{day()}/scan_{number:02}.arrow"))
    wait_for_looks(trace, root, 5)

    again = {path for path, count in touched(trace, root).items() if count > settled.get(path, 0)}
    assert len(again) > 20
    assert not [path for path in again if "/old_" in path]
