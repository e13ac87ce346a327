"""What one check leaves for the next, so that rates, changes and ages can be told. Pure; no I/O.

Ages are carried forward by the boot-time clock, so that a step of the wall clock makes nothing stale or fresh.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from bridge.model.order import ScanFile
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, SourceState
from healthcheck.model.observation import ClockReading, CpuReading, Known, Snapshot, UnitState, value_of

PROBES = ("hazelcast", "entry", "status", "unit", "cpu", "memory_bytes", "disk", "journal")
LOCAL_PROBES = ("unit", "cpu", "memory_bytes", "disk", "journal")


@dataclass(frozen=True, slots=True)
class Counted:
    """The bridge's counters at the last check, and how many bad files it had counted before it last published."""

    started_at: datetime
    published: int
    bad: int
    bad_before: int

    @property
    def bad_since_published(self) -> int:
        """Bad files since the last publish, as far as checks can tell: those of the same interval count."""
        return self.bad - self.bad_before


@dataclass(frozen=True, slots=True)
class PreviousCheck:
    """What the last check saw. A field is None where nothing was ever seen."""

    clock: ClockReading
    hazelcast_reachable: bool | None = None
    entry: Provenance | None = None
    entry_age_s: float | None = None  # of `entry`, at `clock`
    no_entry_s: float | None = None  # how long the map has been seen without an entry
    heartbeat_at: datetime | None = None
    counted: Counted | None = None
    unit: UnitState | None = None
    cpu: CpuReading | None = None
    disk_state: SourceState | None = None
    away_ago_s: float | None = None  # since the cluster or the source was last seen away
    newest: ScanFile | None = None
    unknown_s: dict[str, float] = field(default_factory=dict)  # probes without an answer, for how long
    journal_cursor: str | None = None
    heartbeats: dict[str, datetime] = field(default_factory=dict)  # of every bridge of the status map, by key


def elapsed_s(previous: PreviousCheck | None, clock: ClockReading) -> float | None:
    """Seconds since the last check by the clock that never steps; None without one in this boot."""
    if previous is None or previous.clock.boot_id != clock.boot_id:
        return None
    return clock.boottime_s - previous.clock.boottime_s


def clock_step_s(previous: PreviousCheck | None, clock: ClockReading) -> float | None:
    """How far the wall clock jumped since the last check; None if that cannot be told."""
    elapsed = elapsed_s(previous, clock)
    if previous is None or elapsed is None:
        return None
    return (clock.wall - previous.clock.wall).total_seconds() - elapsed


def entry_age_s(snapshot: Snapshot, previous: PreviousCheck | None, tolerance_s: float) -> float | None:
    """Age of the scan in the map, in seconds; None if it cannot be told.

    While the cluster is away, the age of the scan that was last seen there. A scan that was there at the last
    check has aged by the time since, whatever the wall clock did. A new one is as old as its file. If the clock
    stepped, it was dated before or after that, and the time since the last check bounds its age. One with a date
    in the future that was not there at the last check is new.
    """
    elapsed = elapsed_s(previous, snapshot.clock)
    entry = snapshot.entry.value if isinstance(snapshot.entry, Known) else None
    if entry is None and not (isinstance(snapshot.hazelcast, Known) and not snapshot.hazelcast.value.reachable):
        return None
    if previous is not None and previous.entry is not None and entry in (None, previous.entry):
        if elapsed is not None and previous.entry_age_s is not None:
            return previous.entry_age_s + elapsed
        entry = previous.entry
    if entry is None:
        return None
    now_ns = int(snapshot.at.timestamp() * 1e9)
    age = (now_ns - entry.written_ns) / 1e9
    step = clock_step_s(previous, snapshot.clock)
    if elapsed is not None and step is not None and abs(step) > tolerance_s:
        after_the_step = 0 <= age <= elapsed
        return min(max(age if after_the_step else age - step, 0.0), elapsed)
    if age < -tolerance_s and elapsed is None:
        return None
    return max(age, 0.0)


def remember(snapshot: Snapshot, previous: PreviousCheck | None, tolerance_s: float) -> PreviousCheck:
    """What the next check must know. An unknown answer leaves what was known before."""
    elapsed = elapsed_s(previous, snapshot.clock) or 0.0
    before = previous or PreviousCheck(snapshot.clock)
    entry = value_of(snapshot.entry)
    status = value_of(snapshot.status)
    unit = value_of(snapshot.unit)
    disk = value_of(snapshot.disk)
    journal = value_of(snapshot.journal)
    reach = value_of(snapshot.hazelcast)
    bridges = value_of(snapshot.bridges)
    age = entry_age_s(snapshot, previous, tolerance_s)
    return PreviousCheck(
        clock=snapshot.clock,
        hazelcast_reachable=reach.reachable if reach else before.hazelcast_reachable,
        entry=entry or before.entry,
        # A scan with an impossible date is taken as new when first seen, and ages from there.
        entry_age_s=age if age is not None or entry is None else 0.0,
        no_entry_s=_no_entry_s(snapshot, before, elapsed),
        heartbeat_at=status.heartbeat_at if status else before.heartbeat_at,
        counted=count(status, before.counted),
        unit=unit or before.unit,
        cpu=value_of(snapshot.cpu),
        disk_state=disk.state if disk else before.disk_state,
        away_ago_s=_away_ago_s(snapshot, before, elapsed),
        newest=(disk.newest if disk else None) or before.newest,
        unknown_s={
            name: before.unknown_s.get(name, -elapsed) + elapsed
            for name in PROBES
            if not isinstance(getattr(snapshot, name), Known)
        },
        journal_cursor=(journal.cursor if journal else None) or before.journal_cursor,
        heartbeats=before.heartbeats if bridges is None else {key: one.heartbeat_at for key, one in bridges.items()},
    )


def _no_entry_s(snapshot: Snapshot, before: PreviousCheck, elapsed: float) -> float | None:
    if isinstance(snapshot.entry, Known) and snapshot.entry.value is not None:
        return None
    if before.no_entry_s is not None:
        return before.no_entry_s + elapsed
    return 0.0 if isinstance(snapshot.entry, Known) else None


def _away_ago_s(snapshot: Snapshot, before: PreviousCheck, elapsed: float) -> float | None:
    reach, disk = value_of(snapshot.hazelcast), value_of(snapshot.disk)
    if (reach and not reach.reachable) or (disk and disk.state != "ok"):
        return 0.0
    return None if before.away_ago_s is None else before.away_ago_s + elapsed


def count(status: BridgeStatus | None, before: Counted | None) -> Counted | None:
    """The counters after this check's status; a bridge that started anew counts from 0."""
    if status is None:
        return before
    now = status.counters
    if before is None or before.started_at != status.started_at:
        bad_before = now.bad if now.published else 0
    elif before.published != now.published:
        bad_before = before.bad
    else:
        bad_before = before.bad_before
    return Counted(status.started_at, now.published, now.bad, bad_before)
