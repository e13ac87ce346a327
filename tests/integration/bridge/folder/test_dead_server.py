"""Who serves ROOT does not answer, or fails: that is told, blamed on no scan, and over by itself."""

from __future__ import annotations

import signal
from pathlib import Path

import hazelcast
import pytest
from support import mounts
from support.bridge_process import Consumer, NewBridge, day, land

pytestmark = [pytest.mark.hazelcast, pytest.mark.root, pytest.mark.fuse]


def test_a_server_that_does_not_answer_is_told_and_waited_for(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, as_root: None, tmp_path: Path
) -> None:
    point, below = tmp_path / "mounted", tmp_path / "below"
    with mounts.bound(below, point) as server:
        bridge = new_bridge(root=point, source={"poll_s": 0.05}).start()
        consumer.expect(land(below, f"{day()}/a.arrow"))

        server.send_signal(signal.SIGSTOP)
        bridge.wait_status_line(f"waiting for scans: {point}: no answer for 5 s")
        bridge.wait_status(client, lambda status: status["source"]["state"] == "unreadable", "it says so")
        path = land(below, f"{day()}/b.arrow")
        server.send_signal(signal.SIGCONT)

        consumer.expect(path)
        bridge.wait_log("source ok")
        assert len(bridge.lines("no answer")) == 1
        bridge.terminate()


def test_a_server_that_does_not_answer_holds_no_start_up(
    new_bridge: NewBridge, consumer: Consumer, as_root: None, tmp_path: Path
) -> None:
    point, below = tmp_path / "mounted", tmp_path / "below"
    with mounts.bound(below, point) as server:
        bridge = new_bridge(root=point, source={"poll_s": 0.05})
        server.send_signal(signal.SIGSTOP)
        bridge.start()
        bridge.wait_status_line("no answer for 5 s")
        path = land(below, f"{day()}/a.arrow")
        server.send_signal(signal.SIGCONT)
        consumer.expect(path)
        bridge.terminate()


def test_a_scan_that_nobody_served_is_published_when_somebody_does(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, as_root: None, tmp_path: Path
) -> None:
    point, below = tmp_path / "mounted", tmp_path / "below"
    with mounts.bound(below, point) as server:
        bridge = new_bridge(root=point, source={"poll_s": 0.05, "quiet_s": 3, "settle_s": 0.1}).start()
        path = land(below, f"{day()}/a.arrow")
        bridge.wait_status(client, lambda status: (status["newest"] or {}).get("path") == path, "it is found")
        server.kill()
        bridge.wait_log(f"reading a scan: {path}: Transport endpoint is not connected; trying again")
    with mounts.bound(below, point):
        consumer.expect(path)
        assert bridge.lines("bad scan") == []
        bridge.terminate()
