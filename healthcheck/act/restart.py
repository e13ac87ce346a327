"""The one thing a check may do to the bridge: ask systemd to restart it, and prove that it came back.

It decides nothing (`alert.restart_policy` does), and never signals the process.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from healthcheck.alert.restart_policy import Decision
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.model.finding import Action
from healthcheck.model.observation import Known, Snapshot, UnitState, value_of
from healthcheck.model.report import ActionTaken
from healthcheck.observe import cluster, systemd
from healthcheck.observe.commands import CommandError
from healthcheck.observe.systemd import NoSuchUnit, RestartRefused
from healthcheck.text import duration

POLL_S = 0.3
LOOK_S = 5.0  # deadline of one look at the unit


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the bridge came back, and what shows it."""

    helped: bool
    proof: str


def perform(decision: Decision, snapshot: Snapshot, config: HealthConfig) -> ActionTaken:
    """Restart if so decided, and wait at most `restarts.verify_s` for proof that the bridge is back.

    Proof is a running unit and the heartbeat of that very process in the map; after old data, a published scan too.
    """
    started = time.monotonic()
    verify_s = config.health.restarts.verify_s
    before: UnitState | None = None
    if decision.restart:
        before = value_of(snapshot.unit)
        try:
            systemd.restart(config.health)
        except RestartRefused as error:
            text = f"could not be restarted: {error}"
            return ActionTaken(decision.rule, "restart_bridge", text, helped=False)
    unit = _wait_until_running(config.health, before, started + verify_s)
    if unit is None:
        outcome = Outcome(False, "the unit does not run")
    else:
        reach = value_of(snapshot.hazelcast)
        left_s = max(0.0, started + verify_s - time.monotonic())
        outcome = (
            _wait_for_word(unit, config, left_s, needs_scan=decision.restart and decision.rule == "stale_data")
            if reach is not None and reach.reachable
            else Outcome(True, "the cluster cannot be reached, so whether it publishes is unknown; the unit runs")
        )
    after = f" after {duration(time.monotonic() - started)}" if decision.restart else ""
    when = after if outcome.helped else f" within {verify_s:g} s"
    what = f"restarted by this check for {decision.why}" if decision.restart else "restarted by systemd"
    action: Action = "restart_bridge" if decision.restart else "auto_restart"
    return ActionTaken(decision.rule, action, f"{what}: {outcome.proof}{when}", outcome.helped)


def _wait_until_running(health: Health, unlike: UnitState | None, deadline: float) -> UnitState | None:
    """The unit once it runs, in another process than before; None if it does not."""
    while True:
        try:
            answer = systemd.read_unit(health, LOOK_S).unit
        except (CommandError, NoSuchUnit):
            answer = None
        state = answer.value if isinstance(answer, Known) else None
        if state and state.is_running and (unlike is None or state.invocation_id != unlike.invocation_id):
            return state
        if time.monotonic() + POLL_S > deadline:
            return None
        time.sleep(POLL_S)


def _wait_for_word(unit: UnitState, config: HealthConfig, deadline_s: float, *, needs_scan: bool) -> Outcome:
    """What that very process says of itself in the map."""
    status = cluster.wait_for_status(
        config.hazelcast,
        lambda status: (
            status.pid == unit.main_pid and (status.published is not None or status.role == "standby" or not needs_scan)
        ),
        deadline_s,
    )
    if status is None:
        missing = "published nothing" if needs_scan else "no heartbeat of it was seen"
        return Outcome(False, f"the unit runs, but {missing}")
    return Outcome(True, "it publishes again" if status.published else "its heartbeat is seen again")
