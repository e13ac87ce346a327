"""The one thing a check may do to the bridge: ask systemd to restart it. Decided purely, budgeted, and proven.

Never signals the process, and never restarts where that cannot help: that is decided by the rules.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healthcheck.config.settings import HealthConfig, Restarts
from healthcheck.keep.state import RestartLog
from healthcheck.model.finding import Cause, Finding, Rule, Severity
from healthcheck.model.observation import Known, Snapshot, UnitState, value_of
from healthcheck.model.report import ActionTaken
from healthcheck.observe import cluster, systemd
from healthcheck.observe.commands import CommandError
from healthcheck.observe.systemd import NoSuchUnit, RestartRefused
from healthcheck.text import duration

POLL_S = 0.3
LOOK_S = 5.0  # deadline of one look at the unit


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do. `restart` False with a rule set: only watch whether systemd's own restart worked."""

    rule: Rule
    restart: bool
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is done although a rule asks for it; a cause here is news to be told."""

    rule: Rule
    words: str
    cause: Cause | None = None


def decide(
    findings: Sequence[Finding], log: RestartLog, now: datetime, settings: Restarts, obstacle: str | None
) -> tuple[Decision | Refusal | None, RestartLog]:
    """What to do about the findings, and the restart log with that restart in it.

    At most one restart a check, for the worst finding that asks. The budget used up, none until the check has found
    nothing critical and nothing unknown.

    Args:
        obstacle: why nothing may be done at all: a mute, another host.
    """
    log = _recent(log, now, settings)
    wishes = [finding for finding in findings if finding.severity.is_bad and _asks(finding)]
    restarts = [finding for finding in wishes if finding.action == "restart_bridge"]
    if not restarts:
        if _calm(findings):
            log = replace(log, exhausted=False)
        watch = next((finding for finding in wishes if not obstacle), None)
        return (Decision(watch.rule, False, watch.title) if watch else None), log
    wish = restarts[0]
    if obstacle:
        return Refusal(wish.rule, f"not restarted: {obstacle}"), log
    if settings.max == 0:
        return Refusal(wish.rule, "not restarted: restarts.max = 0 forbids it"), log
    if log.exhausted or len(log.times) >= settings.max:
        words = (
            f"not restarted again: {settings.max} restarts in {duration(settings.window_s)} did not help;"
            " no more until the bridge is healthy"
        )
        return Refusal(wish.rule, words, Cause.RESTART_DID_NOT_HELP), replace(log, exhausted=True)
    return Decision(wish.rule, True, wish.title), replace(log, times=(*log.times, now))


def perform(decision: Decision, snapshot: Snapshot, config: HealthConfig) -> ActionTaken:
    """Restart if so decided, and wait at most `restarts.verify_s` for proof that the bridge is back.

    Proof is a running unit and the heartbeat of that very process in the map; after old data, a published scan too.
    """
    before = value_of(snapshot.unit)
    started = time.monotonic()
    if decision.restart:
        try:
            systemd.restart(config.health.unit)
        except RestartRefused as error:
            words = f"could not be restarted: {error}"
            return ActionTaken(decision.rule, "restart_bridge", words, helped=False)
    helped, proof = _prove(decision, before, snapshot, config, started + config.health.restarts.verify_s)
    if not helped:
        proof += f" within {config.health.restarts.verify_s:g} s"
    elif decision.restart:
        proof += f" after {duration(time.monotonic() - started)}"
    what = f"restarted by this check for {decision.why}" if decision.restart else "restarted by systemd"
    words = f"{what}: {proof}"
    return ActionTaken(decision.rule, "restart_bridge" if decision.restart else "auto_restart", words, helped)


def _asks(finding: Finding) -> bool:
    return finding.action in ("restart_bridge", "auto_restart")


def _calm(findings: Iterable[Finding]) -> bool:
    return all(finding.severity in (Severity.OK, Severity.WARNING) for finding in findings)


def _recent(log: RestartLog, now: datetime, settings: Restarts) -> RestartLog:
    window = timedelta(seconds=settings.window_s)
    # Times in the future are from before the clock was stepped back; they count, as of now.
    return replace(log, times=tuple(min(at, now) for at in log.times if now - at < window))


def _prove(
    decision: Decision, before: UnitState | None, snapshot: Snapshot, config: HealthConfig, deadline: float
) -> tuple[bool, str]:
    unit = _wait_until_running(config.health.unit, before if decision.restart else None, deadline)
    if unit is None:
        return False, "the unit does not run"
    reach = value_of(snapshot.hazelcast)
    if reach is None or not reach.reachable:
        return True, "the cluster cannot be reached, so whether it publishes is unknown; the unit runs"
    needs_scan = decision.restart and decision.rule == "stale_data"
    status = cluster.wait_for_status(
        config.hazelcast,
        lambda status: status.pid == unit.main_pid and (status.published is not None or not needs_scan),
        max(0.0, deadline - time.monotonic()),
    )
    if status is None:
        return False, "the unit runs, but " + ("published nothing" if needs_scan else "no heartbeat of it was seen")
    return True, "it publishes again" if status.published else "its heartbeat is seen again"


def _wait_until_running(unit: str, unlike: UnitState | None, deadline: float) -> UnitState | None:
    """The unit once it runs, in another process than before; None if it does not."""
    while True:
        try:
            answer = systemd.look(unit, LOOK_S).unit
        except (CommandError, NoSuchUnit):
            answer = None
        state = answer.value if isinstance(answer, Known) else None
        if state and state.is_running and (unlike is None or state.invocation_id != unlike.invocation_id):
            return state
        if time.monotonic() + POLL_S > deadline:
            return None
        time.sleep(POLL_S)
