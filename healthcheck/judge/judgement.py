"""From a rule's settings and what was measured to a finding. Pure; shared by all rules."""

from __future__ import annotations

from healthcheck.config.rules import ConditionRule, LevelRule, Limit
from healthcheck.model.finding import Action, Cause, Finding, Number, Severity


def number(name: str, value: float, unit: str, warning: Limit, critical: Limit, *, low: bool = False) -> Number:
    """A number with its limits; `low` says that small is bad."""
    return Number(
        name,
        value,
        unit,
        None if warning == "off" else warning,
        None if critical == "off" else critical,
        low_is_bad=low,
    )


def severity_of(measured: Number) -> Severity:
    """Where the number stands: a limit itself is still within it."""
    for severity, limit in ((Severity.CRITICAL, measured.critical), (Severity.WARNING, measured.warning)):
        if limit is None:
            continue
        if measured.value < limit if measured.low_is_bad else measured.value > limit:
            return severity
    return Severity.OK


def worse(a: Number, b: Number) -> Severity:
    """The worse of two numbers' severities."""
    return max(severity_of(a), severity_of(b), key=lambda severity: severity.rank)


def fine(rule: str, words: str, *numbers: Number) -> Finding:
    """The rule is content."""
    return Finding(rule, Severity.OK, words, numbers=numbers)


def unknown(rule: str, words: str, cause: Cause | None = None) -> Finding:
    """The rule cannot judge; never the same as content."""
    return Finding(rule, Severity.UNKNOWN, words, cause)


def over(
    name: str,
    rule: LevelRule,
    severity: Severity,
    words: str,
    cause: Cause,
    numbers: tuple[Number, ...],
    look_further: str,
    *,
    restart_helps: bool = True,
) -> Finding:
    """A limit is passed: the level's own action and recipients."""
    critical = severity is Severity.CRITICAL
    return Finding(
        name,
        severity,
        words,
        cause,
        _helpful(rule.critical_action if critical else rule.warning_action, restart_helps),
        rule.critical_notify if critical else rule.warning_notify,
        numbers,
        look_further,
    )


def met(
    name: str,
    rule: ConditionRule,
    words: str,
    cause: Cause,
    look_further: str,
    numbers: tuple[Number, ...] = (),
    *,
    restart_helps: bool = True,
) -> Finding:
    """A condition is met."""
    return Finding(
        name,
        Severity(rule.severity),
        words,
        cause,
        _helpful(rule.action, restart_helps),
        rule.notify,
        numbers,
        look_further,
    )


def _helpful(action: Action, restart_helps: bool) -> Action:
    """Whoever asks for a restart wants to hear of the problem too where a restart is of no use."""
    return "alert" if action in ("restart_bridge", "auto_restart") and not restart_helps else action
