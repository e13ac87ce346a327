"""The cap of the unit's memory, kept by a real kernel: allowed scans never meet it, others kill it twice at most."""

from __future__ import annotations

import pytest
from support.emulated_bridge import EmulatedBridge
from support.machine import until
from support.service import CONFIG, DAY, UNIT

from bridge.config import Config

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1800)]

GROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"
PYTHON = "/opt/scan-bridge/bin/python"
HEALTH = "/opt/scan-bridge/bin/scan-bridge-health"
MIB = 1024**2
# Written in the machine: what it takes through the emulated line is quicker made anew. PATH SIZE COMPRESSION
WRITE = """
import os, sys
import pyarrow as pa
path, size, compression = sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None
content = bytes(size) if compression else os.urandom(1 << 20) * (size >> 20)
column = pa.Array.from_buffers(pa.int64(), len(content) // 8, [None, pa.py_buffer(content)])
batch = pa.record_batch([column], names=["eigenvector"])
with pa.ipc.new_file(path + ".tmp", batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
    writer.write_batch(batch)
os.replace(path + ".tmp", path)
"""


def write(bridge: EmulatedBridge, name: str, size: int, *compression: str) -> str:
    """Let a scan with a column of `size` bytes appear; its path relative to ROOT."""
    path = f"{DAY}/{name}.arrow"
    bridge.machine.run(PYTHON, "-c", WRITE, f"{bridge.folder}/{path}", str(size), *compression)
    return path


def events(bridge: EmulatedBridge) -> dict[str, int]:
    lines = bridge.machine.read(f"{GROUP}/memory.events").splitlines()
    return {name: int(count) for name, count in map(str.split, lines)}


@pytest.mark.parametrize("rounds", [pytest.param(1, marks=pytest.mark.quick), 5])
def test_the_largest_scans_in_a_row_never_meet_the_cap(bridge: EmulatedBridge, rounds: int) -> None:
    source = Config.model_fields["source"].annotation
    assert source is not None
    largest = source.model_fields["max_scan_bytes"].default - MIB
    expanded = source.model_fields["max_decoded_bytes"].default - MIB
    bridge.start()
    pid = bridge.pid
    for number in range(rounds):
        bridge.holds(write(bridge, f"large_{number}", largest))
        bridge.holds(write(bridge, f"packed_{number}", expanded, "zstd"))
    assert bridge.pid == pid, bridge.log()
    seen = events(bridge)
    assert (seen["max"], seen["oom"], seen["oom_kill"]) == (0, 0, 0), seen


@pytest.mark.quick
def test_a_scan_that_makes_the_kernel_kill_is_set_aside_after_two_deaths_and_told_with_the_cause(
    bridge: EmulatedBridge,
) -> None:
    machine = bridge.machine
    bridge.start()
    bridge.publishes()
    machine.run(HEALTH, "check", "--act", "--exit-zero", "--config", CONFIG)
    at_rest = int(machine.show(UNIT, "MemoryCurrent")["MemoryCurrent"])
    lowered = at_rest + 40 * MIB
    bridge.drop_in("lowered", f"[Service]\nMemoryHigh=infinity\nMemoryMax={lowered}\n")
    machine.run("systemctl", "restart", UNIT)
    bridge.publishes()

    killer = write(bridge, "killer", 120 * MIB, "zstd")
    aside = f"bad scan {killer}: the bridge died twice in a row with it in hand"
    until(lambda: aside in bridge.log(), 240, bridge.log)
    assert bridge.results() == ["oom-kill", "oom-kill"]
    assert bridge.restarts == 2
    told = machine.run(HEALTH, "check", "--act", "--exit-zero", "--json", "--config", CONFIG).stdout
    assert "out of memory" in told, told

    bridge.publishes()
    assert bridge.results() == ["oom-kill", "oom-kill"]
