"""A scan is published once it is complete, however it is written, and a half-written one never is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import hazelcast
import pyarrow as pa
import pytest
from support import process
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, land, scan

pytestmark = pytest.mark.hazelcast
FORMATS = ["file", "stream"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_scan_renamed_into_place_is_published_once(bridge: BridgeProcess, consumer: Consumer, format: str) -> None:
    content = scan("renamed", format=format)
    path = land(bridge.root, f"{day()}/scan_1.arrow", content)

    seen = consumer.expect(path)

    info = os.stat(bridge.root / path)
    assert seen.table["asset"][0].as_py() == "renamed0"
    assert seen.metadata["tag"] == "renamed"
    assert {name: seen.metadata[f"scan_bridge.{name}"] for name in ("source", "mtime_ns", "size", "bridge")} == {
        "source": path,
        "mtime_ns": str(info.st_mtime_ns),
        "size": str(len(content)),
        "bridge": "bridge",
    }
    assert info.st_mtime_ns <= int(seen.metadata["scan_bridge.published_ns"]) <= time.time_ns()
    land(bridge.root, f"{day()}/scan_2.arrow")
    consumer.expect(f"{day()}/scan_2.arrow")
    assert consumer.sources == [path, f"{day()}/scan_2.arrow"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_scan_that_grows_in_place_is_published_when_it_is_whole(
    bridge: BridgeProcess, consumer: Consumer, format: str
) -> None:
    content = scan(rows=3, format=format)
    path = f"{day()}/scan.arrow"
    (bridge.root / day()).mkdir()
    land(bridge.root, f"{day()}/scan_before.arrow")
    consumer.expect(f"{day()}/scan_before.arrow")

    # Each byte is written and closed for itself: as many invitations to read too early.
    for byte in content:
        with (bridge.root / path).open("ab") as file:
            file.write(bytes([byte]))

    consumer.expect(path)
    assert consumer.sources == [f"{day()}/scan_before.arrow", path]
    assert bridge.lines("bad scan") == []


def test_a_slow_writer_is_waited_for_and_its_scan_published_before_it_closes_the_file(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"settle_s": 30}).start()
    content = scan()
    path = f"{day()}/scan.arrow"
    (bridge.root / day()).mkdir()

    with (bridge.root / path).open("wb") as file:
        file.write(content[:-100])
        file.flush()
        bridge.wait_status(client, lambda status: status["counters"]["retries"] > 2, "it is tried again")
        assert consumer.seen == []
        file.write(content[-100:])
        file.flush()
        consumer.expect(path)

    assert bridge.lines("bad scan") == []


@pytest.mark.parametrize("format", FORMATS)
def test_no_cut_of_a_scan_is_ever_published(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, format: str
) -> None:
    bridge = new_bridge(source={"settle_s": 0.2}).start()
    content = scan(rows=1, format=format)
    first = land(bridge.root, f"{day()}/a_first.arrow")
    consumer.expect(first)

    for length in range(len(content)):
        land(bridge.root, f"{day()}/cut_{length:04}.arrow", content[:length])

    bridge.wait_status(client, lambda status: status["counters"]["bad"] == len(content), "every cut is bad")
    last = land(bridge.root, f"{day()}/last.arrow", content)
    consumer.expect(last)
    assert consumer.sources == [first, last]


# ---- written out of order: it validates long before it is whole


class OutOfOrder:
    """A writer that sets the size first, then writes head and footer, then the body; until then there are zeros."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self._content = scan("whole", rows=2000)
        self._file = path.open("wb", buffering=0)
        self._file.truncate(len(self._content))

    def write_all_but_the_body(self) -> None:
        """From now on it validates."""
        middle = len(self._content) // 2
        with_hole = self._content[: middle - 2000] + bytes(4000) + self._content[middle + 2000 :]
        pa.ipc.open_file(pa.py_buffer(with_hole)).read_all().validate(full=True)
        self._file.seek(0)
        self._file.write(with_hole)

    def write_the_body_and_close(self) -> None:
        self._file.seek(0)
        self._file.write(self._content)
        self._file.close()


def wait_for_looks(bridge: BridgeProcess, client: hazelcast.HazelcastClient) -> None:
    """Some heartbeats go by, of 0.1 s, while it looks each 0.02 s."""
    for _ in range(5):
        before = bridge.wait_status(client, bool, "a status")["heartbeat_at"]
        bridge.wait_status(client, lambda status, before=before: status["heartbeat_at"] > before, "a heartbeat")


LOOKS_OFTEN = {"rescan_s": 0.02, "poll_s": 0.02}


@pytest.mark.parametrize("watch_mode", ["inotify", "polling"])
def test_no_look_and_no_event_of_its_creation_publishes_a_scan_that_is_written_out_of_order(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, watch_mode: str
) -> None:
    source = {"watch_mode": watch_mode, "quiet_s": 3600, **LOOKS_OFTEN}
    bridge = new_bridge(source=source, status={"heartbeat_s": 0.1})
    (bridge.root / day()).mkdir()  # watched from the start
    bridge.start()
    writer = OutOfOrder(bridge.root / day() / "scan.arrow")

    writer.write_all_but_the_body()

    wait_for_looks(bridge, client)
    assert consumer.seen == []
    assert bridge.status(client)["newest"]["path"] == f"{day()}/scan.arrow", "it was seen"
    writer.write_the_body_and_close()
    if watch_mode == "inotify":  # where an event tells that it was closed, it need not be quiet
        assert consumer.expect(f"{day()}/scan.arrow").table["asset"][1000].as_py() == "whole1000"
    else:
        wait_for_looks(bridge, client)
        assert consumer.seen == []


@pytest.mark.parametrize("watch_mode", ["inotify", "polling"])
def test_a_scan_written_out_of_order_is_published_once_it_was_quiet(
    new_bridge: NewBridge, consumer: Consumer, watch_mode: str
) -> None:
    """Its writer never closes it."""
    bridge = new_bridge(source={"watch_mode": watch_mode, **LOOKS_OFTEN}).start()
    content = scan("whole")
    (bridge.root / day()).mkdir()

    with (bridge.root / day() / "scan.arrow").open("wb") as file:
        file.write(content)
        file.flush()
        assert consumer.expect(f"{day()}/scan.arrow").metadata["tag"] == "whole"


def test_a_start_in_the_midst_of_writing_publishes_nothing_that_is_not_whole(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"quiet_s": 3600, **LOOKS_OFTEN}, status={"heartbeat_s": 0.1})
    writer = OutOfOrder(bridge.root / day() / "scan.arrow")
    writer.write_all_but_the_body()

    bridge.start()

    wait_for_looks(bridge, client)
    assert consumer.seen == []
    writer.write_the_body_and_close()
    consumer.expect(f"{day()}/scan.arrow")


def test_a_start_does_not_hold_up_what_has_been_quiet_long_enough(new_bridge: NewBridge, consumer: Consumer) -> None:
    """So it goes straight to the newest; nothing is published before it."""
    bridge = new_bridge(source={"quiet_s": 0.05, "rescan_s": 3600})
    for name in ("a", "b", "c"):
        land(bridge.root, f"{day()}/{name}.arrow")

    bridge.start()

    consumer.expect(f"{day()}/c.arrow")
    assert consumer.sources == [f"{day()}/c.arrow"]


def test_a_look_that_found_a_file_does_not_keep_it_waiting_once_it_is_renamed_over(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"quiet_s": 3600})
    (bridge.root / day()).mkdir()
    bridge.start()
    path = bridge.root / day() / "scan.arrow"
    writer = OutOfOrder(path)
    writer.write_all_but_the_body()

    land(bridge.root, f"{day()}/scan.arrow", scan("renamed over"))

    assert consumer.expect(f"{day()}/scan.arrow").metadata["tag"] == "renamed over"


def test_what_is_renamed_closed_or_linked_into_place_never_waits_to_be_quiet(
    new_bridge: NewBridge, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"quiet_s": 3600})
    folder = bridge.root / day()
    folder.mkdir()
    bridge.start()

    consumer.expect(land(bridge.root, f"{day()}/a_renamed.arrow"))
    (folder / "b_closed.arrow").write_bytes(scan())
    consumer.expect(f"{day()}/b_closed.arrow")
    land(bridge.folder, "elsewhere.arrow")
    os.link(bridge.folder / "elsewhere.arrow", folder / "c_linked.arrow")
    consumer.expect(f"{day()}/c_linked.arrow")
    process.run(["cp", bridge.folder / "elsewhere.arrow", folder / "d_copied.arrow"], check=True)
    consumer.expect(f"{day()}/d_copied.arrow")
