"""Runs that nobody needs any more: due before a check that has completed since, or left behind by a killed process.

After an outage of the Prefect server, or of what serves the deployment, an hour of runs is late: one check answers
them all. Nothing here may fail a check: what cannot be cleared now is cleared by the next run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Crashed

from healthcheck.prefect.run_view import skipped

ABANDONED_AFTER = timedelta(minutes=10)  # the flow's own deadline is two minutes


def is_overtaken(due: datetime, last_completed: datetime | None, now: datetime) -> bool:
    """Whether a check has completed since a run was due, so that the run has nothing left to find out.

    A check that completed in the future, by a clock that was set back since, overtakes nothing.
    """
    return last_completed is not None and due < last_completed <= now


def end_state(run: FlowRun, last_completed: datetime | None, now: datetime) -> State[None] | None:
    """The state that an unfinished run of the deployment is to be put in; None: leave it alone."""
    if run.state is None or run.expected_start_time is None:
        return None
    if run.state.type is StateType.SCHEDULED:
        overtaken = is_overtaken(run.expected_start_time, last_completed, now)
        return skipped("a check has completed since this run was due") if overtaken else None
    abandoned = run.state.timestamp < now - ABANDONED_AFTER
    return Crashed(message="left behind by a process that was killed") if abandoned else None


def clear(deployment: UUID, own_run: UUID, last_completed: datetime | None, now: datetime) -> int:
    """End the deployment's overtaken and abandoned runs, oldest first; returns how many.

    Raises:
        Exception: the server is away or refuses.
    """
    unfinished = FlowRunFilterStateType(any_=[StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING])
    ended = 0
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
                state=FlowRunFilterState(type=unfinished),
                expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )
        for run in runs:
            state = end_state(run, last_completed, now)
            if state and run.id != own_run:
                client.set_flow_run_state(run.id, state, force=True)
                ended += 1
    return ended
