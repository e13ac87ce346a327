"""The unit files: sound, tight, and granting what they say and no more."""

from __future__ import annotations

import pytest
from support.machine import Machine, until
from support.service import UNIT, Bridge

pytestmark = pytest.mark.systemd

UNIT_DIR = "/usr/local/lib/systemd/system"
DROP_INS = "/opt/scan-bridge/share/scan-bridge/dropins"
HEALTHCHECK = "dolphin-scan-bridge-healthcheck.service"


def units(machine: Machine) -> list[str]:
    return machine.run("sh", "-c", f"ls {UNIT_DIR}/dolphin-scan-bridge*").stdout.split()


def test_systemd_finds_nothing_to_say_about_the_units(machine: Machine) -> None:
    result = machine.run("systemd-analyze", "verify", "--man=no", *units(machine))
    assert result.stdout + result.stderr == ""


def test_systemd_finds_nothing_to_say_about_the_drop_in_examples(bridge: Bridge) -> None:
    machine = bridge.machine
    examples = machine.run("sh", "-c", f"cd {DROP_INS} && ls *.conf").stdout.split()
    assert len(examples) >= 6
    machine.run("useradd", "collector", check=False)
    machine.write("/run/systemd/system/mnt-scans.mount", "[Mount]\nWhat=none\nWhere=/mnt/scans\nType=tmpfs\n")
    machine.write("/run/systemd/system/pager@.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
    for example in examples:
        if example.startswith("journald"):
            continue
        text = machine.read(f"{DROP_INS}/{example}")
        bridge.drop_in("example", text)
        # Once as shipped, once with its commented settings in force.
        bridge.drop_in("commented", "\n".join(line.lstrip("#") for line in text.splitlines() if settings(line)))
        result = machine.run("systemd-analyze", "verify", "--man=no", UNIT)
        assert result.stdout + result.stderr == "", example


def settings(line: str) -> bool:
    """Whether a line is a section or an assignment, perhaps commented out."""
    return line.startswith(("#[", "[")) or (line.startswith("#") and line[1:2].isupper() and "=" in line.split(" ")[0])


def test_the_exposure_is_as_low_as_promised(machine: Machine) -> None:
    services = [unit for unit in units(machine) if unit.endswith(".service")]
    assert f"{UNIT_DIR}/{UNIT}" in services
    for unit in services:
        # In tenths: 1.0 for the bridge, 1.5 for all others.
        threshold = "10" if unit.endswith(UNIT) else "15"
        machine.run("systemd-analyze", "security", "--offline=yes", f"--threshold={threshold}", unit)


def test_a_log_that_runs_wild_is_cut_in_every_unit(machine: Machine) -> None:
    services = [unit for unit in units(machine) if unit.endswith(".service")]
    unlimited = machine.run("grep", "-L", "^LogRateLimitBurst=", *services, check=False).stdout
    assert unlimited == ""


def run_as(bridge: Bridge, unit: str, script: str) -> str:
    """What a shell script prints in the sandbox of `unit`, as its user."""
    bridge.machine.write("/usr/local/bin/attempt", f"#!/bin/sh\nexec 2>&1\n{script}\n", mode="0755")
    output = "/run/attempt/output"
    bridge.machine.run("sh", "-c", f"rm -rf /run/attempt; mkdir /run/attempt; : > {output}; chmod 666 {output}")
    bridge.drop_in(
        "attempt",
        f"[Unit]\nOnFailure=\n[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart=/usr/local/bin/attempt\n"
        f"StandardOutput=truncate:{output}\nTimeoutStartSec=30\n",
        unit=unit,
    )
    bridge.machine.run("systemctl", "start", unit, check=False)
    return bridge.machine.read(output)


def test_the_bridge_runs_as_its_user_without_a_capability(bridge: Bridge) -> None:
    output = run_as(bridge, UNIT, "id -un; grep -E 'CapBnd|CapEff|NoNewPrivs|Seccomp:' /proc/self/status")
    assert output.split() == ["dolphin", "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]


def test_the_bridge_can_write_its_state_and_nothing_else(bridge: Bridge) -> None:
    bridge.machine.run("chmod", "777", "/srv")
    script = "for d in /var/lib/scan-bridge /srv /srv/scans /etc /opt/scan-bridge /tmp; do touch $d/x && echo $d; done"
    output = run_as(bridge, UNIT, script)
    written = [line for line in output.splitlines() if line.startswith("/")]
    assert written == ["/var/lib/scan-bridge", "/tmp"]
    assert bridge.machine.run("test", "-e", "/tmp/x", check=False).returncode == 1, "its /tmp is its own"


def test_the_bridge_sees_neither_homes_nor_other_processes_nor_devices(bridge: Bridge) -> None:
    bridge.machine.run("sh", "-c", "mkdir -p /home/someone; chmod 755 /home/someone; echo secret > /home/someone/file")
    output = run_as(bridge, UNIT, "cat /home/someone/file; ls -d /proc/1; ls /dev/kmsg")
    assert "secret" not in output
    assert output.count("No such file") + output.count("denied") == 3


def test_the_bridge_may_talk_to_private_addresses_only(bridge: Bridge) -> None:
    """Nothing is sent beyond this machine: the refusal, or its absence, shows before that."""
    send = "import socket,sys; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', (sys.argv[1], 9))"
    output = run_as(
        bridge, UNIT,
        f"for a in 127.0.0.1 198.51.100.1; do /opt/scan-bridge/bin/python -c \"{send}\" $a && echo $a; done",
    )  # fmt: skip
    assert [line for line in output.splitlines() if line[0].isdigit()] == ["127.0.0.1"]
    assert "Operation not permitted" in output


def test_a_file_system_mounted_later_is_seen_and_one_unmounted_is_let_go(bridge: Bridge) -> None:
    machine = bridge.machine
    bridge.start()
    bridge.publishes()
    folder = f"/srv/scans/{bridge.root.name}"
    mounted = "2026-03-25/mounted.arrow"
    machine.run("cp", f"{folder}/{bridge.latest()}", "/root/scan.arrow")
    machine.run("mount", "-t", "tmpfs", "-o", "mode=755", "none", folder)
    machine.run("install", "-D", "-m", "644", "/root/scan.arrow", f"{folder}/{mounted}")
    until(lambda: bridge.latest() == mounted, 60, bridge.log)
    machine.run("umount", folder)
    bridge.publishes()
    assert bridge.restarts == 0


def test_the_health_check_may_restart_the_bridge_and_only_that(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    script = """
    try() { systemctl --no-ask-password "$@" >/dev/null 2>&1 && echo "did $*"; }
    try restart dolphin-scan-bridge.service
    try stop dolphin-scan-bridge.service
    try kill dolphin-scan-bridge.service
    try restart systemd-logind.service
    try restart dolphin-scan-bridge-healthcheck.service
    try daemon-reload
    try mask dolphin-scan-bridge.service
    true
    """
    assert run_as(bridge, HEALTHCHECK, script).splitlines() == ["did restart dolphin-scan-bridge.service"]
    assert bridge.pid != pid
    bridge.publishes()


def test_the_bridge_itself_may_not_restart_anything(bridge: Bridge) -> None:
    script = "systemctl --no-ask-password restart dolphin-scan-bridge-healthcheck.service; echo exit $?"
    output = run_as(bridge, UNIT, script)
    assert "exit 0" not in output
    assert "exit" in output


def test_the_health_check_can_see_what_it_judges(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    script = f"""
    id -un
    journalctl -q -u dolphin-scan-bridge --no-pager -o cat | grep -c 'published {bridge.latest()}'
    systemctl show dolphin-scan-bridge --property=ActiveState
    grep -c VmRSS /proc/{bridge.pid}/status
    head -c 8 /etc/scan-bridge/config.toml >/dev/null && echo config
    ls /srv/scans/{bridge.root.name}
    """
    bridge.machine.run("sh", "-c", "chmod 640 /etc/scan-bridge/config.toml; chgrp dolphin /etc/scan-bridge/config.toml")
    assert run_as(bridge, HEALTHCHECK, script).split() == [
        "dolphin-healthcheck", "1", "ActiveState=active", "1", "config", "2026-03-24",
    ]  # fmt: skip


def test_the_health_check_cannot_touch_the_bridge(bridge: Bridge) -> None:
    bridge.start()
    pid = bridge.pid
    script = f"kill -9 {pid} && echo killed; ls /var/lib/scan-bridge && echo seen; true"
    output = run_as(bridge, HEALTHCHECK, script)
    assert "killed" not in output
    assert "seen" not in output
    assert bridge.pid == pid
