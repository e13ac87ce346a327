"""What became of the deployment's last run, in words for the serving unit's status line.

A run that crashed says nothing by itself, so it is said here whether a new process finds this program at all: the
serving process goes on with what it has loaded, whatever was replaced under it since.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from uuid import UUID

import anyio.to_thread
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort

from healthcheck.observe import commands
from healthcheck.observe.commands import CommandError, CommandTimeout
from healthcheck.text import clock, foreign

PROGRAM = ("healthcheck", "prefect")
LOOK_S = 10.0
_FIND = "import importlib.util as u, sys; sys.exit(' '.join(n for n in sys.argv[1:] if not u.find_spec(n)) or None)"


async def last_ended(client: PrefectClient, deployment: UUID) -> FlowRun | None:
    """The run of the deployment that was due last of those that have ended.

    Raises:
        Exception: the server is away or refuses.
    """
    ended = FlowRunFilterStateType(any_=[StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED])
    runs = await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment]),
            state=FlowRunFilterState(type=ended),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=1,
    )
    return runs[0] if runs else None


async def last_run(client: PrefectClient, deployment: UUID) -> str | None:
    """`last run 2026-03-24 08:15:00 UTC: Healthy`; None before the first one has ended.

    Raises:
        Exception: the server is away or refuses.
    """
    run = await last_ended(client, deployment)
    state = run.state if run else None
    if state is None:
        return None
    text = f"last run {clock(state.timestamp)}: {foreign(state.name or state.type)}"
    if state.type is not StateType.CRASHED:
        return text
    problem = await new_process_problem()
    return f"{text}: {problem or foreign(state.message or '')}"


async def new_process_problem() -> str | None:
    """What `program_problem` says of this Python, without holding up the event loop."""
    return await anyio.to_thread.run_sync(program_problem, abandon_on_cancel=True)


def program_problem(python: str = sys.executable) -> str | None:
    """Why a new process of this Python could not run a check; None where it finds all it needs."""
    try:
        found = commands.run([python, "-P", "-c", _FIND, *PROGRAM], LOOK_S)
    except CommandTimeout:
        return None  # a busy machine proves nothing
    except CommandError as error:
        why = str(error)
    else:
        if found.status == 0:
            return None
        why = f"it does not find {' and '.join(foreign(name) for name in found.err.split())}"
    return f"{python} cannot run checks any more: {why}; was the system's Python replaced? Run: make upgrade"
