"""What a check decides to do: a restart only if asked for, allowed and within the budget. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.health_cases import NOW, REMOTE, RUNNING, snapshot

from healthcheck.alert.restart_policy import Decision, Refusal, RestartLog, RestartPolicy, obstacle
from healthcheck.config.settings import Restarts
from healthcheck.model.finding import Action, Cause, Finding, Severity

LIMITS = Restarts(max=3, window_s=900)


def finding(
    action: Action, cause: Cause = Cause.BRIDGE_STUCK, severity: Severity = Severity.CRITICAL, rule: str = "stale_data"
) -> Finding:
    return Finding(rule, severity, "words", cause, action)


def decide(
    findings: list[Finding], log: RestartLog, now: datetime = NOW, obstacle: str | None = None
) -> tuple[Decision | Refusal | None, RestartLog]:
    return RestartPolicy(LIMITS, now, obstacle).decide(findings, log)


FINE = Finding("stale_data", Severity.OK, "fine")


def test_a_finding_that_asks_for_it_gets_a_restart_which_counts_at_once() -> None:
    todo, log = decide([finding("restart_bridge")], RestartLog())
    assert todo == Decision("stale_data", True, "stale_data (bridge stuck)")
    assert log.times == (NOW,)


@pytest.mark.parametrize("action", ["alert", "log_only"])
def test_a_finding_that_does_not_ask_gets_none(action: Action) -> None:
    assert decide([finding(action)], RestartLog()) == (None, RestartLog())


@pytest.mark.parametrize("cause", [Cause.CRASHED, Cause.GAVE_UP])
def test_after_a_crash_it_is_only_watched_whether_systemd_brings_the_bridge_back(cause: Cause) -> None:
    """Its retry timer does, unless an operator stopped that; neither is the check's to undo."""
    todo, log = decide([finding("auto_restart", cause)], RestartLog())
    assert isinstance(todo, Decision)
    assert not todo.restart
    assert log.times == ()


def test_restarts_older_than_the_window_do_not_count() -> None:
    old = RestartLog(tuple(NOW - timedelta(seconds=s) for s in (901, 900, 899, 10)))
    todo, log = decide([finding("restart_bridge")], old)
    assert isinstance(todo, Decision)
    assert len(log.times) == 3


def test_the_budget_used_up_no_restart_comes_until_all_is_calm() -> None:
    used = RestartLog(tuple(NOW - timedelta(seconds=s) for s in (30, 20, 10)))
    todo, log = decide([finding("restart_bridge")], used)
    assert isinstance(todo, Refusal)
    assert todo.cause is Cause.RESTART_DID_NOT_HELP
    assert log.exhausted
    later = NOW + timedelta(hours=2)
    assert isinstance(decide([finding("restart_bridge")], log, later)[0], Refusal)
    for not_calm in (finding("alert"), Finding("hazelcast", Severity.UNKNOWN, "?")):
        assert decide([not_calm], log, later)[1].exhausted
    calm = decide([FINE, finding("alert", severity=Severity.WARNING)], log, later)[1]
    assert not calm.exhausted
    assert isinstance(decide([finding("restart_bridge")], calm, later)[0], Decision)


def test_an_obstacle_forbids_the_restart_and_costs_no_budget() -> None:
    todo, log = decide([finding("restart_bridge")], RestartLog(), obstacle="muted")
    assert todo == Refusal("stale_data", "not restarted: muted")
    assert log.times == ()


def test_what_forbids_a_restart_is_named() -> None:
    assert obstacle(snapshot(), muted=False) is None
    assert obstacle(snapshot(), muted=True) == "muted"
    assert obstacle(snapshot(scope=REMOTE), muted=False) == "no such unit here"
    masked = replace(RUNNING, is_masked=True)
    assert obstacle(snapshot(unit=masked), muted=False) == "its unit is masked"


def test_times_in_the_future_after_a_step_of_the_clock_still_count() -> None:
    ahead = RestartLog(tuple(NOW + timedelta(hours=hours) for hours in (1, 2, 3)))
    assert isinstance(decide([finding("restart_bridge")], ahead)[0], Refusal)


@pytest.mark.exhaustive
@given(
    st.lists(st.tuples(st.integers(1, 400), st.sampled_from(["restart", "fine", "unknown", "muted"])), max_size=60),
    st.integers(0, 4),
)
def test_for_any_history_no_window_holds_more_restarts_than_allowed(steps: list[tuple[int, str]], most: int) -> None:
    limits = Restarts(max=most, window_s=900)
    log, now, restarts = RestartLog(), NOW, []
    for after_s, kind in steps:
        now += timedelta(seconds=after_s)
        findings = {
            "fine": [FINE],
            "unknown": [Finding("stale_data", Severity.UNKNOWN, "?")],
        }.get(kind, [finding("restart_bridge")])
        todo, log = RestartPolicy(limits, now, "muted" if kind == "muted" else None).decide(findings, log)
        if isinstance(todo, Decision) and todo.restart:
            restarts.append(now)
        for end in restarts:
            assert sum(timedelta(0) <= end - at < timedelta(seconds=900) for at in restarts) <= most
