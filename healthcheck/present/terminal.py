"""A report on the terminal: for Nagios, for people, as JSON; and the list of alerts. Pure; no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache

from pydantic import TypeAdapter

from healthcheck.judge.previous_check import PROBES
from healthcheck.model.alert import Alert
from healthcheck.model.finding import Number, Severity
from healthcheck.model.observation import Answer, Known, Snapshot
from healthcheck.model.report import Report
from healthcheck.text import clock, duration

# Units of measurement that Nagios knows; others are left out of the performance data, not out of the text.
_NAGIOS_UNITS = ("s", "%", "B")


def nagios(report: Report) -> str:
    """First line: status, the worst findings, performance data. Then a line for everything else.

    Format: https://nagios-plugins.org/doc/guidelines.html, sections 2.2 to 2.6.
    """
    worst = [finding for finding in report.findings if finding.severity is report.severity]
    if report.severity is Severity.OK:
        what = "found nothing wrong"
    else:
        what = "; ".join(f"{finding.title}: {finding.text}" for finding in worst)
    numbers = [number for finding in report.findings for number in finding.numbers]
    first = f"SCAN-BRIDGE {report.severity.upper()} - {_no_pipe(what)}"
    if numbers:
        first += " | " + " ".join(map(_perfdata, numbers))
    return "\n".join([first, *map(_no_pipe, _details(report))])


def as_json(report: Report) -> str:
    """The whole report; `severity` and `headline` first."""
    document = _report_adapter().dump_python(report, mode="json", by_alias=True)
    return json.dumps({"severity": report.severity, "headline": report.headline, **document}, indent=2)


def alerts_json(alerts: Iterable[Alert]) -> str:
    """Alerts as they are kept."""
    return TypeAdapter(list[Alert]).dump_json(list(alerts), indent=2, by_alias=True).decode()


def alert_lines(alerts: Iterable[Alert]) -> list[str]:
    """One paragraph an alert."""
    lines = []
    for alert in alerts:
        end = f"over since {clock(alert.healthy_since or alert.resolved_at)}" if alert.resolved_at else "open"
        lines.append(f"{alert.severity.upper():8} {alert.title}: since {clock(alert.since)}, {end}")
        lines += [f"         {sentence}" for sentence in alert.sentences]
        lines += [f"         done: {done}" for done in alert.done]
        told = ", ".join(f"{to} ({known.severity}, {clock(known.at)})" for to, known in sorted(alert.told.items()))
        lines.append(f"         told: {told or 'nobody'}; for: {', '.join(sorted(alert.wanted)) or 'the log only'}")
    return lines


def _details(report: Report) -> list[str]:
    lines = [f"{finding.severity.upper():8} {finding.title}: {finding.text}" for finding in report.findings]
    lines += [f"look further: {f.look_further}" for f in report.findings if f.severity.is_bad and f.look_further]
    for name in PROBES:
        answer: Answer[object] = getattr(report.snapshot, name)
        if not isinstance(answer, Known) and report.snapshot.scope.is_local:
            lines.append(f"UNKNOWN  {name} ({answer.how}): {answer.reason}")
    lines += [f"action: {action.rule}: {action.text}" for action in report.actions]
    lines += [
        f"told {delivery.message.block}: {delivery.error or 'delivered'}: {delivery.message.subject}"
        for delivery in report.deliveries
    ]
    lines += [f"open alert: {alert.title} since {clock(alert.since)}" for alert in report.alerts]
    if report.mute:
        lines.append(f"muted until {clock(report.mute.until)} by {report.mute.by}: {report.mute.why}")
    if report.previous_check_at:
        ago = (report.snapshot.at - report.previous_check_at).total_seconds()
        lines.append(f"last completed check: {duration(max(0.0, ago))} ago")
    return [*lines, *_bridge(report.snapshot), *report.notes]


def _bridge(snapshot: Snapshot) -> list[str]:
    if not isinstance(snapshot.status, Known) or snapshot.status.value is None:
        return []
    status = snapshot.status.value
    return [f"bridge {status.version} {status.instance} on {status.host}, up since {clock(status.started_at)}"]


def _perfdata(number: Number) -> str:
    unit = number.unit if number.unit in _NAGIOS_UNITS else ""
    return (
        f"{number.name}={number.value:.6g}{unit};{_limit(number, number.warning)};{_limit(number, number.critical)};0"
    )


def _limit(number: Number, limit: float | None) -> str:
    """A range that alerts outside; `1:` means below 1."""
    return "" if limit is None else f"{limit:g}{':' if number.low_is_bad else ''}"


def _no_pipe(text: str) -> str:
    """What follows a | is performance data to Nagios."""
    return text.replace("|", "/")


@cache
def _report_adapter() -> TypeAdapter[Report]:
    """Made when it is needed: that takes longer than the text of a check."""
    return TypeAdapter(Report)
