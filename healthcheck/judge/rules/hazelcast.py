"""The rule `hazelcast`: can this check reach the cluster, and is the bridge heard through it? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok, unknown
from healthcheck.model.finding import Cause
from healthcheck.model.observation import Unknown
from healthcheck.text import duration


def judge(facts: Facts) -> Judgement:
    """Reached and heard, or which of the two is missing."""
    reach = facts.snapshot.hazelcast
    if isinstance(reach, Unknown):
        return unknown(f"not asked: {reach.reason}")
    if facts.refusal:
        return _refused(facts, facts.refusal)
    if not reach.value.reachable:
        return _unreachable(facts, reach.value.detail)
    if facts.is_down:
        return ok("this check reaches the cluster; the bridge does not run")
    if facts.heartbeat == "unknown":
        return unknown("this check reaches the cluster; the bridge's heartbeat cannot be told")
    if facts.heartbeat == "fresh":
        return ok(f"{reach.value.detail} reached, heartbeat {duration(facts.heartbeat_age_s or 0)} old")
    return _not_heard(facts)


def _refused(facts: Facts, refusal: str) -> Judgement:
    return Judgement(
        facts.rules.hazelcast.severity,
        f"{refusal}; restarting the bridge is useless",
        Cause.HAZELCAST_REFUSES,
        look_further=f"{facts.health.scan_bridge} status",
        restart_helps=False,
    )


def _unreachable(facts: Facts, reason: str) -> Judgement:
    own = f" The bridge's own word: {facts.unit.status_text}" if facts.unit and facts.unit.status_text else ""
    return Judgement(
        facts.rules.hazelcast.severity,
        f"this check cannot reach the cluster: {reason}; restarting the bridge is useless.{own}",
        Cause.HAZELCAST_AWAY,
        look_further=f"{facts.health.scan_bridge} status",
        restart_helps=False,
    )


def _not_heard(facts: Facts) -> Judgement:
    severity, unit, age = facts.rules.hazelcast.severity, facts.health.unit, facts.heartbeat_age_s
    heard = f"its heartbeat is {duration(age)} old" if age is not None else "the map holds no status of it"
    since = facts.ago(age) if age is not None else None
    if facts.just_back:
        return unknown(f"{heard}, and {facts.just_back}: judged again at the next check", Cause.RECOVERING)
    if facts.unit is None:
        return Judgement(
            severity,
            f"this check reaches the cluster, the bridge is not heard: {heard}",
            Cause.BRIDGE_SILENT,
            look_further=f"{facts.health.systemctl} status {unit}",
            restart_helps=False,
            since=since,
        )
    return Judgement(
        severity,
        f"this check reaches the cluster and the bridge's process runs, but {heard}: it is cut off, or hangs",
        Cause.CLIENT_WEDGED,
        look_further=f"{facts.health.journalctl} -u {unit} -n 50",
        since=since,
    )
