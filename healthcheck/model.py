"""The nouns of the health check. Data only: no I/O, no clock, no decisions.

What could not be found out is `Unknown`, a state of its own; nothing in here turns it into "healthy".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Literal, TypeAlias, TypeVar

from bridge.order import ScanFile
from bridge.provenance import Provenance
from bridge.status import BridgeStatus, SourceState

T = TypeVar("T")

Scope = Literal["local", "remote"]
Action = Literal["log_only", "alert", "auto_restart", "restart_bridge"]
Rule = str  # the name of a rule in the config: "stale_data"
Group = str  # the name of a group of recipients in the config: "ops"
Block = str  # one recipient of a group, a Prefect notification block: "slack-webhook/scan-ops"


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


class Severity(StrEnum):
    """How bad it is. `unknown` ranks above ok (never healthy) and below warning (nothing proven)."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Place in the order ok < unknown < warning < critical."""
        return list(Severity).index(self)

    @property
    def is_bad(self) -> bool:
        """Whether something is proven wrong."""
        return self in (Severity.WARNING, Severity.CRITICAL)


def worst(severities: Iterable[Severity]) -> Severity:
    """The worst of them; of none, `unknown`."""
    return max(severities, key=lambda severity: severity.rank, default=Severity.UNKNOWN)


class Cause(StrEnum):
    """Why a rule fired. The value is what an operator reads: `stale_data (bridge stuck)`."""

    PRODUCER_STOPPED = "producer stopped"
    BRIDGE_STUCK = "bridge stuck"
    BRIDGE_DOWN = "bridge down"
    BRIDGE_SILENT = "bridge silent"
    CLIENT_WEDGED = "bridge cut off from Hazelcast"
    HAZELCAST_AWAY = "Hazelcast away"
    SOURCE_AWAY = "source unmounted or unreadable"
    ALL_BAD = "all new files bad"
    CLOCK_STEPPED = "clock stepped"
    RECOVERING = "just back, catching up"
    CRASHED = "crashed"
    GAVE_UP = "crashed, systemd gave up"
    STOPPED = "stopped by an operator"
    OVER_LIMIT = "over the limit"
    TOO_FEW_FILES = "too few files"
    PROBE_BLIND = "probe without an answer"
    STATE_NOT_WRITABLE = "state not writable"
    RESTART_DID_NOT_HELP = "restart did not help"
    NOTIFIER_FAILED = "notifier failed"


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

    @property
    def is_running(self) -> bool:
        """Whether the unit is up and has its process."""
        return self.active_state in ("active", "reloading") and self.main_pid > 0


@dataclass(frozen=True, slots=True)
class CpuReading:
    """CPU time used so far; comparable only with a reading of the same `source`."""

    used_s: float
    source: str  # "systemd <invocation>" or "/proc/<pid>"


@dataclass(frozen=True, slots=True)
class ClusterReach:
    """Whether this check reached the cluster; `detail` names the cluster, or the reason."""

    reachable: bool
    detail: str


@dataclass(frozen=True, slots=True)
class DiskView:
    """The newest scan files on disk; `settled` is the newest that has lain there for `grace_s`."""

    state: SourceState
    reason: str = ""  # why the state is not ok
    newest: ScanFile | None = None
    settled: ScanFile | None = None


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One line of the unit's journal; `priority` as in syslog (4 warning, 3 error, ...)."""

    at: datetime
    priority: int
    message: str


@dataclass(frozen=True, slots=True)
class JournalBatch:
    """The unit's lines since the last check, oldest first; with `more`, the cap left some out."""

    lines: tuple[JournalLine, ...]
    cursor: str | None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one check saw. With scope `remote` the unit, its journal and the disk were not looked at."""

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
    state_problem: str | None = None  # why the check's own state is not where it belongs
    unreachable: dict[Block, str] = field(default_factory=dict)  # recipients the last message did not reach

    @property
    def at(self) -> datetime:
        """When the check looked, by this host's wall clock (UTC)."""
        return self.clock.wall


@dataclass(frozen=True, slots=True)
class Number:
    """A measured number and the limits it is judged by, in `unit` ("s", "%", "B", "/min", "")."""

    name: str
    value: float
    unit: str = ""
    warning: float | None = None
    critical: float | None = None
    low_is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of one snapshot. Every enabled rule gives exactly one, `ok` included."""

    rule: Rule
    severity: Severity
    words: str  # one sentence with its numbers
    cause: Cause | None = None
    action: Action = "log_only"
    groups: tuple[Group, ...] = ()
    numbers: tuple[Number, ...] = ()
    look_further: str = ""  # the command an operator runs next
    explained_by: Rule | None = None  # the finding of this check that this one is a consequence of

    @property
    def title(self) -> str:
        """`stale_data (bridge stuck)`."""
        return f"{self.rule} ({self.cause})" if self.cause else self.rule


ChangeKind = Literal["opened", "worsened", "changed", "repeated", "resolved"]


@dataclass(frozen=True, slots=True)
class Change:
    """One step in an alert's life."""

    kind: ChangeKind
    alert_id: str
    title: str  # "stale_data (bridge stuck)"
    severity: Severity


@dataclass(frozen=True, slots=True)
class Message:
    """Everything one recipient is told by one check."""

    block: Block
    subject: str
    body: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message and what became of it; `error` is None when the notifier took it."""

    message: Message
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ActionTaken:
    """What the check did, or why it did not, and whether that helped."""

    rule: Rule
    action: Action
    words: str
    helped: bool | None = None  # None: nothing was done


@dataclass(frozen=True, slots=True)
class MuteShown:
    """A mute in force: nothing is sent and nothing is restarted until `until`."""

    until: datetime
    why: str
    by: str


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that stands after this check."""

    id: str
    title: str
    severity: Severity
    opened_at: datetime
    words: str
    groups: tuple[Group, ...] = ()  # who must know
    told: tuple[Block, ...] = ()
    untold: tuple[Block, ...] = ()  # recipients that could not be told yet


@dataclass(frozen=True, slots=True)
class Report:
    """One check: what was seen, judged, done and told. Made only by `check.run_check`."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]  # worst first
    duration_s: float
    previous_check_at: datetime | None = None
    alerts: tuple[OpenAlert, ...] = ()
    changes: tuple[Change, ...] = ()  # what this check opened, worsened, changed or resolved, whoever is told
    deliveries: tuple[Delivery, ...] = ()
    actions: tuple[ActionTaken, ...] = ()
    mute: MuteShown | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def severity(self) -> Severity:
        """The worst finding's."""
        return worst(finding.severity for finding in self.findings)

    @property
    def headline(self) -> str:
        """`Healthy`, `Degraded`, `Unknown` or `Critical: stale_data (bridge stuck), ...`."""
        match self.severity:
            case Severity.OK:
                return "Healthy"
            case Severity.WARNING:
                return "Degraded"
            case Severity.UNKNOWN:
                return "Unknown"
            case Severity.CRITICAL:
                critical = [f.title for f in self.findings if f.severity is Severity.CRITICAL]
                return "Critical: " + ", ".join(critical)
