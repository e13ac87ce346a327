"""Debian 13, from install to uninstall: another Python, another systemd, another kernel than everywhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hazelcast import HazelcastClient
from support import disk_image
from support.emulated_bridge import EmulatedBridge, bridge_in
from support.hazelcast_member import Member
from support.install import SOURCE, WHEELS
from support.machine import until
from support.service import CONFIG, UNIT
from support.virtual_machine import VirtualMachine

pytestmark = [pytest.mark.machine, pytest.mark.timeout(7200)]

MAKE_TIMEOUT_S = 3000  # some hundred megabytes are unpacked and compiled by an emulated processor
HEALTH = "/opt/scan-bridge/bin/scan-bridge-health"
NOT_OURS = f"-path /proc -o -path /tmp -o -path /run -o -path {SOURCE} -o -path {WHEELS}"


def make(machine: VirtualMachine, target: str, **variables: str) -> str:
    arguments = (f"WHEELS={WHEELS}", *(f"{name}={value}" for name, value in variables.items()))
    return machine.run("make", "-C", SOURCE, target, *arguments, timeout_s=MAKE_TIMEOUT_S).stdout


@pytest.fixture
def debian_13(emulator: None) -> Iterator[VirtualMachine]:
    with VirtualMachine(disk_image.bare("trixie")) as machine:
        yield machine


def test_installed_it_publishes_is_checked_upgraded_and_leaves_nothing(
    debian_13: VirtualMachine, member: Member, map_name: str, client: HazelcastClient
) -> None:
    machine = debian_13
    assert machine.read("/etc/debian_version").startswith("13")
    make(machine, "install")
    bridge = bridge_in(machine, member, map_name, client)
    bridge.start()
    bridge.publishes()
    is_healthy(bridge)

    machine.run("sed", "-i", 's/^version = .*/version = "1.0.99"/', f"{SOURCE}/pyproject.toml")
    assert f"restarted {UNIT}" in make(machine, "upgrade")
    bridge.publishes()
    bridge.tells_version("1.0.99")
    is_healthy(bridge)

    make(machine, "uninstall", PURGE="1")
    left = machine.run("sh", "-c", f"find / -xdev \\( {NOT_OURS} \\) -prune -o -name '*scan-bridge*' -print").stdout
    assert left == ""
    assert machine.run("id", "dolphin", check=False).returncode != 0
    assert machine.run("systemctl", "cat", UNIT, check=False).returncode != 0


def is_healthy(bridge: EmulatedBridge) -> None:
    """Nothing that the check looks at is unknown to it, or bad, but for a slow machine."""

    def severities() -> dict[str, str]:
        told = bridge.machine.run(HEALTH, "check", "--json", "--config", CONFIG, check=False).stdout
        return {finding["rule"]: finding["severity"] for finding in json.loads(told)["findings"]}

    late = {"stale_data", "few_files", "high_lag", "cpu"}
    until(
        lambda: bridge.publishes() is None and {s for rule, s in severities().items() if rule not in late} == {"ok"},
        400,
        lambda: f"{severities()}\n{bridge.log()}",
    )
