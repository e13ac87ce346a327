"""The rule `few_files`: were enough scans published? Pure; no I/O."""

from __future__ import annotations

from dataclasses import replace

from bridge.model.status import BridgeStatus
from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, bound, exceeded, ok, unknown
from healthcheck.model.finding import Cause, Number
from healthcheck.model.observation import value_of

WINDOWS_S = (60.0, 300.0)  # the bridge's status counts over these


def judge(facts: Facts) -> Judgement:
    """Judge each window only if scans were expected and the bridge ran all through it."""
    rule, status = facts.rules.few_files, facts.status
    if facts.expected_for_s is None:
        return ok("no scans are expected at this hour")
    if status is None or facts.heartbeat != "fresh":
        return unknown("no fresh status of the bridge")
    counted_for_s = min(facts.expected_for_s, (status.heartbeat_at - status.started_at).total_seconds())
    # Of two bridges, each publishes what the other has not: what counts is what they publish together.
    all_ = (status, *facts.partners.values())
    since = sum(_published_since_counted(facts, one) for one in all_)
    in_1m = sum(one.files_per_min_1m for one in all_) + since
    in_5m = sum(one.files_per_min_5m for one in all_) * 5 + since
    minute = Number("files_1m", in_1m, "/min", warning=bound(rule.warning_under_per_min), low_is_bad=True)
    five = Number("files_5m", in_5m, critical=bound(rule.critical_under_per_5min), low_is_bad=True)
    numbers = tuple(
        number for number, window_s in zip((minute, five), WINDOWS_S, strict=True) if counted_for_s >= window_s
    )
    text = f"{minute.value:g} scans published in the last minute, {five.value:g} in the last 5 min"
    if facts.partners:
        text += f", by {len(all_)} bridges together"
    if not any(number.severity.is_bad for number in numbers):
        return ok(text, *numbers)
    helps = facts.waiting is not None and not facts.all_bad
    return replace(
        exceeded(text, numbers, f"{facts.health.scan_bridge} status"), cause=Cause.TOO_FEW_FILES, restart_helps=helps
    )


def _published_since_counted(facts: Facts, status: BridgeStatus) -> int:
    """1 if the scan in the map came after the bridge wrote its status: after an outage, perhaps the first one."""
    entry = value_of(facts.snapshot.entry)
    if entry is None or entry.bridge != status.instance:
        return 0
    return int(entry.published_ns / 1e9 > status.heartbeat_at.timestamp())
