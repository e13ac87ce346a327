"""`make install-user`: the bridge under `systemctl --user`, for people without root."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.hazelcast_member import Member
from support.install import copy_source, make, runtime_dir
from support.machine import Machine, until
from support.service import Bridge

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

USER = "someone"
HOME = f"/home/{USER}"
UNIT = "dolphin-scan-bridge"
COPY = f"{HOME}/checkout"


@pytest.fixture
def as_user(fresh: Machine) -> Callable[..., str]:
    """Runs a command as the user, in the user's session; what it printed."""
    fresh.run("useradd", "--create-home", "--shell", "/bin/bash", USER)
    fresh.run("loginctl", "enable-linger", USER)
    bus = f"{runtime_dir(fresh, USER)}/bus"
    until(lambda: fresh.run("test", "-e", bus, check=False).returncode == 0, 60, "no user manager")
    copy_source(fresh, COPY)
    fresh.run("chown", "-R", USER, COPY)
    environment = {
        "HOME": HOME,
        "XDG_RUNTIME_DIR": runtime_dir(fresh, USER),
        "PATH": f"{HOME}/.local/bin:/usr/bin:/bin",
    }

    def as_user(*command: str) -> str:
        return fresh.run(*command, user=USER, env=environment, timeout_s=120).stdout

    return as_user


def test_it_installs_runs_survives_upgrades_and_uninstalls(
    fresh: Machine, own_member: Member, as_user: Callable[..., str]
) -> None:
    output = make(fresh, "install-user", source=COPY, user=USER, PREFECT="no")
    assert "systemctl --user enable --now dolphin-scan-bridge" in output
    assert "enable-linger" in output
    bridge = Bridge(fresh, own_member, "scans", own_member.client())
    bridge.configure()
    fresh.run("sh", "-c", f"cat /etc/scan-bridge/config.toml > {HOME}/.config/scan-bridge/config.toml")
    as_user("systemctl", "--user", "enable", "--now", UNIT)
    bridge.publishes()

    def pid() -> str:
        return as_user("systemctl", "--user", "show", UNIT, "--property=MainPID", "--value").strip()

    units = as_user("sh", "-c", f"ls {HOME}/.config/systemd/user/dolphin-scan-bridge*").split()
    assert as_user("systemd-analyze", "--user", "verify", "--man=no", *units) == ""
    as_user("systemctl", "--user", "start", f"dolphin-scan-bridge-alarm@{UNIT}.service")
    alarms = fresh.journal("--identifier=scan-bridge-alarm")
    assert "dolphin-scan-bridge.service has failed" in str(alarms[-1]["MESSAGE"])
    assert "Run: make" not in str(alarms[-1]["MESSAGE"]), "its program is found"
    first = pid()
    assert fresh.run("ps", "-o", "user=", "-p", first).stdout.strip() == USER
    as_user("kill", "-9", first)
    bridge.publishes(6)
    assert pid() != first

    as_user("sed", "-i", 's/^version = .*/version = "1.0.99"/', f"{COPY}/pyproject.toml")
    second = pid()
    make(fresh, "upgrade-user", source=COPY, user=USER)
    assert pid() != second
    bridge.publishes()
    assert (bridge.status() or {})["version"] == "1.0.99"
    for folder in (f"{HOME}/.local/opt/scan-bridge/bin", f"{COPY}/scripts"):
        assert "active (running)" in as_user(f"{folder}/scan_bridge_restart.sh", "--user")
    fresh.run("rm", "/etc/scan-bridge/config.toml")
    assert "alive, heartbeat" in as_user("scan-bridge", "status"), "the user's own config is found"

    make(fresh, "uninstall-user", source=COPY, user=USER)
    assert fresh.run("pgrep", "-u", USER, "-f", "scan-bridge", check=False).stdout == ""
    assert as_user("ls", f"{HOME}/.config/scan-bridge").split() == ["config.toml", "state"]
    assert as_user("sh", "-c", f"find {HOME}/.local {HOME}/.config/systemd -name '*scan-bridge*'") == ""
    assert as_user("sh", "-c", f"ls -d {HOME}/.prefect /tmp/tmp.* 2>/dev/null || true") == ""


def test_root_is_told_to_use_the_other_installation(fresh: Machine) -> None:
    result = fresh.run("make", "-C", "/src", "install-user", check=False)
    assert result.returncode != 0
    assert "as root run: make install" in result.stderr
