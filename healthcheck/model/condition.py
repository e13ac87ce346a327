"""The health check's own condition, which it judges beside the bridge's. Data only: no I/O, no clock, no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from healthcheck.model.finding import Block


@dataclass(frozen=True, slots=True)
class Unusable:
    """A block that cannot be used: why, and whether its recipient is told in another way instead."""

    why: str
    has_spare: bool


@dataclass(frozen=True, slots=True)
class PrefectSilence:
    """Prefect has run no check for so long, though it did once; and what its units say of themselves."""

    since: datetime
    for_s: float
    units: str


@dataclass(frozen=True, slots=True)
class CheckCondition:
    """What hinders the check itself. Nothing does: all are empty."""

    state_problem: str | None = None  # why its state is not where it belongs
    unreachable: Mapping[Block, str] = field(default_factory=dict)  # recipients the last message did not reach, and why
    unusable: Mapping[Block, Unusable] = field(default_factory=dict)  # blocks that the next message cannot use
    prefect_silence: PrefectSilence | None = None
