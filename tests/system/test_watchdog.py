"""Each stage that hangs, by itself, leads to a restart by systemd's watchdog, and the bridge publishes again."""

from __future__ import annotations

import pytest
from support.hazelcast_member import Member
from support.machine import until
from support.service import Bridge

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

WATCHDOG = "[Service]\nWatchdogSec=4\n"  # the shipped 30 s, shortened
# WatchdogSec, TimeoutAbortSec, RestartSec and the start, with room for a busy machine
RESTARTED_S = 40

# what hangs, the stage that the log names (None where the loop that would write it hangs itself)
STAGES = {
    "watcher-deaf": "watcher",
    "listing-hangs": "discovery",
    "publish-hangs": "publisher",
    "report-hangs": "reporter",
    "read-hangs": None,
    "main-loop-hangs": None,
}


@pytest.mark.parametrize("hang", STAGES)
def test_a_stage_that_hangs_is_restarted_and_publishes_again(bridge: Bridge, hang: str) -> None:
    bridge.configure(source__rescan_s="1.0")
    assert_restarted(bridge, hang, STAGES[hang])


def test_a_read_that_hangs_on_a_network_file_system_is_restarted(bridge: Bridge) -> None:
    """There it is read in a thread; the main loop goes on, and must notice."""
    bridge.configure(source__watch_mode='"polling"')
    assert_restarted(bridge, "read-hangs", "publisher")


def test_a_connection_attempt_that_hangs_is_restarted(own_bridge: Bridge, own_member: Member) -> None:
    own_bridge.drop_in("watchdog", WATCHDOG)
    own_bridge.prepare("connect-hangs")
    own_bridge.start()
    own_bridge.publishes()
    own_bridge.misbehave()
    own_member.kill()
    own_member.start()
    own_bridge.client = own_member.client()
    assert_watchdog_restarted(own_bridge, "connector")


def assert_restarted(bridge: Bridge, hang: str, stage: str | None) -> None:
    bridge.drop_in("watchdog", WATCHDOG)
    bridge.prepare(hang)
    bridge.start()
    bridge.publishes()
    bridge.misbehave()
    bridge.put_scan()
    assert_watchdog_restarted(bridge, stage)


def assert_watchdog_restarted(bridge: Bridge, stage: str | None) -> None:
    until(lambda: bridge.restarts == 1, RESTARTED_S, bridge.log)
    bridge.publishes()
    assert bridge.results() == ["watchdog"]
    assert bridge.restarts == 1
    messages = [entry["MESSAGE"] for entry in bridge.journal("-p", "err")]
    if stage is not None:
        assert any(f"no progress in {stage}" in message for message in messages)
    assert any("most recent call first" in message for message in messages), "the stacks of the hung process are logged"
