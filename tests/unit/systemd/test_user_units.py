"""The units for `systemctl --user`: made from the system's, with what a user's systemd can do and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import process

SYSTEMD = Path(__file__).parents[3] / "systemd"
UNITS = sorted(path for path in SYSTEMD.iterdir() if path.suffix in (".service", ".timer"))
NEEDS_ROOT = re.compile(
    r"(User|Group|SupplementaryGroups|DynamicUser|Protect\w+|Private\w+|ProcSubset|Capability\w+|Ambient\w+|IPAddress\w+)="
)


def made(unit: Path) -> list[str]:
    """The user's unit, a line each."""
    return process.run(["awk", "-f", SYSTEMD / "user.awk", unit], check=True).stdout.splitlines()


def settings(lines: list[str]) -> dict[str, list[str]]:
    """The assignments by name, continuation lines left out."""
    found: dict[str, list[str]] = {}
    for line in lines:
        if match := re.match(r"([A-Z]\w+)=(.*)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_needs_privileges_is_left_out_and_all_else_is_kept(unit: Path) -> None:
    lines = made(unit)
    assert not [line for line in lines if NEEDS_ROOT.match(line)]
    # The home is the user's own.
    kept = [line for line in unit.read_text().splitlines() if not line.startswith("Environment=HOME=")]
    before, after = settings(kept), settings(lines)
    gone = {name for name in before if not NEEDS_ROOT.match(f"{name}=")} - set(after)
    assert gone <= {"RemoveIPC", "KeyringMode", "DevicePolicy", "Wants", "After"}
    assert {name: len(values) for name, values in after.items()} == {name: len(before[name]) for name in after}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_speaks_of_the_users_files_and_manager_only(unit: Path) -> None:
    text = "\n".join(made(unit))
    assert "/opt/scan-bridge" not in text.replace("%h/.local/opt/scan-bridge", "")
    assert "/etc/scan-bridge" not in text
    assert not re.search(r"(systemctl|journalctl) (?!--user)", text)
    assert "multi-user.target" not in text


def test_the_bridge_is_supervised_as_by_the_system() -> None:
    unit = SYSTEMD / "dolphin-scan-bridge.service"
    ours, theirs = settings(made(unit)), settings(unit.read_text().splitlines())
    for name in ("Type", "WatchdogSec", "Restart", "RestartSec", "OnFailure", "StartLimitBurst", "MemoryMax"):
        assert ours[name] == theirs[name]
    assert ours["StateDirectory"] == ["scan-bridge/state"], "apart from the config, which may be in the same folder"


def test_every_state_has_a_folder_of_its_own_beside_the_others() -> None:
    folders = {}
    for unit in UNITS:
        ours = settings(made(unit))
        if state := ours.get("StateDirectory"):
            folders[unit.name] = state
            assert ours["WorkingDirectory"] == [f"%S/{state[0]}"]
    assert folders == {
        "dolphin-scan-bridge.service": ["scan-bridge/state"],
        "dolphin-scan-bridge-healthcheck.service": ["scan-bridge/healthcheck"],
        "dolphin-scan-bridge-healthcheck-fallback.service": ["scan-bridge/healthcheck"],
        "dolphin-scan-bridge-prefect.service": ["scan-bridge/prefect"],
    }


def test_the_alarm_is_found_by_the_users_unit() -> None:
    assert "USER_UNIT=%i.service" in "\n".join(made(SYSTEMD / "dolphin-scan-bridge-alarm@.service")).split()


def test_the_unit_of_further_bridges_is_the_same_but_for_what_is_apart() -> None:
    unit = SYSTEMD / "dolphin-scan-bridge.service"
    plain = unit.read_text().splitlines()
    named = process.run(["sed", "-f", SYSTEMD / "named.sed", unit], check=True).stdout.splitlines()
    ours, theirs = settings(named), settings(plain)
    assert {name for name in ours if ours[name] != theirs[name]} == {
        *("Description", "ExecStart", "ExecReload", "Environment", "SyslogIdentifier", "StateDirectory"),
        "WorkingDirectory",
    }
    assert ours["ExecStart"] == ["/opt/scan-bridge/bin/scan-bridge --instance %i run"]
    assert ours["ExecReload"] == [
        "/opt/scan-bridge/bin/scan-bridge --instance %i check-config",
        *theirs["ExecReload"][1:],
    ]
    assert ours["StateDirectory"] == ["scan-bridge@%i"]
    assert ours["Environment"] == [*theirs["Environment"], "XDG_CONFIG_HOME=%E"]
    assert len(ours) == len(theirs)
