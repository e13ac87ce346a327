"""What people are told. Data only: no I/O, no clock, no decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from healthcheck.model.finding import Block, Severity

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
