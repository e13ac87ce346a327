"""The rule `memory`: how much memory does the bridge use? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, bound, exceeded, ok, unknown
from healthcheck.model.finding import Number
from healthcheck.model.observation import value_of
from healthcheck.text import megabytes


def judge(facts: Facts) -> Judgement:
    """Memory in use now."""
    rule = facts.rules.memory
    if facts.is_down:
        return ok("the bridge does not run")
    used = value_of(facts.snapshot.memory_bytes)
    if used is None:
        return unknown("no figures")
    # The history has a process of its own, which is as large. What is critical is the unit's limit, which is for both.
    keeps_history = facts.status is not None and facts.status.history is not None
    warning = bound(rule.warning_mb, 2e6 if keeps_history else 1e6)
    measured = Number("memory", used, "B", warning, bound(rule.critical_mb, 1e6))
    text = f"the bridge uses {megabytes(used)} of memory"
    if not measured.severity.is_bad:
        return ok(text, measured)
    return exceeded(text, (measured,), f"{facts.health.systemctl} status {facts.health.unit}")
