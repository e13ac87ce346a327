"""The rule `redundancy`: are the other bridges of the same map and key there still, each with a name of its own? Pure.

A bridge that was stopped is missed by nobody; one that fell silent is, until it is back or forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.model.status import BridgeStatus
from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok, unknown
from healthcheck.model.finding import Cause
from healthcheck.text import clock, duration, foreign


def judge(facts: Facts) -> Judgement:
    """One of the others is silent, or claims this bridge's name."""
    others = facts.others
    if others is None:
        return unknown("the status map was not read")
    twins = {key: one for key, one in facts.partners.items() if one.instance == facts.config.status.instance}
    if twins:
        return _claimed(facts, twins)
    silent = {key: one for key, one in others.items() if facts.is_silent(key, one)}
    if silent:
        return _silent(facts, silent)
    if not others:
        return ok("no other bridge publishes there")
    said = [f"{foreign(key)} is {'stopped' if one.state == 'stopped' else 'alive'}" for key, one in others.items()]
    return ok(f"of the other bridges that publish there, {', '.join(said)}")


def _claimed(facts: Facts, twins: Mapping[str, BridgeStatus]) -> Judgement:
    where = ", ".join(f"{foreign(one.host)} (pid {one.pid})" for one in twins.values())
    return Judgement(
        facts.rules.redundancy.severity,
        f"a bridge on {where} calls itself {facts.config.status.instance} too: give each its own status.instance",
        Cause.CLAIMED_TWICE,
        look_further=f"{facts.health.scan_bridge} status",
        restart_helps=False,
    )


def _silent(facts: Facts, silent: Mapping[str, BridgeStatus]) -> Judgement:
    texts = [
        f"{foreign(key)} on {foreign(one.host)} fell silent {duration(age_s)} ago, at {clock(one.heartbeat_at)}"
        for key, one in silent.items()
        for age_s in [max(0.0, (facts.snapshot.at - one.heartbeat_at).total_seconds())]
    ]
    key, first = min(silent.items(), key=lambda item: item[1].heartbeat_at)
    left = "no other bridge is left" if not facts.partners else f"{len(facts.partners)} more are alive"
    return Judgement(
        facts.rules.redundancy.severity,
        f"{'; '.join(texts)}, and was not stopped: {left}. If it is gone for good: "
        f"{facts.health.scan_bridge} status --forget {foreign(key)}",
        Cause.OTHER_SILENT,
        look_further=f"on {foreign(first.host)}: systemctl status 'dolphin-scan-bridge*'",
        restart_helps=False,
        since=first.heartbeat_at,
    )
