"""The units' sandbox and accounting, on a kernel with control groups of version 2: in force, not just asked for."""

from __future__ import annotations

import json

import pytest
from support.emulated_bridge import EmulatedBridge
from support.machine import until
from support.service import CONFIG, UNIT
from support.virtual_machine import VirtualMachine

pytestmark = [pytest.mark.machine, pytest.mark.quick]

GROUP = f"/sys/fs/cgroup/system.slice/{UNIT}"
HEALTH = "/opt/scan-bridge/bin/scan-bridge-health"
MIB = 1024**2
# What systemd says in its log of a setting that the machine cannot carry out. (That the unit's start failed, an earlier
# one say, is said of no setting.)
NOT_IN_FORCE = f"(not supported|does not support|Failed to (?!start {UNIT} )|ignoring|isn't available|Unknown key)"


@pytest.fixture
def running(bridge: EmulatedBridge) -> EmulatedBridge:
    bridge.start()
    bridge.publishes()
    return bridge


def test_systemd_carries_out_every_line_of_the_running_unit(running: EmulatedBridge) -> None:
    machine = running.machine
    assert machine.run("stat", "--file-system", "--format=%T", "/sys/fs/cgroup").stdout.strip() == "cgroup2fs"
    # Of the unit as loaded, not of the file; in tenths.
    machine.run("systemd-analyze", "security", "--threshold=10", UNIT)
    told = machine.run(
        "journalctl", "--no-pager", "-b", "_PID=1", f"UNIT={UNIT}", f"--grep={NOT_IN_FORCE}", check=False
    )
    assert told.stdout.strip() in ("", "-- No entries --"), running.log()


def test_the_limits_of_memory_and_tasks_are_those_of_the_unit(running: EmulatedBridge) -> None:
    limits = "memory.high memory.max memory.swap.max pids.max cpu.weight"
    found = running.machine.run("sh", "-c", f"cd {GROUP} && cat {limits}").stdout.split()
    assert found == [str(400 * MIB), str(500 * MIB), "0", "64", "200"]


def test_the_bridge_reaches_private_addresses_and_no_others(bridge: EmulatedBridge, machine: VirtualMachine) -> None:
    """The emulated network would carry both; nothing is sent to the second: the refusal shows before."""
    send = "import socket,sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', (sys.argv[1], 9))"
    script = f'for a in 10.0.2.2 198.51.100.1; do /opt/scan-bridge/bin/python -c "{send}" $a 2>&1 && echo $a; done'
    machine.write("/usr/local/bin/attempt", f"#!/bin/sh\n{script}\ntrue\n", mode="0755")
    machine.run("sh", "-c", "mkdir -p /run/attempt; : >/run/attempt/output; chmod 666 /run/attempt/output")
    bridge.drop_in(
        "attempt",
        "[Unit]\nOnFailure=\n[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart=/usr/local/bin/attempt\n"
        "StandardOutput=truncate:/run/attempt/output\n",
    )
    machine.run("systemctl", "start", UNIT)
    output = machine.read("/run/attempt/output")
    assert [line for line in output.splitlines() if line[0].isdigit()] == ["10.0.2.2"]
    assert "Operation not permitted" in output
    # Without the firewall it would have been sent: so it was the firewall that refused.
    bridge.drop_in("open", "[Service]\nIPAddressDeny=\n")
    machine.run("ip", "route", "replace", "blackhole", "198.51.100.1")  # nothing leaves the machine
    machine.run("systemctl", "start", UNIT)
    assert "Operation not permitted" not in machine.read("/run/attempt/output")


def test_the_health_check_reads_what_the_kernel_accounts_to_the_unit(running: EmulatedBridge) -> None:
    shown = running.machine.show(UNIT, "MemoryCurrent", "CPUUsageNSec")
    assert int(shown["MemoryCurrent"]) > 30 * MIB
    assert int(shown["CPUUsageNSec"]) > 0

    def seen() -> bool:
        told = running.machine.run(HEALTH, "check", "--json", "--config", CONFIG, check=False).stdout
        words = {finding["rule"]: finding["words"] for finding in json.loads(told)["findings"]}
        return "MB" in words["memory"] and "%" in words["cpu"]

    until(seen, 180, "memory and CPU of the unit in the check's report")
