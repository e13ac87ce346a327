"""Snapshots for tests of the health check: a healthy one, and ways to change it. Times count from one `NOW`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bridge.config import Source
from bridge.model.order import ScanFile
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, Counters, LagQuantiles, NewestStatus, SourceStatus
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.judge import findings, previous_check
from healthcheck.judge.facts import Facts
from healthcheck.judge.previous_check import PreviousCheck
from healthcheck.model.condition import CheckCondition
from healthcheck.model.finding import Finding
from healthcheck.model.observation import (
    ClockReading,
    ClusterReach,
    CpuReading,
    DiskView,
    JournalBatch,
    Known,
    Scope,
    Snapshot,
    UnitState,
)

NOW = datetime(2026, 3, 24, 8, 15, tzinfo=UTC)
MB = 1_000_000


def config(**health: Any) -> HealthConfig:
    """A configuration with this section `[health]`."""
    groups = {"ops": {"blocks": ["slack-webhook/ops"]}, "trading": {"blocks": ["slack-webhook/trading"]}}
    return HealthConfig(source=Source(root=Path("/data/scans")), health=Health(**{"groups": groups, **health}))


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def clock(after_s: float = 0.0, *, step_s: float = 0.0, boot_id: str = "boot") -> ClockReading:
    """The clocks `after_s` after NOW; `step_s` is how far the wall clock was stepped."""
    return ClockReading(NOW + timedelta(seconds=after_s + step_s), 5000.0 + after_s, boot_id)


def scan(age_s: float, path: str = "2026-03-24/scan.arrow", *, landed_s: float | None = None) -> ScanFile:
    """A file written `age_s` ago, that landed `landed_s` ago."""
    return ScanFile(ns(ago(age_s)), path, 1000, ns(ago(age_s if landed_s is None else landed_s)))


def entry(age_s: float, path: str = "2026-03-24/scan.arrow") -> Provenance:
    """A scan written and published `age_s` ago."""
    return Provenance(path, ns(ago(age_s)), 1000, 7, ns(ago(age_s)), "bridge-1")


def status(heartbeat_s: float = 1.0, **changes: Any) -> BridgeStatus:
    """The status of a bridge that has run for an hour."""
    healthy = BridgeStatus(
        instance="bridge-1",
        host="bridge-1",
        pid=100,
        version="1.0.0",
        started_at=ago(3600),
        heartbeat_at=ago(heartbeat_s),
        heartbeat_s=5.0,
        source=SourceStatus(root="/data/scans", state="ok", watch_mode="inotify"),
        newest=NewestStatus(path="2026-03-24/scan.arrow", mtime_ns=ns(ago(1))),
        counters=Counters(published=1000),
        lag_ms=LagQuantiles(p50=1.0, p90=1.5, p99=2.0, max=3.0),
        files_per_min_1m=60.0,
        files_per_min_5m=60.0,
    )
    return healthy.model_copy(update=changes)


RUNNING = UnitState(
    active_state="active",
    sub_state="running",
    result="success",
    n_restarts=0,
    exec_main_code="",
    exec_main_status=0,
    main_pid=100,
    started_at=ago(3600),
    uptime_s=3600.0,
    invocation_id="a1",
    status_text="published 1000",
)
STOPPED = replace(RUNNING, active_state="inactive", sub_state="dead", main_pid=0, uptime_s=None, status_text="")
FAILED = replace(
    STOPPED,
    active_state="failed",
    sub_state="failed",
    result="exit-code",
    exec_main_code="exited",
    exec_main_status=3,
    n_restarts=5,
)
ABOUT_TO_RESTART = replace(
    STOPPED,
    active_state="activating",
    sub_state="auto-restart",
    result="signal",
    exec_main_code="killed",
    exec_main_status=9,
)
REACHED = ClusterReach(True, "dev@127.0.0.1:5701")
AWAY = ClusterReach(False, "connection refused")
REFUSES = ClusterReach(False, "refused: Authentication failed", refused=True)
LOCAL = Scope("local")
REMOTE = Scope("remote", "no such unit here")
HEALTHY_CHECK = CheckCondition()


def snapshot(**answers: Any) -> Snapshot:
    """A healthy snapshot at NOW, with these answers changed; plain values are `Known`."""
    healthy: dict[str, Any] = {
        "clock": clock(),
        "scope": LOCAL,
        "hazelcast": REACHED,
        "entry": entry(1),
        "status": status(),
        "unit": RUNNING,
        "cpu": CpuReading(100.0, "systemd a1"),
        "memory_bytes": 80_000_000,
        "disk": DiskView("ok", "", scan(1), scan(12)),
        "journal": JournalBatch((), "cursor"),
        "bridges": {},
    }
    plain = {"clock", "scope"}
    changed = {**healthy, **answers}
    return Snapshot(
        **{
            name: value if name in plain or hasattr(value, "how") else Known(value, "test")
            for name, value in changed.items()
        }
    )


def earlier(before_s: float = 60.0, **answers: Any) -> PreviousCheck:
    """What a healthy check `before_s` ago left, with these answers changed."""
    healthy: dict[str, Any] = {
        "clock": clock(-before_s),
        "entry": entry(before_s + 1),
        "status": status(before_s + 1, counters=Counters(published=900)),
        "unit": replace(RUNNING, uptime_s=3600.0 - before_s),
        "cpu": CpuReading(97.0, "systemd a1"),
        "disk": DiskView("ok", "", scan(before_s + 1), scan(before_s + 12)),
    }
    return previous_check.remember(snapshot(**{**healthy, **answers}), None, 5.0)


def evaluate(
    now: Snapshot,
    before: PreviousCheck | None = None,
    settings: HealthConfig | None = None,
    condition: CheckCondition = HEALTHY_CHECK,
) -> tuple[Finding, ...]:
    """All findings of one check, worst first."""
    facts = Facts(now, before, settings or config())
    own = findings.about_the_check(condition, facts.health)
    return findings.worst_first([*findings.about_the_bridge(facts), *own])


def judged(
    now: Snapshot,
    before: PreviousCheck | None = None,
    settings: HealthConfig | None = None,
    condition: CheckCondition = HEALTHY_CHECK,
) -> dict[str, Finding]:
    """The findings by rule."""
    return {finding.rule: finding for finding in evaluate(now, before, settings, condition)}
