"""Asks systemd about the bridge's unit, and asks it to restart that. Never signals or traces the process itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from healthcheck.config.settings import Health
from healthcheck.model.observation import Answer, CpuReading, Known, UnitState
from healthcheck.observe import commands, procfs
from healthcheck.observe.commands import CommandError

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "NRestarts",
    "MainPID",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestampMonotonic",
    "ExecMainExitTimestampMonotonic",
    "InvocationID",
    "StatusText",
    "CPUUsageNSec",
    "MemoryCurrent",
    "ControlGroup",
)
NOT_SET = ("", "[not set]", "[no data]", "18446744073709551615")
RESTART_CALL_S = 5.0
CGROUP_ROOT = Path("/sys/fs/cgroup")

# si_code of wait(2), as systemd hands it on.
_EXIT_CODES = {"1": "exited", "2": "killed", "3": "dumped"}


class NoSuchUnit(Exception):
    """systemd does not know the unit, or there is no systemd here. The message says which."""


class RestartRefused(Exception):
    """systemd did not accept the restart. The message is its own."""


@dataclass(frozen=True, slots=True)
class UnitAnswers:
    """What one look at the unit gives."""

    unit: Answer[UnitState]
    cpu: Answer[CpuReading]
    memory_bytes: Answer[int]


def read_unit(health: Health, deadline_s: float) -> UnitAnswers:
    """The bridge's unit's state and what it uses; from /proc what systemd's accounting does not have.

    Raises:
        NoSuchUnit: there is no such unit here.
        CommandError: systemctl cannot be run, fails or hangs.
    """
    how = f"{health.systemctl} show {health.unit}"
    properties = show(health, deadline_s)
    if properties.get("LoadState") == "not-found":
        raise NoSuchUnit(f"systemd knows no unit {health.unit}")
    try:
        state = parse_unit(properties, time.monotonic(), datetime.now(UTC))
    except (KeyError, ValueError) as error:
        raise CommandError(f"{health.systemctl} show gave no usable answer: {error}") from error
    return UnitAnswers(Known(state, how), _cpu(properties, state, how), _memory(properties, state, how))


def show(health: Health, deadline_s: float) -> Mapping[str, str]:
    """The bridge's unit's properties as systemd writes them.

    Raises:
        NoSuchUnit: there is no systemd here.
        CommandError: systemctl fails or hangs.
    """
    properties = f"--property={','.join(PROPERTIES)}"
    command = [*health.systemctl.split(), "show", "--no-pager", properties, "--", health.unit]
    try:
        ran = commands.run(command, deadline_s)
    except CommandError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise NoSuchUnit("there is no systemctl here") from error
        raise
    if "not been booted with systemd" in ran.err:
        raise NoSuchUnit("this system was not booted with systemd")
    if ran.status != 0:
        raise CommandError(f"{health.systemctl} show: {ran.err.strip() or f'exit status {ran.status}'}")
    return parse_show(ran.out)


def restart(health: Health) -> None:
    """Ask for a restart of the bridge's unit, and do not wait. A start limit in force is respected, and not told here.

    Raises:
        RestartRefused: systemd refused, could not be asked or did not answer.
    """
    try:
        how = ["--no-ask-password", "restart", "--no-block", "--", health.unit]
        ran = commands.run([*health.systemctl.split(), *how], RESTART_CALL_S)
    except CommandError as error:
        raise RestartRefused(str(error)) from error
    if ran.status != 0:
        raise RestartRefused(ran.err.strip() or f"{health.systemctl} restart: exit status {ran.status}")


def parse_show(text: str) -> dict[str, str]:
    """`systemctl show`'s lines as a mapping; what is no `Name=value` line continues the value before it."""
    properties: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and key in PROPERTIES:
            name = key
            properties[name] = value
        elif name:
            properties[name] += "\n" + line
    return properties


def parse_unit(properties: Mapping[str, str], monotonic_s: float, now: datetime) -> UnitState:
    """The unit's state; `monotonic_s` and `now` are the two clocks at the time of asking.

    Raises:
        KeyError, ValueError: a property is missing or no number.
    """

    def ago_s(timestamp: str) -> float | None:
        at_us = _integer(properties, timestamp)
        return monotonic_s - at_us / 1e6 if at_us else None

    def moment(ago_s: float | None) -> datetime | None:
        return None if ago_s is None else datetime.fromtimestamp(now.timestamp() - ago_s, UTC)

    uptime_s = ago_s("ExecMainStartTimestampMonotonic")
    return UnitState(
        active_state=properties["ActiveState"],
        sub_state=properties["SubState"],
        result=properties["Result"],
        n_restarts=_integer(properties, "NRestarts") or 0,
        exec_main_code=_EXIT_CODES.get(properties.get("ExecMainCode", ""), ""),
        exec_main_status=_integer(properties, "ExecMainStatus") or 0,
        main_pid=_integer(properties, "MainPID") or 0,
        started_at=moment(uptime_s),
        uptime_s=uptime_s,
        invocation_id=properties.get("InvocationID", ""),
        status_text=properties.get("StatusText", ""),
        ended_at=moment(ago_s("ExecMainExitTimestampMonotonic")),
        is_masked=properties.get("LoadState") == "masked",
    )


def _cpu(properties: Mapping[str, str], unit: UnitState, how: str) -> Answer[CpuReading]:
    used_ns = _integer(properties, "CPUUsageNSec")
    if used_ns is not None:
        return Known(CpuReading(used_ns / 1e9, f"systemd {unit.invocation_id}"), how)
    return procfs.cpu(unit.main_pid)


def _memory(properties: Mapping[str, str], unit: UnitState, how: str) -> Answer[int]:
    """Without the page cache, which the kernel charges to whoever read a file first and takes back when it likes."""
    current = _integer(properties, "MemoryCurrent")
    group = properties.get("ControlGroup", "").lstrip("/")
    if current is not None and group:
        try:
            cached = parse_file_cache((CGROUP_ROOT / group / "memory.stat").read_text())
            return Known(max(0, current - cached), f"{how}, less the page cache")
        except (OSError, ValueError):
            pass
    return procfs.memory(unit.main_pid)


def parse_file_cache(memory_stat: str) -> int:
    """Bytes of page cache in a control group's `memory.stat` (version 2).

    Raises:
        ValueError: the figures are not there.
    """
    figures = dict(line.split(maxsplit=1) for line in memory_stat.splitlines() if " " in line)
    try:
        return int(figures["active_file"]) + int(figures["inactive_file"])
    except KeyError as error:
        raise ValueError(f"memory.stat without {error}") from error


def _integer(properties: Mapping[str, str], name: str) -> int | None:
    value = properties.get(name, "")
    return None if value in NOT_SET else int(value)
