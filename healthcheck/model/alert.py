"""An alert, what people are told of it, and what became of that. Data only: no I/O, no clock, no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from healthcheck.model.finding import CALLED_WORDS, Block, Group, Rule, Severity, worst

Addresses = Mapping[Group, tuple[Block, ...]]  # who belongs to each group
ChangeKind = Literal["opened", "worsened", "changed", "repeated", "resolved"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a recipient was last told of an alert, and when."""

    severity: Severity
    causes: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """One problem, from its first finding until it is over and everybody knows."""

    rule: Rule
    opened_at: datetime
    severity: Severity
    cause: str
    sentences: Annotated[tuple[str, ...], CALLED_WORDS]  # what is wrong, the leading rule's first
    look_further: str
    covers: tuple[Rule, ...]  # this problem's rules: the first one and its consequences
    last_bad_at: datetime
    wanted: dict[Group, Severity] = field(default_factory=dict)  # who must know, and the worst of it for them
    causes: tuple[str, ...] = ()  # all so far, in order
    done: tuple[str, ...] = ()
    healthy_since: datetime | None = None
    resolved_at: datetime | None = None
    reopened: int = 0  # how often in a row it came back soon after its end
    told: dict[Block, Told] = field(default_factory=dict)
    told_end: tuple[Block, ...] = ()
    leading: Rule = ""  # the rule that says what is wrong now; empty: `rule`
    known_as: str = ""  # the last title that was news
    began_at: datetime | None = None  # when the trouble itself began, where that is known

    @property
    def id(self) -> str:
        """Unique: a rule opens at most one alert in a check."""
        return f"{self.rule}@{self.opened_at.isoformat()}"

    @property
    def title(self) -> str:
        """What is wrong now: `stale_data (bridge stuck)`. Once that is gone, what it was last known as."""
        if self.known_as and (self.healthy_since or self.resolved_at):
            return self.known_as
        rule = self.leading or self.rule
        return f"{rule} ({self.cause})" if self.cause else rule

    @property
    def since(self) -> datetime:
        """When the trouble began; where that is not known, when a check noticed it."""
        return self.began_at or self.opened_at

    def recipients(self, addresses: Addresses) -> dict[Block, Severity]:
        """Who must know, and the worst of it for them. A block that belongs to two groups is one recipient."""
        found: dict[Block, Severity] = {}
        for group, severity in self.wanted.items():
            for block in addresses.get(group, ()):
                found[block] = worst([severity, found.get(block, severity)])
        return found

    def is_settled(self, addresses: Addresses) -> bool:
        """Over, and everybody who had to know was told so."""
        return self.resolved_at is not None and set(self.recipients(addresses)) <= set(self.told_end)


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
