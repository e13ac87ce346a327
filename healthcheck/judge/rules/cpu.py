"""The rule `cpu`: how much of a core does the bridge use? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, bound, exceeded, ok, unknown
from healthcheck.judge.previous_check import elapsed_s
from healthcheck.model.finding import Number
from healthcheck.model.observation import value_of

# A process this young has used its CPU time for starting: imports, the first look at the source.
STARTING_S = 30.0


# Scans a second that the history gets only while it is made good.
CATCHING_UP_PER_S = 20.0


def judge(facts: Facts) -> Judgement:
    """CPU time since the last check; of a new process, since its start."""
    rule = facts.rules.cpu
    if facts.is_down:
        return ok("the bridge does not run")
    now = value_of(facts.snapshot.cpu)
    if now is None:
        return unknown("CPU use cannot be told yet: no figures")
    before = facts.previous.cpu if facts.previous else None
    over_s = elapsed_s(facts.previous, facts.snapshot.clock)
    if before and before.source == now.source and over_s and now.used_s >= before.used_s:
        used_s = now.used_s - before.used_s
    elif facts.uptime_s is not None and facts.uptime_s >= STARTING_S:
        used_s, over_s = now.used_s, facts.uptime_s
    else:
        return unknown("CPU use cannot be told yet: the process is too young")
    percent = Number("cpu", 100 * used_s / over_s, "%", bound(rule.warning_percent), bound(rule.critical_percent))
    text = f"the bridge used {percent.value:.0f} % of a core over the last {over_s:.0f} s"
    if not percent.severity.is_bad:
        return ok(text, percent)
    if _catches_up(facts):
        return ok(f"{text}; it makes good what the history lacked", percent)
    return exceeded(text, (percent,), f"top -H -p $({facts.health.systemctl} show -P MainPID {facts.health.unit})")


def _catches_up(facts: Facts) -> bool:
    history = facts.status.history if facts.status and facts.heartbeat == "fresh" else None
    return history is not None and history.per_s >= CATCHING_UP_PER_S
