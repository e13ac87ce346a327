"""The rule `notifier`: did the last message reach every recipient, and can the next one? Pure; no I/O."""

from __future__ import annotations

from collections.abc import Mapping

from healthcheck.config.settings import Health
from healthcheck.judge.judgement import Judgement, ok
from healthcheck.model.condition import CheckCondition
from healthcheck.model.finding import Block, Cause


def judge(condition: CheckCondition, health: Health) -> Judgement:
    """Bad while a recipient cannot be reached; told to the groups that can."""
    failing, unusable = condition.unreachable, condition.unusable
    if not failing and not unusable:
        return ok("no delivery has failed" if any(health.addresses.values()) else "no recipient is set: nobody is told")
    text = []
    if failing:
        text.append(f"alerts are not delivered and are kept until they are: {_reasons(failing)}")
    if rest := {block: found.why for block, found in unusable.items() if block not in failing}:
        text.append(f"blocks that cannot be used: {_reasons(rest)}")
    deaf = {*failing, *(block for block, found in unusable.items() if not found.has_spare)}
    return Judgement(
        health.rules.notifier.severity,
        "; ".join(text),
        Cause.NOTIFIER_FAILED,
        look_further=f"{health.scan_bridge_health} notify-test",
        restart_helps=False,
        deaf=frozenset(group for group, blocks in health.addresses.items() if set(blocks) <= deaf),
    )


def _reasons(blocks: Mapping[Block, str]) -> str:
    return "; ".join(f"{block}: {reason}" for block, reason in sorted(blocks.items()))
