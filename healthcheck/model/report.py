"""What one check saw, judged, did and told, for those who show it. Data only: no I/O, no clock, no decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from healthcheck.model.alert import Change, Delivery
from healthcheck.model.finding import CALLED_WORDS, Action, Block, Finding, Group, Rule, Severity, worst
from healthcheck.model.observation import Snapshot


@dataclass(frozen=True, slots=True)
class ActionTaken:
    """What the check did, or why it did not, and whether that helped."""

    rule: Rule
    action: Action
    text: Annotated[str, CALLED_WORDS]
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
    text: Annotated[str, CALLED_WORDS]
    groups: tuple[Group, ...] = ()  # who must know
    told: tuple[Block, ...] = ()
    untold: tuple[Block, ...] = ()  # recipients that could not be told yet, or not yet how bad it is now
    began_at: datetime | None = None  # when the trouble itself began, where that is known

    @property
    def since(self) -> datetime:
        """When the trouble began; where that is not known, when a check noticed it."""
        return self.began_at or self.opened_at


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
