"""The whole machine suspended: the bridge goes on by itself, in the very same process; told is the clock, and once."""

from __future__ import annotations

import time

import pytest
from support.emulated_bridge import EmulatedWatch
from support.machine import until
from support.recorder import Recorder

pytestmark = [pytest.mark.machine, pytest.mark.timeout(3000)]


@pytest.mark.parametrize("pause_s", [pytest.param(25, marks=pytest.mark.quick), 600])
def test_after_a_suspension_the_same_process_publishes_and_at_most_the_clock_is_told(
    watched: EmulatedWatch, recorder: Recorder, pause_s: int
) -> None:
    """Its clock stands still meanwhile, and is set by who resumes it."""
    bridge, machine = watched.bridge, watched.bridge.machine
    pid = bridge.pid
    machine.suspend()
    published = len(recorder.seen)
    time.sleep(pause_s)  # how long it is suspended
    machine.resume()
    machine.set_clock(time.time())
    watched.until_alert("clock (clock stepped)")
    until(lambda: len(recorder.seen) > published + 3, watched.publish_timeout_s, bridge.log)
    watched.until_quiet()
    watched.inbox.told_once("clock (clock stepped)", "ops")
    assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()
    assert recorder.seen == sorted(recorder.seen), "never an older one over a newer one"
