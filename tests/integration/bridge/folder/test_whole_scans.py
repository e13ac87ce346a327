"""A scan is published once it is complete, however it is written, and a half-written one never is."""

from __future__ import annotations

import os
import time

import hazelcast
import pytest
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
