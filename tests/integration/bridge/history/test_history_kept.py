"""Every valid scan of the last hours is in the history: overtaken, late, rewritten, found at a start. Never twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import hazelcast
import pytest
from support.bridge_process import BridgeProcess, Target, day, eventually, land, scan
from support.hazelcast_member import Member
from support.history_map import HistoryMap, valid_files
from support.polling import poll

pytestmark = pytest.mark.hazelcast

NewKeeping = Callable[..., BridgeProcess]
SECOND_NS = 1_000_000_000


def path(name: str) -> str:
    return f"{day()}/{name}.arrow"


def test_what_lay_there_before_the_start_and_what_was_overtaken_is_kept(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping()
    now_ns = time.time_ns()
    for number in range(50):
        land(bridge.root, path(f"old{number}"), mtime_ns=now_ns - (60 + number) * SECOND_NS)
    land(bridge.root, f"{day(-5)}/too-old.arrow", mtime_ns=now_ns - 4000 * SECOND_NS)
    bridge.start()
    for number in range(50):
        land(bridge.root, path(f"burst{number}"))

    too_old = kept_key(bridge.root / f"{day(-5)}/too-old.arrow", bridge.root)
    expected = valid_files(bridge.root).keys() - {too_old}
    eventually(lambda: set(kept.all_keys()) == expected, lambda: str(len(kept.all_keys())))
    assert kept.wrong({key: content for key, content in valid_files(bridge.root).items() if key != too_old}) == []


def kept_key(file: Path, root: Path) -> str:
    return f"{file.stat().st_mtime_ns:020d} {file.relative_to(root)}"


def test_a_comparison_that_failed_is_made_again_soon(keeping: NewKeeping, own_member: Member) -> None:
    kept = HistoryMap(own_member.client(), "kept")
    bridge = keeping(
        target=Target(own_member.address, own_member.cluster_name, "scans"),
        history={"keep_s": 3600.0, "map": kept.name},
        hazelcast={"call_timeout_s": 1.0, "heartbeat_timeout_s": 60.0},
    ).start()
    mtime_ns = time.time_ns() - 60 * SECOND_NS

    def compares_in_vain() -> bool:
        """A scan of another time is compared a second later, to remove its former key; the member is frozen then."""
        nonlocal mtime_ns
        mtime_ns += SECOND_NS
        land(bridge.root, path("a"), scan("again"), mtime_ns)
        eventually(lambda: valid_files(bridge.root).keys() <= set(kept.all_keys()), lambda: str(kept.all_keys()))
        own_member.pause()
        try:
            return bool(poll(lambda: bridge.lines("history: it does not get on"), 4.0))
        finally:
            own_member.resume()

    eventually(compares_in_vain, "a comparison fails", 60.0)

    # The next one that is due without that would be a minute later.
    eventually(lambda: kept.all_keys() == sorted(valid_files(bridge.root)), lambda: str(kept.all_keys()))
    bridge.wait_status_line("history complete")


def test_a_late_scan_in_an_old_day_folder_is_kept(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping().start()
    land(bridge.root, path("newest"))
    land(bridge.root, f"{day(-30)}/late.arrow", mtime_ns=time.time_ns() - 600 * SECOND_NS)

    kept.wait_complete(bridge.root)


def test_a_rewritten_scan_replaces_its_value_and_leaves_no_second_one(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping().start()
    now_ns = time.time_ns()
    same_time, other_time = path("same-time"), path("other-time")
    for name in (same_time, other_time):
        land(bridge.root, name, scan("first", rows=20), now_ns - 60 * SECOND_NS)
    kept.wait_complete(bridge.root)

    land(bridge.root, same_time, scan("other", rows=20), now_ns - 60 * SECOND_NS)
    land(bridge.root, other_time, scan("other", rows=30), now_ns - 30 * SECOND_NS)
    bridge.terminate()
    bridge.start()

    eventually(lambda: kept.all_keys() == sorted(valid_files(bridge.root)), lambda: str(kept.all_keys()))
    eventually(lambda: not kept.wrong(valid_files(bridge.root)), "each value is its file")


def test_a_scan_rewritten_while_no_bridge_ran_replaces_its_value(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping().start()
    mtime_ns = time.time_ns() - 60 * SECOND_NS
    land(bridge.root, path("a"), scan("first"), mtime_ns)
    kept.wait_complete(bridge.root)
    bridge.terminate()

    land(bridge.root, path("a"), scan("other"), mtime_ns)
    bridge.start()

    eventually(lambda: not kept.wrong(valid_files(bridge.root)), "the value is its file")


def test_a_scan_rewritten_at_once_while_no_bridge_ran_replaces_its_value(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping().start()
    land(bridge.root, path("a"), scan("first"))
    kept.wait_complete(bridge.root)
    bridge.kill()

    written_ns = os.stat(bridge.root / path("a")).st_mtime_ns
    land(bridge.root, path("a"), scan("other"), written_ns)
    bridge.start()

    eventually(lambda: not kept.wrong(valid_files(bridge.root)), "the value is its file")


def test_after_a_restart_only_what_changed_lately_is_compared_with_its_file(
    keeping: NewKeeping, kept: HistoryMap
) -> None:
    bridge = keeping(source={"rescan_s": 0.1}).start()
    for number in range(20):
        land(bridge.root, path(str(number)))
    kept.wait_complete(bridge.root)
    mark, oldest = wait_checked(bridge, kept), kept.all_keys()[0]
    bridge.terminate()
    kept.map.put(oldest, bytearray(b"damaged"))

    bridge.start()
    bridge.wait_status_line("history complete")
    assert bytes(kept.map.get(oldest)) == b"damaged"  # or each start would read all files and send all scans

    bridge.terminate()
    mark.unlink()
    bridge.start()
    eventually(lambda: bytes(kept.map.get(oldest)) != b"damaged", "compared with its file")
    kept.wait_complete(bridge.root)


def wait_checked(bridge: BridgeProcess, kept: HistoryMap) -> Path:
    """Wait until the bridge remembers that all is there; the file in which it does."""
    mark, newest = bridge.folder / "state" / "history" / "checked", kept.all_keys()[-1]
    eventually(lambda: mark.exists() and int(mark.read_bytes()[:20]) >= int(newest.split(" ")[0]), "looked twice since")
    return mark


def test_a_bad_file_leaves_no_trace_but_one_error_line(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping(source={"rescan_s": 0.2, "settle_s": 0.2})
    land(bridge.root, path("bad-old"), b"no scan", time.time_ns() - 60 * SECOND_NS)
    bridge.start()
    land(bridge.root, path("bad-newest"), b"no scan")
    land(bridge.root, path("good"))

    kept.wait_complete(bridge.root)
    for name in ("bad-old", "bad-newest"):
        bridge.wait_log(f"bad scan {path(name)}")
    bridge.wait_status_line("history complete")
    assert len(bridge.lines("bad scan")) == 2
    assert [key.split(" ")[1] for key in kept.all_keys()] == [path("good")]


def test_a_scan_stays_for_keep_s_and_not_longer(keeping: NewKeeping, kept: HistoryMap) -> None:
    keep_s = 15.0  # time enough to put it there on a busy machine
    bridge = keeping(keep_s=keep_s).start()
    land(bridge.root, path("a"))
    eventually(lambda: kept.all_keys(), "kept")
    view = kept.map.get_entry_view(kept.all_keys()[0])
    lives_s = view.expiration_time / 1000 - os.stat(bridge.root / path("a")).st_mtime_ns / 1e9
    assert keep_s <= lives_s < 2 * keep_s  # whole seconds, and how long it took to get there
    eventually(lambda: not kept.all_keys(), "gone", 60.0)


def test_what_is_there_stays_longer_once_keep_s_is_raised(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping(keep_s=600.0, source={"rescan_s": 0.1}).start()
    for number in range(20):
        land(bridge.root, path(str(number)))
    kept.wait_complete(bridge.root)
    wait_checked(bridge, kept)
    bridge.configure(history={"keep_s": 3600.0, "map": kept.name})
    bridge.send(signal.SIGHUP)

    def left_s(key: str) -> float:
        return float(kept.map.get_entry_view(key).expiration_time / 1000 - time.time())

    eventually(lambda: min(map(left_s, kept.all_keys())) > 3000, lambda: str([*map(left_s, kept.all_keys())]))
    kept.wait_complete(bridge.root)


def test_what_the_cluster_lost_is_put_there_again(
    keeping: NewKeeping, client: hazelcast.HazelcastClient, kept: HistoryMap, member: Member
) -> None:
    bridge = keeping().start()
    for number in range(20):
        land(bridge.root, path(str(number)))
    kept.wait_complete(bridge.root)
    kept.map.clear()
    bridge.send(signal.SIGHUP)
    bridge.configure(log={"level": "debug"})
    bridge.send(signal.SIGHUP)
    kept.wait_complete(bridge.root)


def test_the_history_goes_on_when_its_process_is_killed(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping().start()
    land(bridge.root, path("before"))
    kept.wait_complete(bridge.root)
    os.kill(child_of(bridge.pid), signal.SIGKILL)
    land(bridge.root, path("after"))

    kept.wait_complete(bridge.root)
    assert bridge.lines("the history's process: it ended (signal 9)")


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_two_bridges_keep_each_scan_once(keeping: NewKeeping, kept: HistoryMap) -> None:
    first = keeping("first").start()
    second = keeping("second", root=first.root).start()
    for number in range(50):
        land(first.root, path(str(number)))

    kept.wait_complete(first.root)
    for bridge in (first, second):
        bridge.wait_status_line("history complete")


def test_switched_off_there_is_neither_map_nor_process(keeping: NewKeeping, kept: HistoryMap) -> None:
    bridge = keeping(keep_s=0.0).start()
    land(bridge.root, path("a"))
    bridge.wait_log("published")
    assert kept.all_keys() == []
    assert Path(f"/proc/{bridge.pid}/task/{bridge.pid}/children").read_text() == ""
    assert "history" not in bridge.status_line()
