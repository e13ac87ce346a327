"""The clock stepped, the time zone changed, midnight passed: the same process goes on, and a step is told once.

The shipped simulator names its scans by a clock of its own: names rise, whatever becomes of the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from support.emulated_bridge import EmulatedWatch
from support.machine import until
from support.recorder import Recorder
from support.virtual_machine import VirtualMachine

pytestmark = [pytest.mark.machine, pytest.mark.timeout(3000)]

STEP_S = 3 * 3600
LOOKS_ANEW_S = 75  # the bridge takes every file for new once a minute


@pytest.fixture(autouse=True)
def clock_as_it_was(machine: VirtualMachine) -> Iterator[None]:
    yield
    machine.set_clock(time.time())


def step(watch: EmulatedWatch, by_s: float, direction: str) -> None:
    """The clock steps; ops are told so once, and once that it is over."""
    watch.bridge.machine.set_clock(time.time() + by_s)
    watch.until_alert("clock (clock stepped)")
    watch.until_quiet()
    watch.inbox.told_once("clock (clock stepped)", "ops")
    assert f"this host's clock was stepped {direction} by 3" in watch.inbox.messages[0].body
    watch.inbox.messages.clear()


def publishes_more(watch: EmulatedWatch, recorder: Recorder) -> None:
    seen = len(recorder.seen)
    until(lambda: len(recorder.seen) > seen + 2, watch.publish_timeout_s, watch.bridge.log)
    assert "hazelcast connected" in watch.bridge.show("StatusText"), watch.bridge.log()


def in_the_order_of_their_landing(recorder: Recorder) -> None:
    assert all(earlier < later for earlier, later in pairwise(recorder.paths)), recorder.paths


def test_stepped_forward_and_back_by_hours_it_goes_on_and_never_goes_back_to_an_older_scan(
    watched: EmulatedWatch, recorder: Recorder
) -> None:
    bridge = watched.bridge
    pid = bridge.pid
    step(watched, STEP_S, "forward")
    publishes_more(watched, recorder)
    step(watched, 0, "back")
    publishes_more(watched, recorder)
    time.sleep(LOOKS_ANEW_S)  # what lies there of before the step must not come back
    publishes_more(watched, recorder)
    in_the_order_of_their_landing(recorder)
    assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()
    assert watched.check() == {}
    bridge.kill("KILL")  # another process finds everything anew
    publishes_more(watched, recorder)
    in_the_order_of_their_landing(recorder)


def test_started_with_a_clock_that_was_stepped_back_it_publishes_only_what_lands_from_then_on(
    watched: EmulatedWatch, recorder: Recorder
) -> None:
    bridge = watched.bridge
    machine = bridge.machine
    bridge.stop_producer()
    machine.set_clock(time.time() + STEP_S)
    bridge.produce()
    publishes_more(watched, recorder)
    newest = bridge.stop_producer()
    bridge.holds(newest)
    machine.run("systemctl", "stop", bridge.unit)
    machine.set_clock(time.time())
    machine.run("systemctl", "start", bridge.unit)
    time.sleep(LOOKS_ANEW_S)
    assert bridge.latest() == newest, bridge.log()
    seen = len(recorder.seen)
    bridge.produce()
    until(lambda: len(recorder.seen) > seen + 2, watched.publish_timeout_s, bridge.log)
    assert not set(recorder.paths[seen:]) & set(recorder.paths[:seen]), recorder.paths


def test_another_time_zone_is_no_step_and_changes_nothing(watched: EmulatedWatch, recorder: Recorder) -> None:
    bridge = watched.bridge
    pid = bridge.pid
    try:
        for zone in ("Asia/Kolkata", "America/St_Johns"):
            bridge.machine.run("timedatectl", "set-timezone", zone)
            publishes_more(watched, recorder)
            assert watched.check() == {}, watched.log()
    finally:
        bridge.machine.run("timedatectl", "set-timezone", "Etc/UTC")
    assert watched.inbox.messages == []
    assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()


def test_past_midnight_it_goes_on_in_the_new_days_folder(watched: EmulatedWatch, recorder: Recorder) -> None:
    bridge = watched.bridge
    pid = bridge.pid
    bridge.stop_producer()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    bridge.machine.set_clock(midnight.timestamp() - 40)
    seen = len(recorder.seen)
    bridge.produce()
    yesterday, today = ((midnight + timedelta(days=days)).date().isoformat() for days in (-1, 0))
    until(lambda: any(path.startswith(today) for path in recorder.paths), watched.publish_timeout_s, bridge.log)
    publishes_more(watched, recorder)
    watched.until_quiet()
    assert {path.split("/")[0] for path in recorder.paths[seen:]} == {yesterday, today}
    in_the_order_of_their_landing(recorder)
    assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()
    watched.inbox.told_once("clock (clock stepped)", "ops")
