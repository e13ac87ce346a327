"""The rule `blind`: has a probe had no answer for too long, so that something is not watched? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok, unknown
from healthcheck.judge.previous_check import LOCAL_PROBES, PROBES, elapsed_s
from healthcheck.model.finding import Cause
from healthcheck.model.observation import Known
from healthcheck.text import duration


def judge(facts: Facts) -> Judgement:
    """Unknown at once, and bad once it lasts."""
    rule = facts.rules.blind
    asked = [probe for probe in PROBES if facts.is_local or probe not in LOCAL_PROBES]
    # What needs the cluster or the process has no answer without it; that is told by its own rule.
    excused = {"entry", "status"} if facts.reachable is False else set()
    if facts.is_down:
        excused |= {"cpu", "memory_bytes"}
    answers = {probe: getattr(facts.snapshot, probe) for probe in asked if probe not in excused}
    silent = {probe: answer.reason for probe, answer in answers.items() if not isinstance(answer, Known)}
    if not silent:
        return ok("every probe has an answer")
    before = facts.previous.unknown_s if facts.previous else {}
    elapsed = elapsed_s(facts.previous, facts.snapshot.clock) or 0.0
    longest = max((before[probe] + elapsed for probe in silent if probe in before), default=0.0)
    reasons = "; ".join(f"{probe}: {reason}" for probe, reason in silent.items())
    text = f"no answer for {duration(longest)} from {reasons}"
    if longest <= rule.after_s:
        return unknown(text, Cause.PROBE_BLIND)
    return Judgement(
        rule.severity,
        text,
        Cause.PROBE_BLIND,
        look_further=f"{facts.health.scan_bridge_health} check --json",
        restart_helps=False,
        since=facts.ago(longest),
    )
