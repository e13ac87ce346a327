"""A report in Prefect's terms: the run's final state, its table, its log lines, its events. Pure; no I/O.

A run's colour must never be better than the check's verdict; what is unknown is never called healthy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.system.journal import Priority
from healthcheck.model.alert import Change, Delivery
from healthcheck.model.finding import Finding, Number, Severity
from healthcheck.model.observation import JournalLine, Known, Unknown
from healthcheck.model.report import OpenAlert, Report
from healthcheck.text import clock, duration, foreign

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

EVENT_PREFIX = "scan-bridge."
ALERT_LABEL = "scan-bridge.alert"  # of `critical`: "delivered", "undelivered", "nobody" (no block set) or "muted"

MOST_JOURNAL = 1000  # characters of a journal line

_LEVELS: dict[int, int] = {
    Priority.EMERG: logging.CRITICAL,
    Priority.ALERT: logging.CRITICAL,
    Priority.CRIT: logging.CRITICAL,
    Priority.ERR: logging.ERROR,
    Priority.WARNING: logging.WARNING,
    Priority.DEBUG: logging.DEBUG,
}
_SEVERITY_LEVELS = {
    Severity.OK: logging.INFO,
    Severity.UNKNOWN: logging.WARNING,
    Severity.WARNING: logging.WARNING,
    Severity.CRITICAL: logging.CRITICAL,
}


@dataclass(frozen=True)
class Event:
    """A Prefect event to be sent: its name without the prefix, labels to match it by, and what it says."""

    name: str
    payload: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)


def final_state(report: Report) -> State[None]:
    """The state the run ends in: its type is the colour, its name the verdict, its message the findings."""
    from prefect.states import Completed, Failed  # not before: it takes seconds

    lines = [_sentence(finding) for finding in _not_ok(report)] or ["nothing is wrong"]
    message = "\n".join([*lines, *_circumstances(report)])
    if report.severity is Severity.CRITICAL:
        return Failed(name=report.headline, message=message)
    return Completed(name=report.headline, message=message)


def skipped(reason: str) -> State[None]:
    """The state of a run that checked nothing."""
    from prefect.states import Cancelled

    return Cancelled(name="Skipped", message=reason)


def table(report: Report) -> list[dict[str, str]]:
    """One row a rule, worst first."""
    return [
        {
            "rule": finding.rule,
            "verdict": finding.severity.value,
            "cause": finding.cause.value if finding.cause else "",
            "what": finding.text,
            "numbers": ", ".join(map(_number, finding.numbers)),
            "look further": finding.look_further,
        }
        for finding in report.findings
    ]


def summary(report: Report) -> str:
    """What stands above the table, as Markdown."""
    lines = [f"**{report.headline}**, {clock(report.snapshot.at)}"]
    lines += [f"- open since {clock(alert.since)}: **{alert.title}**: {alert.text}" for alert in report.alerts]
    return "\n".join([*lines, *(f"- {line}" for line in _circumstances(report))])


def log_lines(report: Report) -> Iterator[tuple[int, str]]:
    """The run's log: what the bridge logged since the last check, then the findings, what was done and told."""
    yield from _journal(report)
    for finding in _not_ok(report):
        yield _SEVERITY_LEVELS[finding.severity], _sentence(finding)
    for line in _circumstances(report):
        yield logging.WARNING, line
    for delivery in report.deliveries:
        yield _told(delivery)
    opened = {change.alert_id for change in report.changes}
    for alert in report.alerts:
        if alert.groups and _fate(alert, report) == "nobody" and alert.id in opened:
            yield logging.ERROR, f"no block is set for {', '.join(alert.groups)}, so {alert.title} stands here only"
    yield _SEVERITY_LEVELS[report.severity], f"{report.headline}, looked at in {duration(report.duration_s)}"


def events(report: Report) -> Iterator[Event]:
    """What happened in this check; `checked` comes last."""
    alerts = {alert.id: alert for alert in report.alerts}
    for change in report.changes:
        yield from _change(change, alerts.get(change.alert_id), report)
    for action in report.actions:
        if action.helped is not None:
            yield Event("restarted", {"rule": action.rule, "words": action.text, "helped": action.helped})
    for delivery in report.deliveries:
        if delivery.error is not None:
            message = delivery.message
            yield Event("notify-failed", {"block": message.block, "subject": message.subject, "error": delivery.error})
    yield Event(
        "checked",
        {
            "headline": report.headline,
            "severity": report.severity.value,
            "duration_s": round(report.duration_s, 3),
            "findings": [_finding(finding) for finding in report.findings],
            "open_alerts": [alert.title for alert in report.alerts],
            "muted_until": report.mute and report.mute.until.isoformat(),
        },
        {"scan-bridge.severity": report.severity.value},
    )


def _change(change: Change, alert: OpenAlert | None, report: Report) -> Iterator[Event]:
    payload = {"title": change.title, "severity": change.severity.value, "words": alert.text if alert else ""}
    labels = {"scan-bridge.severity": change.severity.value}
    yield Event(f"finding.{change.kind}", payload, labels)
    if alert and change.severity is Severity.CRITICAL:
        fate = _fate(alert, report)
        yield Event("critical", {**payload, "alert": fate}, {**labels, ALERT_LABEL: fate})


def _fate(alert: OpenAlert, report: Report) -> str:
    """What became of telling an alert."""
    if report.mute:
        return "muted"
    if alert.untold:
        return "undelivered"
    return "delivered" if alert.told else "nobody"


def _told(delivery: Delivery) -> tuple[int, str]:
    message = delivery.message
    if delivery.error is None:
        return logging.INFO, f"{message.block} was told: {message.subject}"
    reason = f"{message.block} could not be told ({delivery.error}); the next check tries again"
    return logging.ERROR, f"{reason}: {message.subject}\n{message.body}"


def _circumstances(report: Report) -> list[str]:
    lines = [action.text for action in report.actions]
    if report.mute:
        lines.append(f"muted until {clock(report.mute.until)} by {report.mute.by}: {report.mute.why}")
    return [*lines, *report.notes]


def _journal(report: Report) -> Iterator[tuple[int, str]]:
    match report.snapshot.journal:
        case Known(batch):
            yield from map(_journal_line, batch.lines)
            if batch.more:
                yield logging.WARNING, "the bridge logged more than is shown here: see its journal"
        case Unknown(reason) if report.snapshot.scope.is_local:
            yield logging.WARNING, f"the bridge's journal could not be read: {reason}"


def _journal_line(line: JournalLine) -> tuple[int, str]:
    text = foreign(line.message, MOST_JOURNAL)
    return _LEVELS.get(line.priority, logging.INFO), f"bridge, {line.at:%H:%M:%S}: {text}"


def _not_ok(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.severity is not Severity.OK]


def _sentence(finding: Finding) -> str:
    return f"{finding.title}: {finding.text}"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "cause": finding.cause and finding.cause.value,
        "words": finding.text,
        "numbers": {number.name: number.value for number in finding.numbers},
    }


def _number(number: Number) -> str:
    return f"{number.name} {number.value:.4g} {number.unit}".rstrip()
