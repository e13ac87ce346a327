"""The judgement: what one check observed becomes one finding per enabled rule. Here rules get name, action and groups.

Pure: no I/O, no clock, no state of its own. What is unknown gives `unknown`, never `ok`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from healthcheck.config.rules import ConditionRule, LevelRule
from healthcheck.config.settings import Health
from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement
from healthcheck.judge.rules import (
    blind,
    clock,
    cpu,
    few_files,
    hazelcast,
    high_lag,
    history_behind,
    memory,
    notifier,
    prefect,
    process_crash,
    process_stopped,
    redundancy,
    stale_data,
    state,
)
from healthcheck.model.condition import CheckCondition
from healthcheck.model.finding import Action, Cause, Finding, Rule
from healthcheck.text import foreign

ABOUT_THE_BRIDGE: Mapping[Rule, Callable[[Facts], Judgement]] = {
    "stale_data": stale_data.judge,
    "hazelcast": hazelcast.judge,
    "process_crash": process_crash.judge,
    "process_stopped": process_stopped.judge,
    "memory": memory.judge,
    "cpu": cpu.judge,
    "high_lag": high_lag.judge,
    "few_files": few_files.judge,
    "history_behind": history_behind.judge,
    "clock": clock.judge,
    "redundancy": redundancy.judge,
    "blind": blind.judge,
}
ABOUT_THE_CHECK: Mapping[Rule, Callable[[CheckCondition, Health], Judgement]] = {
    "state": state.judge,
    "notifier": notifier.judge,
    "prefect": prefect.judge,
}
LOCAL_ONLY = ("process_crash", "process_stopped", "cpu", "memory")

# What a finding can be a mere consequence of, in the order in which it is looked for.
EXPLANATIONS: Mapping[Rule, tuple[Rule, ...]] = {
    "stale_data": ("process_crash", "process_stopped", "hazelcast"),
    "few_files": ("process_crash", "process_stopped", "hazelcast", "stale_data"),
    "history_behind": ("hazelcast",),
}
OWN_CAUSES = (Cause.PRODUCER_STOPPED, Cause.SOURCE_AWAY, Cause.ALL_BAD)  # nothing that another rule finds explains them


# The watched bridge publishes nothing.
GONE = (
    Cause.CRASHED,
    Cause.GAVE_UP,
    Cause.STOPPED,
    Cause.MASKED,
    Cause.CLIENT_WEDGED,
    Cause.BRIDGE_SILENT,
    Cause.HAZELCAST_REFUSES,
)


def about_the_bridge(facts: Facts) -> tuple[Finding, ...]:
    """One finding per rule that is switched on and can be judged from here."""
    settings = dict(facts.rules)
    found = {
        name: _finding(name, settings[name], _with_who_goes_on(judge(facts), facts))
        for name, judge in ABOUT_THE_BRIDGE.items()
        if settings[name].enabled and (facts.is_local or name not in LOCAL_ONLY)
    }
    return tuple(replace(finding, explained_by=_explanation(finding, found)) for finding in found.values())


def about_the_check(condition: CheckCondition, health: Health) -> tuple[Finding, ...]:
    """One finding per rule about the check itself that is switched on."""
    settings = dict(health.rules)
    return tuple(
        _finding(name, settings[name], judge(condition, health))
        for name, judge in ABOUT_THE_CHECK.items()
        if settings[name].enabled
    )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """In the order in which they are shown and acted upon."""
    return tuple(sorted(findings, key=lambda finding: -finding.severity.rank))


def _with_who_goes_on(judgement: Judgement, facts: Facts) -> Judgement:
    """Where the watched bridge is gone, whether its data is too."""
    through = facts.flows_through if judgement.severity.is_bad and judgement.cause in GONE else None
    if through is None:
        return judgement
    return replace(judgement, text=f"{judgement.text}; the data still flows through {foreign(through)}")


def _finding(name: Rule, settings: ConditionRule | LevelRule, judgement: Judgement) -> Finding:
    action: Action = "log_only"
    groups: tuple[str, ...] = ()
    if judgement.severity.is_bad:
        action, groups = settings.response(judgement.severity)
        if action in ("restart_bridge", "auto_restart") and not judgement.restart_helps:
            action = "alert"  # whoever asks for a restart wants to hear of the problem too where that is of no use
    return Finding(
        rule=name,
        severity=judgement.severity,
        text=judgement.text,
        cause=judgement.cause,
        action=action,
        groups=tuple(group for group in groups if group not in judgement.deaf),
        numbers=judgement.numbers,
        look_further=judgement.look_further,
        since=judgement.since,
    )


def _explanation(finding: Finding, found: Mapping[Rule, Finding]) -> Rule | None:
    """The finding that this one is only a consequence of: told together, as one problem."""
    if not finding.severity.is_bad or finding.cause in OWN_CAUSES:
        return None
    for rule in EXPLANATIONS.get(finding.rule, ()):
        if rule in found and found[rule].severity.is_bad and found[rule].action != "log_only":
            return rule
    return None
