"""The rows of the page's table of bridges: those of this host as they are judged, others as the status map has them.

Pure; no I/O, no clock. Nothing is judged of another host's bridge but whether it is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge.model.status import BridgeStatus, iso_utc
from healthcheck.dashboard.answers import status_of
from healthcheck.dashboard.document import verdict
from healthcheck.dashboard.sources import Overview
from healthcheck.model.finding import Severity
from healthcheck.text import foreign

Row = dict[str, Any]


def rows(watched: Mapping[str, Overview], started_at: datetime, now: datetime) -> list[Row]:
    """A row for each bridge that is watched here, by instance, and then for each other one that their maps know."""
    own = [_own(name, overview, started_at, now) for name, overview in watched.items()]
    mine = [status for overview in watched.values() if (status := status_of(overview))]
    others: dict[str, Row] = {}
    for overview in watched.values():
        in_map = overview.in_map.value
        for key, status in (in_map.bridges if in_map else {}).items():
            if not any(status.is_same_process(own_status) for own_status in mine):  # another host's may have the name
                others[key] = _other(key, status, overview, now)
    return [*own, *(others[key] for key in sorted(others))]


def _own(name: str, overview: Overview, started_at: datetime, now: datetime) -> Row:
    status = status_of(overview)
    found = verdict(overview, started_at, now)
    return {
        **_figures(status, now),
        "name": name,
        "page": name,
        "severity": found["severity"],
        "words": found["words"],
        "since": found["since"],
        "known": overview.in_map.problem is None,
    }


def _other(key: str, status: BridgeStatus, overview: Overview, now: datetime) -> Row:
    since = iso_utc(status.heartbeat_at)
    if overview.in_map.problem is not None:
        severity, words = Severity.UNKNOWN, f"not known now: {overview.in_map.problem}"
        since = iso_utc(overview.in_map.at or now)
    elif status.state == "stopped":
        severity, words = Severity.UNKNOWN, "stopped"
    elif not status.is_alive(now):
        severity, words = Severity.UNKNOWN, "silent: it is dead, frozen, or its host is away"
    elif status.source.state != "ok":
        severity, words = Severity.WARNING, f"alive; its source is {status.source.state}"
    else:
        severity, words = Severity.OK, f"alive, {status.role}; watched by its own host"
    known = overview.in_map.problem is None and status.is_alive(now)
    return {
        **_figures(status, now),
        "name": foreign(key),
        "page": None,
        "severity": severity,
        "words": foreign(words),
        "since": None if known else since,
        "known": known,
    }


def _figures(status: BridgeStatus | None, now: datetime) -> Row:
    newest = status.newest if status else None
    return {
        "host": foreign(status.host) if status else None,
        "newest": foreign(newest.path) if newest else None,
        "age_s": max(0.0, now.timestamp() - newest.mtime_ns / 1e9) if newest else None,
        "lag_ms": status.lag_ms.p90 if status else None,
    }
