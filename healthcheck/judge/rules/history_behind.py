"""The rule `history_behind`: does the map of the last hours' scans lack any for long? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok, unknown
from healthcheck.model.finding import Cause
from healthcheck.text import duration, foreign


def judge(facts: Facts) -> Judgement:
    """Judge for how long a scan that lies on disk has been missing there, by the bridge's own word."""
    rule, status = facts.rules.history_behind, facts.status
    if status is None or facts.heartbeat != "fresh":
        return unknown("no fresh status of the bridge")
    history = status.history
    if history is None:
        return ok("no history is kept (history.keep_s is 0)")
    missing = "scans" if history.missing is None else f"{history.missing} scans"
    if history.behind_s <= rule.after_s:
        if not history.missing:
            return ok("the history is complete")
        return ok(f"the history lacks {missing} and gets {history.per_s:g} a second")
    why = f": {foreign(history.trouble)}" if history.trouble else f", and gets {history.per_s:g} a second"
    lack = "not stayed complete" if history.missing == 0 else f"lacked {missing}"
    return Judgement(
        rule.severity,
        f"the history has {lack} for {duration(history.behind_s)}{why}",
        Cause.HISTORY_BEHIND,
        look_further=f"{facts.health.scan_bridge} history --gaps",
        restart_helps=False,
        since=facts.ago(history.behind_s),
    )
