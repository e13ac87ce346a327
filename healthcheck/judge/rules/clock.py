"""The rule `clock`: did this host's clock jump, or does it differ from the bridge's? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok
from healthcheck.model.finding import Cause
from healthcheck.text import duration


def judge(facts: Facts) -> Judgement:
    """The wall clock against the one that never steps, and the map's scan against the wall clock."""
    step = facts.clock_step_s
    if step is not None and facts.clock_stepped:
        direction = "forward" if step > 0 else "back"
        return _stepped(
            facts, f"this host's clock was stepped {direction} by {duration(abs(step))} since the last check"
        )
    ahead_s = facts.entry.published_ns / 1e9 - facts.snapshot.at.timestamp() if facts.entry else 0.0
    if ahead_s > facts.rules.clock.tolerance_s:
        return _stepped(
            facts,
            f"the scan in the map was published {duration(ahead_s)} in the future: this host's clock or the bridge's"
            " was stepped back, or they differ",
        )
    return ok("no step since the last check" if step is not None else "no earlier check to compare")


def _stepped(facts: Facts, text: str) -> Judgement:
    return Judgement(
        facts.rules.clock.severity, text, Cause.CLOCK_STEPPED, look_further="timedatectl", restart_helps=False
    )
