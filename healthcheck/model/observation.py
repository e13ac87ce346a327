"""What a check observed of the bridge. Data only: no I/O, no clock, no decisions.

What could not be found out is `Unknown`, a state of its own; nothing in here turns it into "healthy".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeAlias, TypeVar

from bridge.model.order import ScanFile
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, SourceState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A probe's answer, and how it was got."""

    value: T
    how: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A probe gave no answer: why not, and how it was asked."""

    reason: str
    how: str


Answer: TypeAlias = Known[T] | Unknown


def value_of(answer: Answer[T]) -> T | None:
    """The value if it is known. Only where the caller treats not knowing apart."""
    return answer.value if isinstance(answer, Known) else None


@dataclass(frozen=True, slots=True)
class Scope:
    """How much can be seen from here: with `remote` only what Hazelcast holds, and `reason` says why."""

    name: Literal["local", "remote"]
    reason: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the unit, its journal and the disk are looked at, and the bridge can be restarted."""
        return self.name == "local"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Three clocks read together: what `now` is, and what tells a step of it from time passing."""

    wall: datetime
    boottime_s: float  # CLOCK_BOOTTIME: runs through suspend, never steps
    boot_id: str


@dataclass(frozen=True, slots=True)
class UnitState:
    """The bridge's unit, as `systemctl show` has it."""

    active_state: str
    sub_state: str
    result: str
    n_restarts: int
    exec_main_code: str  # "exited", "killed", "dumped" or "" (still running, or never ran)
    exec_main_status: int  # exit status, or the signal's number
    main_pid: int  # 0: no process
    started_at: datetime | None  # ExecMainStartTimestamp
    uptime_s: float | None  # since then, by the monotonic clock
    invocation_id: str  # new at each start of the unit
    status_text: str  # the unit's own STATUS= line
    ended_at: datetime | None = None  # when the main process ended; None while it runs, or if it never did
    is_masked: bool = False  # linked to /dev/null: nothing can start it

    @property
    def is_running(self) -> bool:
        """Whether the unit is up and has its process."""
        return self.active_state in ("active", "reloading") and self.main_pid > 0

    @property
    def state(self) -> str:
        """`active (running)`, `inactive (dead), masked`."""
        return f"{self.active_state} ({self.sub_state}){', masked' if self.is_masked else ''}"

    @property
    def hung_when_stopped(self) -> bool:
        """It was stopped, did not end, and was killed: nothing starts it again.

        A start that takes too long is repeated by Restart=always; only a stop that did leaves this result behind. The
        units of the retry timer and of the alarm go by the same.
        """
        return self.active_state == "failed" and self.result == "timeout"


@dataclass(frozen=True, slots=True)
class CpuReading:
    """CPU time used so far; comparable only with a reading of the same `source`."""

    used_s: float
    source: str  # "systemd <invocation>" or "/proc/<pid>"


@dataclass(frozen=True, slots=True)
class ClusterReach:
    """Whether this check can read the map; `detail` names the cluster, or the reason.

    `refused`: the cluster answered, with no.
    """

    reachable: bool
    detail: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A process that could not even be killed, told apart from a later one with the same id."""

    pid: int
    started: int  # clock ticks since the boot


@dataclass(frozen=True, slots=True)
class DiskView:
    """The newest scan files on disk; `settled` is the newest that has lain there for `grace_s`."""

    state: SourceState
    reason: str = ""  # why the state is not ok
    newest: ScanFile | None = None
    settled: ScanFile | None = None


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of the unit's journal."""

    at: datetime
    priority: int  # of syslog(3): `bridge.system.journal.Priority`
    message: str


@dataclass(frozen=True, slots=True)
class JournalBatch:
    """The unit's lines since the last check, oldest first; with `more`, the cap left some out."""

    lines: tuple[JournalLine, ...]
    cursor: str | None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one check saw of the bridge. Out of `scope`, the unit, its journal and the disk were not looked at."""

    clock: ClockReading
    scope: Scope
    hazelcast: Answer[ClusterReach]
    entry: Answer[Provenance | None]
    status: Answer[BridgeStatus | None]
    unit: Answer[UnitState]
    cpu: Answer[CpuReading]
    memory_bytes: Answer[int]
    disk: Answer[DiskView]
    journal: Answer[JournalBatch]
    bridges: Answer[Mapping[str, BridgeStatus]]  # all that the status map knows, by key; `status` is one of them

    @property
    def at(self) -> datetime:
        """When the check looked, by this host's wall clock (UTC)."""
        return self.clock.wall
