"""The rule `process_stopped`: does the unit not run although nothing went wrong? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok, unknown
from healthcheck.model.finding import Cause


def judge(facts: Facts) -> Judgement:
    """Somebody stopped it, or nobody started it."""
    unit = facts.unit
    if unit is None:
        return unknown("the unit's state is unknown")
    if unit.active_state != "inactive" or unit.sub_state == "auto-restart":
        return ok(f"the unit is {unit.state}")
    ran = facts.previous is not None and facts.previous.unit is not None and facts.previous.unit.is_running
    when = "it was stopped since the last check" if ran else "it was stopped, or never started"
    masked = ", and its unit is masked, so nothing can start it" if unit.is_masked else ""
    return Judgement(
        facts.rules.process_stopped.severity,
        f"the bridge does not run: {when} (result {unit.result}){masked}",
        Cause.MASKED if unit.is_masked else Cause.STOPPED,
        look_further=f"{facts.health.systemctl} status {facts.health.unit}",
        since=unit.ended_at,
    )
