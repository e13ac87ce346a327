"""The nouns of the dashboard: what it heard from each source, and when. Pure; no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus
from healthcheck.dashboard.last_run import PrefectRun
from healthcheck.keep.state import State
from healthcheck.model.finding import Severity
from healthcheck.model.observation import Answer, JournalLine, Known
from healthcheck.model.report import Report

T = TypeVar("T")

NOT_YET = "not looked at yet"


@dataclass(frozen=True, slots=True)
class Heard(Generic[T]):
    """A source: its last good answer, when that was, and why there is none now."""

    value: T | None = None
    at: datetime | None = None
    problem: str | None = NOT_YET

    def answered(self, value: T, now: datetime) -> Heard[T]:
        """It answered."""
        return Heard(value, now, None)

    def failed(self, problem: str) -> Heard[T]:
        """It did not; the last good answer stays, as such."""
        return replace(self, problem=problem)


@dataclass(frozen=True, slots=True)
class InMap:
    """What the map holds."""

    entry: Answer[Provenance | None]
    status: Answer[BridgeStatus | None]  # of the watched bridge
    bridges: Mapping[str, BridgeStatus] = field(default_factory=dict)  # all of them, by key


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands, and since when; not `exact` if it may have been so for longer."""

    severity: Severity
    since: datetime
    exact: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """All that is known at one moment."""

    in_map: Heard[InMap] = Heard()
    report: Heard[Report] = Heard()
    state: Heard[State] = Heard()
    warnings: Heard[tuple[JournalLine, ...]] = Heard()
    run: Heard[PrefectRun | None] = Heard()
    verdict: Verdict | None = None


def scan_age_s(entry: Answer[Provenance | None], now: datetime) -> float | None:
    """Age of the scan in the map by this host's clock; None without one. Impossible dates: since its publishing."""
    if not isinstance(entry, Known) or entry.value is None:
        return None
    return max(0.0, now.timestamp() - entry.value.written_ns / 1e9)


def next_verdict(before: Verdict | None, report: Heard[Report], state: Heard[State]) -> Verdict | None:
    """The verdict after a look: a severity stands since it was first seen, or since the alert that tells of it.

    The first look knows no earlier one: then it stands at least since now.
    """
    if report.problem is not None or report.value is None:
        return before
    severity = report.value.severity
    if before is not None and before.severity is severity:
        return before
    now = report.value.snapshot.at
    if before is not None:
        return Verdict(severity, now, exact=True)
    opened = [alert.opened_at for alert in report.value.alerts if alert.severity is severity]
    if severity.is_bad and opened:
        return Verdict(severity, min(min(opened), now), exact=True)
    ended = [alert.healthy_since or alert.resolved_at for alert in (state.value.past if state.value else ())]
    ends = [end for end in ended if end is not None and end <= now]
    if severity is Severity.OK and ends and state.problem is None and not report.value.alerts:
        return Verdict(severity, max(ends), exact=True)
    return Verdict(severity, now, exact=False)
