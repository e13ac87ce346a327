"""The deployment in Prefect, and the runner that carries out its runs for as long as the Prefect server answers.

Runs are carried out one at a time, each in a process of its own: whatever a check does to itself, the next one runs.
Once another program lies on disk, the service ends, so that what starts it starts that.
The deployment has no concurrency limit in Prefect: a killed process would keep its slot there, and runs would be
cancelled for want of it. The limit is this runner's, and the lock of `check.run_check`, which the kernel frees.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import anyio.to_thread
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.schedules import Interval
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from bridge.config import ConfigError
from healthcheck.config.settings import load
from healthcheck.prefect import automations
from healthcheck.prefect.flow import FLOW_NAME, health_check
from healthcheck.prefect.outcome import last_run, new_process_problem
from healthcheck.prefect.run_process import RunProcesses
from healthcheck.prefect.runner import CheckRunner

DEPLOYMENT_NAME = "every-60s"
NAME = f"{FLOW_NAME}/{DEPLOYMENT_NAME}"
# A fixed anchor: runs are due on the full minute, and the schedule stays the same whoever deploys it again.
SCHEDULE = Interval(timedelta(seconds=60), anchor_date=datetime(2026, 1, 1, tzinfo=UTC))
POLLS_PER_LOOKOUT = 6  # once a minute, with Prefect's default of a poll every 10 s
REGISTER_S = 60.0  # deadline of making the deployment and its Automations known
FIRST_PAUSE_S = 1.0  # between attempts to reach the server; doubled each time
LONGEST_PAUSE_S = 30.0

log = get_logger("scan_bridge")

Progress: TypeAlias = tuple[int, datetime | None]


class Service:
    """Serves the deployment, through any outage of the server. `run` in a thread; the rest is for other threads."""

    def __init__(self, config_path: Path, processes: RunProcesses) -> None:
        self.is_superseded = False  # whether `run` has ended because another program lies on disk now
        self._config_path = config_path
        self._processes = processes
        self._runner: CheckRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._problem: str | None = None
        self._last_run: str | None = None
        self._untold = ""
        self._attempts = 0

    @property
    def status(self) -> str:
        """One line for `systemctl status`."""
        if self._problem:
            return self._problem
        api = PREFECT_API_URL.value()
        if self._runner is None:
            return f"connecting to the Prefect server at {api}"
        return "; ".join(filter(None, (f"serving {NAME} of {api}", self._last_run, self._untold)))

    @property
    def progress(self) -> Progress:
        """Differs from its last value whenever the server was polled, or an attempt to reach it has ended."""
        return self._attempts, self._runner.polled_at if self._runner else None

    @property
    def is_checking(self) -> bool:
        """Whether a check is under way."""
        return self._runner is not None and self._runner.is_busy

    def run(self) -> None:
        """Serve until `stop` is called. An outage of the server is waited for; it never raises."""
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._run())

    def stop(self) -> None:
        """Make `run` return: a check under way is cancelled. Returns at once."""
        self._stopping = True
        if self._loop and not self._loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._stop(), self._loop)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        pause_s = FIRST_PAUSE_S
        while not self._stopping:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001  # whatever the server or its client does, the watch goes on
                broken, reason = await new_process_problem(), _reason(error)
                if broken and broken != self._problem:
                    log.warning("%s", broken)
                elif self._problem is None:  # until now all was well: say so once
                    log.warning("the Prefect server does not answer: %s; trying until it does", reason)
                    pause_s = FIRST_PAUSE_S
                self._problem = broken or f"waiting for the Prefect server at {PREFECT_API_URL.value()}: {reason}"
            self._attempts += 1
            if not self._stopping:
                await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))  # noqa: S311  # jitter, no secret
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _serve(self) -> None:
        runner = CheckRunner(FLOW_NAME)
        async with asyncio.timeout(REGISTER_S):
            deployment = await runner.aadd_flow(
                health_check,
                name=DEPLOYMENT_NAME,
                schedule=SCHEDULE,
                entrypoint_type=EntrypointType.MODULE_PATH,
                description="Looks at the scan bridge every minute; the final state is the verdict.",
            )
            await self._ensure_automations()
        log.info("serving %s of %s", NAME, PREFECT_API_URL.value())
        self._problem = None
        self._runner = runner
        lookout = asyncio.create_task(self._look_out(runner, deployment))
        try:
            await runner.start()  # returns when stopped; raises when several polls in a row have failed
        finally:
            lookout.cancel()

    async def _look_out(self, runner: CheckRunner, deployment: UUID) -> None:
        """Once a minute: is the deployment still there, what did the last run give, whom can the Automations tell?"""
        while True:
            await asyncio.sleep(POLLS_PER_LOOKOUT * runner.poll_s)
            if not runner.is_busy and self._processes.program_was_replaced and await new_process_problem() is None:
                log.warning("another program lies on disk now: ending, so that systemd starts that")
                self.is_superseded = self._stopping = True
                await runner.astop()
                return
            try:
                async with asyncio.timeout(REGISTER_S), get_client() as client:
                    await client.read_deployment(deployment)
                    self._last_run = await last_run(client, deployment)
                    await self._ensure_automations()
            except ObjectNotFound:  # polling for its runs would go on for nothing
                log.warning("the deployment is gone from the Prefect server; making it anew")
                await runner.astop()
                return
            except ConfigError:  # each run says so
                continue
            except Exception as error:  # noqa: BLE001  # an outage is for the polling to find out; not what is broken here
                log.debug("no look at the Prefect server: %s", error)
                self._last_run = await new_process_problem() or self._last_run

    async def _ensure_automations(self) -> None:
        config = load(self._config_path)
        ensured = await anyio.to_thread.run_sync(automations.ensure, config, abandon_on_cancel=True)
        for name in ensured.changed:
            log.info("Automation brought up to date: %s", name)
        untold = automations.untold_words(ensured, config)
        if untold != self._untold:
            log.warning("%s", untold or "the Automations can tell every block of the group")
        self._untold = untold

    async def _stop(self) -> None:
        if self._runner and self._runner.is_running:
            await self._runner.astop()
        elif self._task:
            self._task.cancel()


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
