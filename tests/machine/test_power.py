"""Power that fails while scans arrive: the machine boots, publishes by itself, and nothing is lost or told twice."""

from __future__ import annotations

import json
import os
import random
import re
import time

import pytest
from hazelcast import HazelcastClient
from support.emulated_bridge import EmulatedBridge
from support.machine import until
from support.service import UNIT

pytestmark = pytest.mark.machine

SEED = 20
LOSSES = int(os.environ.get("LOSSES", "20"))


class Recorder:
    """Every scan that the map was given, in order, as a consumer sees it: by (mtime, path), as the order has it."""

    def __init__(self, client: HazelcastClient, map_name: str) -> None:
        self.seen: list[tuple[int, str]] = []
        client.get_map(map_name).blocking().add_entry_listener(
            include_value=True, key="latest_eigen_scan", added_func=self._note, updated_func=self._note
        )

    def _note(self, event: object) -> None:
        import pyarrow as pa

        metadata = pa.ipc.open_stream(bytes(event.value)).schema.metadata  # type: ignore[attr-defined]
        self.seen.append((int(metadata[b"scan_bridge.mtime_ns"]), metadata[b"scan_bridge.source"].decode()))


def goes_on_after(bridge: EmulatedBridge, recorder: Recorder) -> None:
    """The machine boots; the bridge publishes again without any help, and remembers no good file as a bad one."""
    published = len(recorder.seen)
    machine = bridge.machine
    machine.boot()
    until(lambda: len(recorder.seen) > published + 1, 240, bridge.log)
    # A file that was just being written is empty when the power returns: the one thing that may be bad.
    bad = set(re.findall(r"bad scan (\S+): ", bridge.log()))
    assert bad <= set(machine.run("find", bridge.folder, "-empty", "-printf", "%P\n").stdout.split()), bridge.log()
    set_aside = machine.run("cat", "/var/lib/scan-bridge/set-aside.json", check=False).stdout
    assert json.loads(set_aside or "[]") == []
    machine.run("journalctl", "--rotate")  # one that is being written does not verify
    verified = machine.run("journalctl", "--verify", check=False)
    assert verified.returncode == 0, verified.stderr


def lose_power(bridge: EmulatedBridge, recorder: Recorder, times: int) -> None:
    """At random moments while scans arrive."""
    moments = random.Random(SEED)
    machine = bridge.machine
    machine.run("systemctl", "enable", "--now", UNIT)
    bridge.produce("--rate", "5")
    until(lambda: recorder.seen, 240, bridge.log)
    for _ in range(times):
        time.sleep(moments.uniform(0.5, 8))  # the moment is what is random here
        machine.cut_power()
        goes_on_after(bridge, recorder)
    newest = bridge.stop_producer()
    bridge.holds(newest)
    assert recorder.seen == sorted(recorder.seen), "never an older one over a newer one"
    assert len(recorder.seen) == len(set(recorder.seen)), "none twice"


@pytest.fixture
def recorder(client: HazelcastClient, map_name: str) -> Recorder:
    return Recorder(client, map_name)


@pytest.mark.quick
@pytest.mark.timeout(1500)
def test_after_a_power_loss_it_publishes_by_itself(bridge: EmulatedBridge, recorder: Recorder) -> None:
    lose_power(bridge, recorder, 1)


@pytest.mark.timeout(7200)
def test_after_many_power_losses_in_a_row_it_publishes_by_itself(bridge: EmulatedBridge, recorder: Recorder) -> None:
    lose_power(bridge, recorder, LOSSES)
