"""Asks everything at once, each probe in its own thread with a deadline, and puts the answers into a snapshot.

A probe that hangs or raises costs its own answer only. Probes look; none of them changes anything.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from bridge.model.status import BridgeStatus, Statuses
from bridge.system.host import host_id
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.judge.own_bridge import Watched, own_status
from healthcheck.judge.previous_check import PreviousCheck
from healthcheck.model.observation import (
    Answer,
    ClockReading,
    DiskView,
    JournalBatch,
    Known,
    LeftBehind,
    Scope,
    Snapshot,
    Unknown,
    value_of,
)
from healthcheck.observe import cluster, commands, disk, journal, side_by_side, systemd
from healthcheck.observe.cluster import MapAnswers
from healthcheck.observe.commands import CommandError, CommandTimeout
from healthcheck.observe.side_by_side import Outcome
from healthcheck.observe.systemd import NoSuchUnit, UnitAnswers

# What a probe waits for ends before the wait for the probe does, so that it can say what it waited for.
INNER_SHARE = 0.8
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Observed:
    """A snapshot, and the process of a look at the disk that could not be ended."""

    snapshot: Snapshot
    hung_look: LeftBehind | None


def read_clocks() -> ClockReading:
    """All three clocks, now."""
    return ClockReading(datetime.now(UTC), time.clock_gettime(time.CLOCK_BOOTTIME), BOOT_ID.read_text().strip())


def observe(config: HealthConfig, previous: PreviousCheck | None, hung_look: LeftBehind | None) -> Observed:
    """Everything one check can see from here, after at most `probe_timeout_s`.

    Args:
        previous: what the last check left, for the journal's cursor.
        hung_look: the process that an earlier look at the disk had to leave behind.
    """
    health = config.health
    inner_s = health.probe_timeout_s * INNER_SHARE
    cursor = previous.journal_cursor if previous else None
    started = read_clocks()
    jobs: dict[str, Callable[[], object]] = {"map": lambda: _look_into_map(config, inner_s)}
    if health.scope != "remote":
        jobs |= {
            "unit": lambda: systemd.read_unit(health, inner_s),
            "disk": lambda: _look_at_disk(config, inner_s, hung_look),
            "journal": lambda: journal.read_journal(health, cursor, inner_s),
        }
    outcomes = side_by_side.run(jobs, health.probe_timeout_s)
    in_map, clock = _in_map(outcomes["map"], started)
    unit = outcomes.get("unit")
    scope = _scope(health.scope, unit)
    if scope.is_local:
        of_unit = _of_unit(unit, health)
        on_disk, hung_look = _on_disk(outcomes["disk"], config)
        lines = _lines(outcomes["journal"], health)
    else:
        nothing = Unknown(f"not looked at: {scope.reason}", "not asked")
        of_unit, on_disk, lines = UnitAnswers(nothing, nothing, nothing), nothing, nothing
    main = value_of(of_unit.unit)
    watched = Watched(socket.gethostname() if scope.is_local else None, main.main_pid if main else 0, host_id())
    snapshot = Snapshot(
        clock=clock,
        scope=scope,
        hazelcast=in_map.hazelcast,
        entry=in_map.entry,
        status=own_status(in_map.statuses, watched, config),
        unit=of_unit.unit,
        cpu=of_unit.cpu,
        memory_bytes=of_unit.memory_bytes,
        disk=on_disk,
        journal=lines,
        bridges=_bridges(in_map.statuses),
    )
    return Observed(snapshot, hung_look)


def reason_of(outcome: Outcome) -> str:
    """Why there is no answer, in one line."""
    if isinstance(outcome, OSError) and outcome.strerror:
        return f"{outcome.filename}: {outcome.strerror}" if outcome.filename else outcome.strerror
    if isinstance(outcome, CommandError | NoSuchUnit | TimeoutError):
        return str(outcome)
    return f"{type(outcome).__name__}: {outcome}" if isinstance(outcome, Exception) else "no answer"


def _scope(configured: Literal["auto", "local", "remote"], unit: Outcome) -> Scope:
    if configured == "remote":
        return Scope("remote", "health.scope is remote")
    if configured == "auto" and isinstance(unit, NoSuchUnit):
        return Scope("remote", f"no such unit here: {unit}")
    return Scope("local")


def _look_into_map(config: HealthConfig, deadline_s: float) -> tuple[MapAnswers, ClockReading]:
    """The clocks are read when the map has answered: ages count from there, however long other probes take."""
    return cluster.read_map(config.hazelcast, deadline_s), read_clocks()


def _in_map(outcome: Outcome, started: ClockReading) -> tuple[MapAnswers, ClockReading]:
    match outcome:
        case (MapAnswers() as answers, ClockReading() as clock):
            return answers, clock
        case _:
            nothing = Unknown(reason_of(outcome), "Hazelcast client")
            return MapAnswers(nothing, nothing, nothing), started


def _bridges(found: Answer[Statuses]) -> Answer[Mapping[str, BridgeStatus]]:
    return found if isinstance(found, Unknown) else Known(found.value.bridges, found.how)


def _of_unit(outcome: Outcome, health: Health) -> UnitAnswers:
    if isinstance(outcome, UnitAnswers):
        return outcome
    return UnitAnswers(*[Unknown(reason_of(outcome), f"{health.systemctl} show {health.unit}")] * 3)


def _look_at_disk(config: HealthConfig, deadline_s: float, hung: LeftBehind | None) -> DiskView:
    if hung is not None and commands.is_running(hung):
        raise CommandTimeout(f"an earlier look still hangs in the kernel (process {hung.pid})", hung)
    return disk.list_newest(config.source.root, config.source.scan_days, config.health.grace_s, deadline_s)


def _on_disk(outcome: Outcome, config: HealthConfig) -> tuple[Answer[DiskView], LeftBehind | None]:
    how = f"listing the newest day folders of {config.source.root}"
    match outcome:
        case DiskView() as view:
            if os.strerror(errno.EACCES) in view.reason:
                return Unknown(f"{view.reason}; the check's user needs a group that may read it", how), None
            return Known(view, how), None
        case CommandTimeout() as error:
            # A folder that does not answer cannot be read: that is an answer.
            return Known(DiskView("unreadable", f"{config.source.root}: {error}"), how), error.left
        case _:
            return Unknown(reason_of(outcome), how), None


def _lines(outcome: Outcome, health: Health) -> Answer[JournalBatch]:
    how = f"{health.journalctl} --unit={health.unit} --priority=warning"
    return Known(outcome, how) if isinstance(outcome, JournalBatch) else Unknown(reason_of(outcome), how)
