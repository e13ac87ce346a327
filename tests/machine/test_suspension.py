"""The whole machine suspended, and its clock stepped: the bridge goes on by itself, in the very same process."""

from __future__ import annotations

import time

import pytest
from support.emulated_bridge import EmulatedBridge

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("pause_s", [25, 600])
def test_after_a_suspension_the_same_process_publishes(bridge: EmulatedBridge, pause_s: int) -> None:
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    bridge.machine.suspend()
    time.sleep(pause_s)  # how long it is suspended
    bridge.machine.resume()
    bridge.publishes()
    assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()


def test_a_clock_stepped_forward_by_hours_ends_nothing(bridge: EmulatedBridge) -> None:
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    bridge.machine.run("date", "--set=+3 hours")
    try:
        bridge.publishes()
        assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()
    finally:
        bridge.machine.run("date", "--set=-3 hours")
