"""The document the page is drawn from: what is known now, and of what is not, since when. Pure; no I/O, no clock.

Every text that others wrote goes through `text.foreign`; the page shows it as text only.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge import __version__
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, iso_utc
from healthcheck.config.settings import HealthConfig
from healthcheck.dashboard.answers import answers, status_of
from healthcheck.dashboard.sources import Overview, scan_age_s
from healthcheck.keep.state import State
from healthcheck.model.alert import Alert
from healthcheck.model.finding import Finding, Severity
from healthcheck.model.observation import Answer, Known, value_of
from healthcheck.model.report import Report
from healthcheck.text import duration, foreign

REPORT_OLD_S = 30.0  # a look is due every ten seconds, or 25 before the page was opened
PAST_ALERTS = 5
MOST_LINE = 600  # characters of a journal line

Document = dict[str, Any]


def document(
    overview: Overview, history: Mapping[str, Any], config: HealthConfig, started_at: datetime, now: datetime
) -> Document:
    """All the page shows, ready for JSON. Times are ISO-8601 in UTC; `started_at` is the dashboard's start."""
    status = status_of(overview)
    return {
        "at": iso_utc(now),
        "version": __version__,
        "instance": foreign(status.instance) if status else config.status.instance,
        "verdict": verdict(overview, started_at, now),
        "sources": answers(overview, config, started_at, now),
        "scan": _scan(overview, now),
        "lag": _lag(status),
        "rate": {"m1": status.files_per_min_1m, "m5": status.files_per_min_5m} if status else None,
        "counters": status.counters.model_dump() if status else None,
        "kept": _kept(status),
        "restarts": _restarts(overview, status),
        "memory_mb": _memory_mb(overview),
        "findings": [_finding(finding) for finding in overview.report.value.findings] if overview.report.value else [],
        "judged": {"at": _iso(overview.report.at), "known": _is_judged(overview, now)},
        "alerts": [_alert(alert) for alert in _standing(overview.state.value)],
        "past": [_alert(alert) for alert in _past(overview.state.value)],
        "mute": _mute(overview.report.value, now),
        "journal": [
            {"at": iso_utc(line.at), "priority": line.priority, "words": foreign(line.message, MOST_LINE)}
            for line in overview.warnings.value or ()
        ],
        "prefect": _prefect(overview),
        "limits": _limits(config),
        "history": dict(history),
    }


def _kept(status: BridgeStatus | None) -> Document | None:
    """How far the map of the last hours' scans is; None if there is none."""
    kept = status.history if status else None
    if kept is None:
        return None
    return {"missing": kept.missing, "per_s": kept.per_s, "words": foreign(kept.trouble)}


def verdict(overview: Overview, started_at: datetime, now: datetime) -> Document:
    """How it stands. Without a fresh judgement, or without the cluster it was made with: unknown, and since when."""
    report = overview.report.value
    if report is None or overview.verdict is None:
        return _unknown(f"nothing is judged yet: {overview.report.problem}", started_at)
    if not _is_judged(overview, now):
        return _unknown(overview.report.problem or "the last judgement is too old", overview.report.at or started_at)
    reached = value_of(report.snapshot.hazelcast)
    if overview.in_map.problem and reached is not None and reached.reachable:
        return _unknown(f"Hazelcast does not answer: {overview.in_map.problem}", overview.in_map.at or started_at)
    return {
        "severity": report.severity,
        "since": iso_utc(overview.verdict.since),
        "exact": overview.verdict.exact,
        "words": _leading(report),
    }


def _is_judged(overview: Overview, now: datetime) -> bool:
    at = overview.report.at
    return overview.report.problem is None and at is not None and (now - at).total_seconds() <= REPORT_OLD_S


def _unknown(text: str, since: datetime) -> Document:
    return {"severity": Severity.UNKNOWN, "since": iso_utc(since), "exact": True, "words": foreign(text)}


def _leading(report: Report) -> str:
    worst = [finding for finding in report.findings if finding.severity is report.severity]
    if report.severity is Severity.OK:
        return f"Found nothing wrong, by {len(worst)} rules."
    first = next((finding for finding in worst if not finding.explained_by), worst[0]) if worst else None
    if first is None:
        return "No rule could be judged."
    more = f" And {len(worst) - 1} more." if len(worst) > 1 else ""
    return f"{first.title}: {first.text.rstrip('.')}.{more}"


def _scan(overview: Overview, now: datetime) -> Document | None:
    """The newest scan; while Hazelcast is away, the last one seen, with `known` false."""
    entry: Answer[Provenance | None] | None = overview.in_map.value.entry if overview.in_map.value else None
    if entry is None or not isinstance(entry, Known) or entry.value is None:
        return None
    scan = entry.value
    status = status_of(overview)
    published = status.published if status else None
    return {
        "known": overview.in_map.problem is None,
        "seen_at": _iso(overview.in_map.at),
        "path": foreign(scan.source),
        "age_s": scan_age_s(entry, now),
        "sequence": scan.sequence,
        "bytes": scan.size,
        "rows": published.rows if published and published.sequence == scan.sequence else None,
        "bridge": foreign(scan.bridge),
    }


def _lag(status: BridgeStatus | None) -> Document | None:
    if status is None:
        return None
    last = status.published.lag_ms if status.published else None
    return {"last_ms": last, **{f"{name}_ms": value for name, value in status.lag_ms.model_dump().items()}}


def _restarts(overview: Overview, status: BridgeStatus | None) -> Document:
    report, state = overview.report.value, overview.state.value
    unit = value_of(report.snapshot.unit) if report else None
    return {
        "up_since": iso_utc(status.started_at) if status else None,
        "by_systemd": unit.n_restarts if unit else None,
        "by_check": [iso_utc(time) for time in state.restarts.times] if state else None,
        "exhausted": state.restarts.exhausted if state else False,
    }


def _memory_mb(overview: Overview) -> float | None:
    size = value_of(overview.report.value.snapshot.memory_bytes) if overview.report.value else None
    return None if size is None else size / 1e6


def _finding(finding: Finding) -> Document:
    return {
        "severity": finding.severity,
        "rule": finding.rule,
        "cause": finding.cause,
        "words": foreign(finding.text, MOST_LINE),
        "look_further": finding.look_further if finding.severity is not Severity.OK else "",
        "explained_by": finding.explained_by,
    }


def _standing(state: State | None) -> list[Alert]:
    return [alert for alert in state.alerts if not alert.resolved_at] if state else []


def _past(state: State | None) -> list[Alert]:
    if state is None:
        return []
    over = [alert for alert in state.alerts if alert.resolved_at]
    return [*reversed([*state.past, *over])][:PAST_ALERTS]


def _alert(alert: Alert) -> Document:
    over = (alert.healthy_since or alert.resolved_at) if alert.resolved_at else None
    return {
        "severity": alert.severity,
        "title": alert.title,
        "since": iso_utc(alert.since),
        "over_at": _iso(over),
        "lasted": duration(max(0.0, (over - alert.since).total_seconds())) if over else None,
        "words": [foreign(sentence, MOST_LINE) for sentence in alert.sentences],
        "causes": list(alert.causes),
        "done": [foreign(done) for done in alert.done[-3:]],
        "look_further": alert.look_further,
        "told": sorted(alert.told),
        "wanted": sorted(alert.wanted),
        "clearing": alert.healthy_since is not None,
    }


def _mute(report: Report | None, now: datetime) -> Document | None:
    mute = report.mute if report else None
    if mute is None or mute.until <= now:
        return None
    return {"until": iso_utc(mute.until), "why": foreign(mute.why), "by": foreign(mute.by)}


def _prefect(overview: Overview) -> Document | None:
    run = overview.run.value
    if run is None:
        return None
    return {
        "url": run.url,
        "name": foreign(run.name),
        "state": foreign(run.state),
        "known": overview.run.problem is None,
    }


def _limits(config: HealthConfig) -> Document:
    stale, lag = config.health.rules.stale_data, config.health.rules.high_lag
    return {
        "age_s": [None if limit == "off" else limit for limit in (stale.warning_s, stale.critical_s)],
        "lag_ms": [None if limit == "off" else limit * 1000 for limit in (lag.warning_s, lag.critical_s)],
    }


def _iso(moment: datetime | None) -> str | None:
    return iso_utc(moment) if moment else None
