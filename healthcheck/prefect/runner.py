"""Prefect's runner, by the few names of it that its documentation does not promise; used here and nowhere else.

A Prefect without one of them is refused when this is imported: nothing must fail in silence later.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from prefect import Flow, __version__
from prefect._internal.control_listener import configure_from_env
from prefect.client.schemas.objects import FlowRun
from prefect.context import refresh_global_settings_context
from prefect.engine import handle_engine_signals
from prefect.flow_engine import run_flow, run_flow_in_subprocess
from prefect.runner import Runner, _starter_direct

from healthcheck.prefect.fork_server import Request

# What Prefect and the libraries below it import only in the middle of a run.
_IMPORTED_LATE = (
    "anyio._backends._asyncio",
    "encodings.idna",
    "pydantic.v1",
    "pytz",
    "rich._emoji_codes",
    "stringprep",
)
_UNPROMISED = ("last_polled", "query_seconds", "started", "has_slots_available")

in_a_new_process = run_flow_in_subprocess  # Prefect's own way, with Prefect imported anew


class Process(Protocol):
    """What Prefect's runner needs of the process that carries out a run."""

    @property
    def pid(self) -> int | None:
        """Its id."""

    @property
    def exitcode(self) -> int | None:
        """None while it runs."""

    def join(self) -> None:
        """Wait for its end."""


class CheckRunner(Runner):
    """Carries out the runs of deployments, each in a process of its own, so many at a time."""

    def __init__(self, name: str, most_at_once: int = 1) -> None:
        super().__init__(name=name, limit=most_at_once, pause_on_shutdown=False)

    @property
    def polled_at(self) -> datetime | None:
        """When the server was last asked for runs."""
        return self.last_polled

    @property
    def poll_s(self) -> float:
        """Seconds between two polls."""
        return self.query_seconds

    @property
    def is_running(self) -> bool:
        """Whether it polls."""
        return self.started

    @property
    def is_busy(self) -> bool:
        """Whether as many runs are being carried out as may be."""
        return self.started and not self.has_slots_available()


def start_processes_by(start: Callable[..., Process]) -> None:
    """From now on every runner starts the process of a run by this, called as `in_a_new_process` is."""
    vars(_starter_direct)["run_flow_in_subprocess"] = start


def import_all() -> None:
    """Import what a run would import later."""
    for name in _IMPORTED_LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def request_of(flow_run: FlowRun, env: dict[str, str | None] | None) -> Request:
    """A run, for `carry_out` in another process."""
    return {"flow_run": flow_run.model_dump_json(), "env": env or {}}


def carry_out(flow: Flow[..., Any], request: Request) -> None:
    """Carry out a run in this process, which has done nothing else, as `in_a_new_process` has it done there.

    Raises:
        SystemExit: the process is to end so.
    """
    changed = {name: value for name, value in request["env"].items() if value not in (None, os.environ.get(name))}
    os.environ.update(changed)
    # Hooks would be the runner's, which knows whether the run was cancelled or crashed.
    os.environ["PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS"] = "false"
    configure_from_env()
    if any(name.startswith("PREFECT_") and not name.startswith("PREFECT__") for name in changed):
        refresh_global_settings_context()  # the settings are among what takes longest
    flow_run = FlowRun.model_validate_json(request["flow_run"])
    with handle_engine_signals(flow_run.id):
        run_flow(flow, flow_run=flow_run)


if _missing := [name for name in _UNPROMISED if not hasattr(Runner(), name)]:
    raise ImportError(f"Prefect {__version__} has no Runner.{_missing[0]}, which this program needs")
if "run_flow_in_subprocess" not in _starter_direct.DirectSubprocessStarter.start.__code__.co_names:
    raise ImportError(f"Prefect {__version__} starts the process of a run in a way that this program does not know")
