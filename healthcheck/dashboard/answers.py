"""Of each source that the page is drawn from: whether it answers, or since when it has not. Pure; no I/O, no clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bridge.model.status import BridgeStatus, iso_utc
from healthcheck.config.settings import HealthConfig
from healthcheck.dashboard.sources import Heard, Overview
from healthcheck.keep.state import State
from healthcheck.model.observation import Answer, Scope, UnitState, Unknown, value_of
from healthcheck.model.report import Report
from healthcheck.text import foreign

NO_CHECK_S = 180.0  # a check is due every minute; the timer steps in after three

Line = dict[str, Any]


def answers(overview: Overview, config: HealthConfig, started_at: datetime, now: datetime) -> list[Line]:
    """Each source by itself: whether it answers, or since when it has not."""
    found = [
        _source("Hazelcast", overview.in_map, started_at, config.hazelcast.cluster_name),
        _bridge(overview, config, now),
    ]
    report = overview.report.value
    if report is not None and not report.snapshot.scope.is_local:
        unit, journal = (_not_looked_at(name, report.snapshot.scope) for name in ("systemd unit", "Journal"))
    else:
        unit = _unit(report.snapshot.unit if report else None, overview.report, started_at)
        journal = _source("Journal", overview.warnings, started_at, config.health.unit)
    found += [unit, _health_check(overview.state, started_at, now), journal]
    if config.health.dashboard.prefect_url:
        found.append(_source("Prefect", overview.run, started_at, config.health.dashboard.prefect_url))
    return found


def _source(name: str, heard: Heard[Any], started_at: datetime, what: str) -> Line:
    if heard.problem is None:
        return {"name": name, "state": "ok", "since": None, "words": f"answers: {foreign(what)}"}
    return {
        "name": name,
        "state": "unknown",
        "since": iso_utc(heard.at or started_at),
        "words": foreign(heard.problem),
    }


def _not_looked_at(name: str, scope: Scope) -> Line:
    return {"name": name, "state": "none", "since": None, "words": f"not looked at: {foreign(scope.reason)}"}


def _unit(answer: Answer[UnitState] | None, report: Heard[Report], started_at: datetime) -> Line:
    if report.problem or answer is None:
        return _source("systemd unit", report, started_at, "")
    if isinstance(answer, Unknown):
        since = iso_utc(report.at or started_at)
        return {"name": "systemd unit", "state": "unknown", "since": since, "words": foreign(answer.reason)}
    unit = answer.value
    state = "ok" if unit.is_running else "bad"
    text = unit.state
    if unit.status_text:
        text += f": {foreign(unit.status_text)}"
    return {"name": "systemd unit", "state": state, "since": None, "words": text}


def _bridge(overview: Overview, config: HealthConfig, now: datetime) -> Line:
    status = status_of(overview)
    if overview.in_map.problem is not None:
        since = iso_utc(status.heartbeat_at) if status else None
        return {"name": "Bridge", "state": "unknown", "since": since, "words": "heard through Hazelcast only"}
    if status is None:
        answer = overview.in_map.value.status if overview.in_map.value else None
        why = answer.reason if isinstance(answer, Unknown) else "the map holds no status of a bridge"
        return {"name": "Bridge", "state": "unknown", "since": None, "words": foreign(why)}
    age_s = max(0.0, (now - status.heartbeat_at).total_seconds())
    if age_s > config.health.rules.hazelcast.heartbeat_max_s:
        since = iso_utc(status.heartbeat_at)
        return {"name": "Bridge", "state": "bad", "since": since, "words": "dead, frozen or cut off: no heartbeat"}
    text = f"{foreign(status.version)} on {foreign(status.host)}, {status.source.watch_mode}"
    if status.source.state != "ok":
        text += f"; source {foreign(status.source.root)} is {status.source.state}"
    return {"name": "Bridge", "state": "ok", "since": None, "words": text}


def _health_check(state: Heard[State], started_at: datetime, now: datetime) -> Line:
    name = "Health check"
    if state.problem is not None or state.value is None:
        return _source(name, state, started_at, "")
    completed = state.value.completed_at
    if completed is None:
        return {"name": name, "state": "unknown", "since": None, "words": "no check has ever completed here"}
    age_s = (now - completed).total_seconds()
    if age_s > NO_CHECK_S:
        text = "no check completed here, so nobody is alerted by it"
        return {"name": name, "state": "bad", "since": iso_utc(completed), "words": text}
    by = f" by {foreign(state.value.completed_by)}" if state.value.completed_by else ""
    return {"name": name, "state": "ok", "since": None, "words": f"runs{by}"}


def status_of(overview: Overview) -> BridgeStatus | None:
    """What the watched bridge says of itself, as far as known."""
    return value_of(overview.in_map.value.status) if overview.in_map.value else None
