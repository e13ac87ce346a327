"""What a rule found: how bad it is, why, and what is to be done. Data only: no I/O, no clock, no decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

Action = Literal["log_only", "alert", "auto_restart", "restart_bridge"]
Rule = str  # the name of a rule in the config: "stale_data"
Group = str  # the name of a group of recipients in the config: "ops"
# As version 1.0 wrote it into its state and its JSON, which others read.
CALLED_WORDS = Field(alias="words")
Block = str  # one recipient of a group, a Prefect notification block: "slack-webhook/scan-ops"


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

    @property
    def nagios_code(self) -> int:
        """The number that Nagios has for it: 0 ok, 1 warning, 2 critical, 3 unknown."""
        return {Severity.OK: 0, Severity.WARNING: 1, Severity.CRITICAL: 2, Severity.UNKNOWN: 3}[self]


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
    HAZELCAST_REFUSES = "Hazelcast refuses"
    SOURCE_AWAY = "source unmounted or unreadable"
    ALL_BAD = "all new files bad"
    CLOCK_STEPPED = "clock stepped"
    RECOVERING = "just back, catching up"
    CRASHED = "crashed"
    GAVE_UP = "crashed, systemd gave up"
    STOPPED = "stopped, not failed"
    MASKED = "unit masked"
    OVER_LIMIT = "over the limit"
    TOO_FEW_FILES = "too few files"
    HISTORY_BEHIND = "history incomplete"
    PROBE_BLIND = "probe without an answer"
    STATE_NOT_WRITABLE = "state not writable"
    RESTART_DID_NOT_HELP = "restart did not help"
    NOTIFIER_FAILED = "notifier failed"
    PREFECT_SILENT = "Prefect runs no check"
    OTHER_SILENT = "another bridge silent"
    CLAIMED_TWICE = "instance claimed twice"


@dataclass(frozen=True, slots=True)
class Number:
    """A measured number and the limits it is judged by, in `unit` ("s", "%", "B", "/min", "")."""

    name: str
    value: float
    unit: str = ""
    warning: float | None = None
    critical: float | None = None
    low_is_bad: bool = False

    @property
    def severity(self) -> Severity:
        """Where the number stands: a limit itself is still within it."""
        for severity, limit in ((Severity.CRITICAL, self.critical), (Severity.WARNING, self.warning)):
            if limit is not None and (self.value < limit if self.low_is_bad else self.value > limit):
                return severity
        return Severity.OK


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found in one check. Every enabled rule gives exactly one, `ok` included."""

    rule: Rule
    severity: Severity
    text: Annotated[str, CALLED_WORDS]  # one sentence with its numbers
    cause: Cause | None = None
    action: Action = "log_only"
    groups: tuple[Group, ...] = ()
    numbers: tuple[Number, ...] = ()
    look_further: str = ""  # the command an operator runs next
    explained_by: Rule | None = None  # the finding of this check that this one is a consequence of
    since: datetime | None = None  # when the trouble began, where that is known

    @property
    def title(self) -> str:
        """`stale_data (bridge stuck)`."""
        return f"{self.rule} ({self.cause})" if self.cause else self.rule
