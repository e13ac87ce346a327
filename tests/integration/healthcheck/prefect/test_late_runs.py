"""Runs that nobody needs any more are ended, others are left alone: on a real Prefect server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Completed, Pending, Running, Scheduled
from support.prefect_server import PrefectServer

from healthcheck.prefect import late_runs
from healthcheck.prefect.flow import health_check

pytestmark = pytest.mark.prefect

NOW = datetime.now(UTC)


@pytest.fixture
def api(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    """A client of the shared server."""
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployment(api: SyncPrefectClient) -> Iterator[UUID]:
    """A deployment of the flow that nobody serves."""
    made = health_check.to_deployment("late-runs").apply()
    yield made
    api.delete_deployment(made)


def run(api: SyncPrefectClient, deployment: UUID, due: datetime, *states: State[None]) -> UUID:
    """A run that was due then, and has gone through these states."""
    made = api.create_flow_run_from_deployment(deployment, state=Scheduled(scheduled_time=due)).id
    for state in states:
        api.set_flow_run_state(made, state, force=True)
    return made


def state_of(api: SyncPrefectClient, run: UUID) -> tuple[StateType | None, str | None]:
    found = api.read_flow_run(run)
    return found.state_type, found.state_name


def test_runs_due_before_the_last_check_are_skipped_and_later_ones_are_left(
    api: SyncPrefectClient, deployment: UUID
) -> None:
    last_check = NOW - timedelta(minutes=5)
    early = run(api, deployment, last_check - timedelta(seconds=1))
    late = run(api, deployment, last_check + timedelta(seconds=1))
    coming = run(api, deployment, NOW + timedelta(minutes=1))
    assert late_runs.clear(deployment, uuid4(), last_check, NOW) == 1
    assert state_of(api, early) == (StateType.CANCELLED, "Skipped")
    assert state_of(api, late)[0] == StateType.SCHEDULED
    assert state_of(api, coming)[0] == StateType.SCHEDULED


@pytest.mark.parametrize("last_check", [None, NOW + timedelta(hours=1)], ids=["never", "in-the-future"])
def test_without_a_check_that_can_have_completed_no_run_is_skipped(
    api: SyncPrefectClient, deployment: UUID, last_check: datetime | None
) -> None:
    late = run(api, deployment, NOW - timedelta(hours=1))
    assert late_runs.clear(deployment, uuid4(), last_check, NOW) == 0
    assert state_of(api, late)[0] == StateType.SCHEDULED


@pytest.mark.parametrize("state", [Pending, Running])
def test_a_run_left_behind_by_a_killed_process_is_marked_as_crashed(
    api: SyncPrefectClient, deployment: UUID, state: Callable[[], State[None]]
) -> None:
    left, own = run(api, deployment, NOW, state()), run(api, deployment, NOW, state())
    soon = datetime.now(UTC) + late_runs.ABANDONED_AFTER / 2
    assert late_runs.clear(deployment, own, soon, soon) == 0, "it may be under way"
    later = datetime.now(UTC) + late_runs.ABANDONED_AFTER
    assert late_runs.clear(deployment, own, later, later) == 1
    assert state_of(api, left) == (StateType.CRASHED, "Crashed")
    assert state_of(api, own)[0] == state().type


def test_runs_that_have_ended_and_those_of_other_deployments_are_left(api: SyncPrefectClient, deployment: UUID) -> None:
    ended = run(api, deployment, NOW, Completed())
    assert late_runs.clear(uuid4(), uuid4(), NOW, NOW) == 0
    assert late_runs.clear(deployment, uuid4(), NOW, NOW) == 0
    assert state_of(api, ended)[0] == StateType.COMPLETED
