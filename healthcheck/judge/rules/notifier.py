"""The rule `notifier`: did the last message reach every recipient? Pure; no I/O."""

from __future__ import annotations

from healthcheck.config.settings import Health
from healthcheck.judge.judgement import Judgement, ok
from healthcheck.model.condition import CheckCondition
from healthcheck.model.finding import Cause


def judge(condition: CheckCondition, health: Health) -> Judgement:
    """Bad while a recipient cannot be reached; told to the groups that can."""
    failing = condition.unreachable
    if not failing:
        return ok("no delivery has failed" if any(health.addresses.values()) else "no recipient is set: nobody is told")
    reasons = "; ".join(f"{block}: {reason}" for block, reason in sorted(failing.items()))
    return Judgement(
        health.rules.notifier.severity,
        f"alerts are not delivered and are kept until they are: {reasons}",
        Cause.NOTIFIER_FAILED,
        look_further="scan-bridge-health alerts",
        restart_helps=False,
        deaf=frozenset(group for group, blocks in health.addresses.items() if set(blocks) <= set(failing)),
    )
