"""The rule `high_lag`: how long did scans take from file to Hazelcast? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, bound, exceeded, ok, unknown
from healthcheck.model.finding import Number
from healthcheck.text import duration


def judge(facts: Facts) -> Judgement:
    """Judge the lag that nine scans in ten stayed under, as the bridge measured it."""
    rule, status = facts.rules.high_lag, facts.status
    if status is None or facts.heartbeat != "fresh":
        return unknown("no fresh status of the bridge")
    if status.lag_ms.p90 is None:
        return ok("nothing was published in the last 5 min")
    lag = Number("lag_p90", status.lag_ms.p90 / 1000, "s", bound(rule.warning_s), bound(rule.critical_s))
    if not lag.severity.is_bad:
        return ok(f"nine scans in ten were in Hazelcast {duration(lag.value)} after they were written, or sooner", lag)
    return exceeded(
        f"one scan in ten was in Hazelcast only {duration(lag.value)} after it was written, or later",
        (lag,),
        f"{facts.health.journalctl} -u {facts.health.unit} -n 50",
    )
