"""scripts/scan_bridge_restart.sh: restart, and know that it helped."""

from __future__ import annotations

import pytest
from support.service import Bridge

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

SCRIPT = "/opt/scan-bridge/bin/scan_bridge_restart.sh"


def test_it_shows_the_state_restarts_waits_and_shows_the_state(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    output = bridge.machine.run(SCRIPT).stdout
    assert bridge.pid != pid
    assert f"before: active (running), pid {pid}" in output
    assert f"after : active (running), pid {bridge.pid}" in output
    assert bridge.latest() in output, "the newest scan, published before the restart, is still shown"


def test_it_works_from_a_checkout(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    output = bridge.machine.run("/src/scripts/scan_bridge_restart.sh").stdout
    assert f"after : active (running), pid {bridge.pid}" in output
    assert bridge.pid != pid


def test_it_starts_a_bridge_that_had_given_up(bridge: Bridge) -> None:
    bridge.configure(nonsense="1")
    bridge.machine.run("systemctl", "start", "dolphin-scan-bridge", check=False)
    bridge.configure()
    bridge.put_scan()
    bridge.machine.run(SCRIPT)
    assert bridge.show("ActiveState") == "active"


def test_it_fails_when_the_service_does_not_start(bridge: Bridge) -> None:
    bridge.configure(nonsense="1")
    result = bridge.machine.run(SCRIPT, check=False)
    assert result.returncode == 1
    assert "restart failed" in result.stderr
    assert "nonsense" in result.stdout, "the state after it says what is wrong"


def test_it_fails_when_the_bridge_runs_but_does_not_publish_in_time(bridge: Bridge) -> None:
    """The folder is missing: systemd is content, the operator must not be."""
    result = bridge.machine.run(SCRIPT, "--timeout", "3", check=False)
    assert bridge.show("ActiveState") == "active"
    assert result.returncode == 1
    assert "not publishing after 3 s" in result.stderr
    assert "waiting for scans" in result.stdout


def test_wrong_usage_exits_2_and_restarts_nothing(bridge: Bridge) -> None:
    assert bridge.machine.run(SCRIPT, "--timeout", "soon", check=False).returncode == 2
    assert bridge.show("ActiveState") == "inactive"
