"""Power that fails while scans arrive: the machine boots, publishes by itself, and nothing is lost or told twice."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable

import pytest
from support.emulated_bridge import EmulatedBridge, EmulatedWatch
from support.machine import until
from support.recorder import Recorder
from support.service import UNIT
from support.watch import CHECK, PROGRAM, STATE

pytestmark = pytest.mark.machine

SEED = 20
LOSSES = int(os.environ.get("LOSSES", "20"))


def goes_on_after(bridge: EmulatedBridge, recorder: Recorder) -> None:
    """The machine boots; the bridge publishes again without any help, and remembers no good file as a bad one."""
    published = len(recorder.seen)
    machine = bridge.machine
    bridge.boot()
    until(lambda: len(recorder.seen) > published + 1, 240, bridge.log)
    # A file that was just being written is empty when the power returns: the one thing that may be bad.
    bad = set(re.findall(r"bad scan (\S+): ", bridge.log()))
    # The producer is at work: what it renames in this very moment is no trouble.
    empty = machine.run("find", bridge.folder, "-ignore_readdir_race", "-empty", "-printf", "%P\n").stdout.split()
    assert bad <= set(empty), bridge.log()
    set_aside = machine.run("cat", "/var/lib/scan-bridge/set-aside.json", check=False).stdout
    assert json.loads(set_aside or "[]") == []
    machine.run("journalctl", "--rotate")
    verified = machine.run("journalctl", "--verify", check=False)
    # The file that is being written now, which has no @ in its name, need not verify; and the end of one that was being
    # written as the power failed may be torn: journald has set it aside as .journal~.
    torn = re.findall(r"^FAIL: (\S+@\S+\.journal)(?!~)", verified.stderr, re.MULTILINE)
    assert not torn, verified.stderr


def lose_power(bridge: EmulatedBridge, recorder: Recorder, times: int, also: Callable[[], None] = lambda: None) -> None:
    """At random moments while scans arrive; `also` is done in the machine before each, and after the last."""
    moments = random.Random(SEED)
    machine = bridge.machine
    machine.run("systemctl", "enable", "--now", UNIT)
    bridge.produce("--rate", "5")
    until(lambda: recorder.seen, 240, bridge.log)
    machine.run("sync")  # what the test itself has written
    for _ in range(times):
        also()
        time.sleep(moments.uniform(0.5, 8))  # the moment is what is random here
        machine.cut_power()
        goes_on_after(bridge, recorder)
    also()
    newest = bridge.stop_producer()
    bridge.holds(newest)
    assert recorder.seen == sorted(recorder.seen), "never an older one over a newer one"
    assert len(recorder.seen) == len(set(recorder.seen)), "none twice"


@pytest.mark.quick
@pytest.mark.timeout(1500)
def test_after_a_power_loss_it_publishes_by_itself(bridge: EmulatedBridge, recorder: Recorder) -> None:
    lose_power(bridge, recorder, 1)


@pytest.mark.timeout(7200)
def test_after_many_power_losses_it_publishes_by_itself_and_what_was_told_is_not_told_again(
    bridge: EmulatedBridge, recorder: Recorder, emulated_watch: EmulatedWatch
) -> None:
    watch = emulated_watch
    # Of the memory is told, and it lasts; that a slow machine is late, or was down, is another matter.
    watch.configure(health__rules__memory__warning_mb="10.0", health__alerts__repeat_s="86400.0")
    known: set[str] = set()

    def opened() -> set[str]:
        return {alert["opened_at"] for alert in watch.alerts() if alert["rule"] == "memory"}

    def check() -> None:
        """One to its end, and one that the power may fail amid."""
        assert not known or opened() == known, "the state has outlived the loss"
        watch.run_by(PROGRAM)  # what says so is gone with each boot
        watch.check()
        known.update(opened())
        assert len(known) == 1, watch.log()
        watch.machine.run("systemctl", "start", "--no-block", CHECK)

    lose_power(bridge, recorder, LOSSES, check)
    told = [
        (message.subject, re.findall(r"since: .+?\d\d:\d\d:\d\d", message.body)) for message in watch.inbox.to("ops")
    ]
    assert len([subject for subject, _ in told if "memory" in subject]) == 1, watch.inbox.messages
    assert all(told.count(one) == 1 for one in told), watch.inbox.messages
    assert watch.machine.run("find", STATE, "-name", "*.corrupt").stdout == ""
