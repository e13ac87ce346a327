"""`make install`, `upgrade` and `uninstall`, done as a user would on a machine of its own."""

from __future__ import annotations

import pytest
from conftest import SOURCE, copy_source, make
from hazelcast_member import Member
from machine import Machine, until
from service import CONFIG, UNIT, Bridge

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

COPY = "/root/scan-bridge"


@pytest.fixture
def installed(fresh: Machine) -> Machine:
    """Installed from a copy of the checkout that the test may change."""
    copy_source(fresh, COPY)
    make(fresh, "install", source=COPY, PREFECT="no")
    return fresh


@pytest.fixture
def running(installed: Machine, own_member: Member) -> Bridge:
    """Installed, configured, enabled and publishing."""
    bridge = Bridge(installed, own_member, "scans", own_member.client())
    bridge.configure()
    installed.run("systemctl", "enable", "--now", UNIT)
    bridge.publishes()
    return bridge


def release(machine: Machine) -> str:
    return machine.run("readlink", "/opt/scan-bridge").stdout.strip()


def files(machine: Machine, *places: str) -> str:
    """Every file below these places, with its content's checksum."""
    return machine.run("sh", "-c", f"find {' '.join(places)} -type f -exec sha256sum {{}} + 2>/dev/null | sort").stdout


def test_a_first_install_is_complete_and_says_what_to_type_next(fresh: Machine) -> None:
    output = make(fresh, "install", PREFECT="no")
    commands = [line.strip().split("  ")[0] for line in output.split("Next:")[1].splitlines() if line.strip()]
    assert len(commands) == 3
    assert commands[1] == "systemctl enable --now dolphin-scan-bridge"
    assert fresh.run("scan-bridge", "--version").stdout.startswith("scan-bridge ")
    assert fresh.run("stat", "-c", "%U:%G %a", CONFIG).stdout.strip() == "root:dolphin 640"
    assert fresh.run("scan-bridge", "check-config", user="dolphin").returncode == 0
    assert fresh.show(UNIT, "ActiveState")["ActiveState"] == "inactive", "nothing starts before it is configured"
    fresh.run("sh", "-c", commands[1])
    assert fresh.show(UNIT, "ActiveState", "UnitFileState") == {"ActiveState": "active", "UnitFileState": "enabled"}


def test_installing_again_changes_nothing_and_restarts_nothing(running: Bridge) -> None:
    machine = running.machine
    places = ("/opt", "/etc", "/usr/local")
    before, pid = files(machine, *places), running.pid
    output = make(machine, "install", source=COPY)
    assert "nothing to build" in output
    assert files(machine, *places) == before
    assert running.pid == pid


def test_without_root_one_line_says_what_to_do(fresh: Machine) -> None:
    fresh.run("useradd", "--create-home", "someone")
    result = fresh.run(f"{SOURCE}/scripts/install.sh", "install", user="someone", check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "install.sh: needs root; run: sudo make install   (without root: make install-user)"
    ]


def test_an_upgrade_keeps_the_config_and_switches_to_the_new_version(running: Bridge) -> None:
    machine = running.machine
    config, old, pid = machine.read(CONFIG), release(machine), running.pid
    machine.run("sed", "-i", 's/^version = .*/version = "1.0.99"/', f"{COPY}/pyproject.toml")
    output = make(machine, "upgrade", source=COPY)
    assert "restarted dolphin-scan-bridge.service" in output
    assert machine.read(CONFIG) == config
    assert machine.run("scan-bridge", "--version").stdout.strip() == "scan-bridge 1.0.99"
    assert release(machine) != old
    assert running.pid != pid
    running.publishes()
    assert (running.status() or {})["version"] == "1.0.99"
    assert machine.run("test", "-x", f"{old}/bin/scan-bridge").returncode == 0, "the version before is kept"


def test_a_rollback_goes_back_to_the_version_before(running: Bridge) -> None:
    machine = running.machine
    old = release(machine)
    machine.run("sed", "-i", 's/^version = .*/version = "1.0.99"/', f"{COPY}/pyproject.toml")
    make(machine, "upgrade", source=COPY)
    machine.run(f"{COPY}/scripts/install.sh", "rollback")
    assert release(machine) == old
    running.publishes()
    assert (running.status() or {})["version"] != "1.0.99"


BREAKAGES = {
    # what is done to the new version's sources: how the upgrade must fail
    "does not build": ("echo 'nonsense =' >> pyproject.toml", "could not be built"),
    "refuses the config": (
        "sed -i 's/^class Source(Section):/class Source(Section):\\n    wanted: int/' bridge/config.py",
        "source.wanted: missing",
    ),
    "does not start": ("sed -i 's/^def _run(.*/&\\n    sys.exit(1)/' bridge/cli.py", "is running again"),
    "starts and dies": (
        "sed -i 's/^    async def _supervise(.*/&\\n        self._notify.ready(); sys.exit(1)/; s/^import os$/import os, sys/' "
        "bridge/daemon.py",
        "is running again",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_failed_upgrade_leaves_the_old_version_running(running: Bridge, breakage: str) -> None:
    machine = running.machine
    command, reason = BREAKAGES[breakage]
    old, pid, units = release(machine), running.pid, files(machine, "/usr/local", "/etc/polkit-1")
    copied = machine.run("sh", "-c", f"cd {COPY} && cp -r bridge /tmp/before && {command} && diff -r bridge /tmp/before", check=False)
    assert copied.stdout or breakage == "does not build", "the breakage must be in the sources"
    result = machine.run(
        "make", "--no-print-directory", "-C", COPY, "upgrade", env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"},
        check=False, timeout_s=300,
    )  # fmt: skip
    assert result.returncode != 0
    assert reason in result.stdout + result.stderr
    assert release(machine) == old
    assert files(machine, "/usr/local", "/etc/polkit-1") == units
    assert machine.run("sh", "-c", "ls /opt/scan-bridge.releases").stdout.split() == [old.rsplit("/", 1)[1]]
    if reason != "is running again":
        assert running.pid == pid, "it was not even touched"
    assert running.show("ActiveState") == "active"
    running.publishes()


def test_an_upgrade_mends_a_bridge_that_has_given_up(running: Bridge) -> None:
    """Where the version installed crashes, the upgrade that mends it must also start it."""
    machine = running.machine
    machine.run("sh", "-c", "echo 'raise SystemExit(1)' >> /opt/scan-bridge/lib/python3.11/site-packages/bridge/cli.py")
    machine.run("systemctl", "restart", UNIT, check=False)
    until(lambda: running.show("ActiveState") in ("failed", "activating"), 20, running.log)
    make(machine, "upgrade", source=COPY)
    running.publishes()


def test_uninstall_leaves_config_and_state_and_nothing_else(running: Bridge) -> None:
    machine = running.machine
    config = machine.read(CONFIG)
    output = make(machine, "uninstall", source=COPY)
    assert "PURGE=1" in output
    assert machine.read(CONFIG) == config
    assert machine.run("test", "-e", "/var/lib/scan-bridge/in-hand").returncode == 0
    left = "find / -xdev -path /proc -prune -o -path /sys -prune -o -name '*scan-bridge*' -print"
    found = set(machine.run("sh", "-c", f"{left} | grep -v -e ^{COPY} -e ^/run -e ^/tmp -e ^/src").stdout.split())
    assert found == {"/etc/scan-bridge", "/var/lib/scan-bridge"}
    assert machine.run("pgrep", "-u", "dolphin", check=False).stdout == ""
    assert machine.run("systemctl", "cat", UNIT, check=False).returncode != 0


def test_install_after_uninstall_takes_up_where_it_was(running: Bridge) -> None:
    machine = running.machine
    make(machine, "uninstall", source=COPY)
    output = make(machine, "install", source=COPY, PREFECT="no")
    assert CONFIG not in output
    machine.run("systemctl", "enable", "--now", UNIT)
    running.publishes()


def test_purge_removes_config_state_and_users_too(running: Bridge) -> None:
    machine = running.machine
    make(machine, "uninstall", source=COPY, PURGE="1")
    assert machine.run("ls", "/etc/scan-bridge", "/var/lib/scan-bridge", check=False).stdout == ""
    assert machine.run("id", "dolphin", check=False).returncode != 0
    make(machine, "uninstall", source=COPY)  # once more does no harm


def test_another_prefix_and_user_are_used_throughout_and_remembered(fresh: Machine, own_member: Member) -> None:
    copy_source(fresh, COPY)
    fresh.run("useradd", "--user-group", "collector")
    make(fresh, "install", source=COPY, PREFECT="no", PREFIX="/srv/apps/bridge", SERVICE_USER="collector")
    bridge = Bridge(fresh, own_member, "scans", own_member.client())
    bridge.configure()
    fresh.run("systemctl", "start", UNIT)
    bridge.publishes()
    assert fresh.run("ps", "-o", "user=", "-p", str(bridge.pid)).stdout.strip() == "collector"
    assert fresh.run("sh", "-c", "grep -rl /opt/scan-bridge /usr/local /etc || true").stdout == ""
    make(fresh, "upgrade", source=COPY, PREFIX="/srv/apps/bridge")
    assert fresh.run("ps", "-o", "user=", "-p", str(bridge.pid)).stdout.strip() == "collector"


def test_an_unknown_service_user_is_refused_before_anything_is_changed(fresh: Machine) -> None:
    before = files(fresh, "/opt", "/etc", "/usr/local")
    result = fresh.run(
        "make", "-C", SOURCE, "install", "SERVICE_USER=nobody-here", check=False, timeout_s=300
    )
    assert result.returncode != 0
    assert "SERVICE_USER=nobody-here: no such user" in result.stderr
    assert files(fresh, "/opt", "/etc", "/usr/local") == before


def test_a_prefix_that_holds_something_else_is_left_alone(fresh: Machine) -> None:
    fresh.write("/opt/scan-bridge/precious", "x")
    result = fresh.run("make", "-C", SOURCE, "install", check=False)
    assert result.returncode != 0
    assert "was not made by this script" in result.stderr
    assert fresh.read("/opt/scan-bridge/precious") == "x"


def test_destdir_stages_a_tree_that_works_when_moved_and_touches_nothing_else(fresh: Machine) -> None:
    before = files(fresh, "/opt", "/etc", "/usr/local", "/usr/lib/systemd")
    make(fresh, "install", PREFECT="no", DESTDIR="/root/stage")
    assert files(fresh, "/opt", "/etc", "/usr/local", "/usr/lib/systemd") == before
    assert fresh.run("id", "dolphin", check=False).returncode != 0
    assert fresh.run("sh", "-c", "grep -rl /root/stage /root/stage || true").stdout == ""
    fresh.run("sh", "-c", "cp -a /root/stage/. / && systemd-sysusers && systemctl daemon-reload && rm -r /root/stage")
    assert fresh.run("scan-bridge", "--version").stdout.startswith("scan-bridge ")
    fresh.run("systemctl", "start", UNIT)
    assert fresh.show(UNIT, "ActiveState")["ActiveState"] == "active"
