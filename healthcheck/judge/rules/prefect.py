"""The rule `prefect`: does Prefect still run the check, where it did? Pure; no I/O."""

from __future__ import annotations

from healthcheck.config.settings import Health
from healthcheck.judge.judgement import Judgement, ok
from healthcheck.model.condition import CheckCondition
from healthcheck.model.finding import Cause
from healthcheck.text import clock, duration


def judge(condition: CheckCondition, health: Health) -> Judgement:
    """Bad once Prefect has run no check for `after_s`: then this one was run by the timer, or by hand."""
    rule, silence = health.rules.prefect, condition.prefect_silence
    if silence is None or silence.for_s <= rule.after_s:
        return ok("no check of Prefect is overdue")
    text = f"Prefect has run no check for {duration(silence.for_s)}, since {clock(silence.since)}"
    if silence.units:
        text += f": {silence.units}"
    return Judgement(
        rule.severity,
        f"{text}. If it is not to check here any more: health.rules.prefect.enabled = false",
        Cause.PREFECT_SILENT,
        look_further=f"{health.systemctl} status dolphin-scan-bridge-healthcheck dolphin-scan-bridge-prefect",
        restart_helps=False,
    )
