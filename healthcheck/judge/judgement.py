"""What a rule says: how bad it is, why, in which words. `findings` adds its name, action and recipients. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from healthcheck.config.rules import Limit
from healthcheck.model.finding import Cause, Group, Number, Severity


@dataclass(frozen=True, slots=True)
class Judgement:
    """One rule's word on one check. With a severity that is bad, `cause` and `look_further` are given."""

    severity: Severity
    text: str  # one sentence with its numbers
    cause: Cause | None = None
    numbers: tuple[Number, ...] = ()
    look_further: str = ""  # the command an operator runs next
    restart_helps: bool = True  # whether a restart of the bridge could mend it
    since: datetime | None = None  # when the trouble began, where that is known
    deaf: frozenset[Group] = frozenset()  # groups that cannot be told of it


def ok(text: str, *numbers: Number) -> Judgement:
    """The rule found nothing wrong."""
    return Judgement(Severity.OK, text, numbers=numbers)


def unknown(text: str, cause: Cause | None = None) -> Judgement:
    """The rule cannot judge; never the same as ok."""
    return Judgement(Severity.UNKNOWN, text, cause)


def exceeded(text: str, numbers: tuple[Number, ...], look_further: str) -> Judgement:
    """A limit is passed, as far as the worst of the numbers says."""
    severity = max((number.severity for number in numbers), key=lambda severity: severity.rank)
    return Judgement(severity, text, Cause.OVER_LIMIT, numbers, look_further)


def bound(limit: Limit, scale: float = 1.0) -> float | None:
    """A limit of the config as a `Number` has it: in the number's unit, None for "off"."""
    return None if limit == "off" else limit * scale
