"""The deployments in Prefect, one for each bridge of this host, and the runner that carries out their runs for as long
as the Prefect server answers.

Each run has a process of its own: whatever a check does to itself, the next one runs. One process serves all bridges.
Once another program lies on disk, or this host has other bridges, the service ends, so that what starts it starts that.
A deployment has no concurrency limit in Prefect: a killed process would keep its slot there, and runs would be
cancelled for want of it. The limit is this runner's, and the lock of `check.run_check`, which the kernel frees.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias
from uuid import UUID
from zlib import crc32

import anyio.to_thread
from prefect.client.orchestration import PrefectClient, get_client
from prefect.logging import get_logger
from prefect.schedules import Interval, Schedule
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from bridge.config import ConfigError
from bridge.system.host import host_id
from healthcheck.config.settings import HealthConfig, load
from healthcheck.observe.beside import Bridges, load_all
from healthcheck.prefect import automations, claims, registry
from healthcheck.prefect.claims import Place
from healthcheck.prefect.flow import FLOW_NAME, health_check
from healthcheck.prefect.outcome import last_run, new_process_problem
from healthcheck.prefect.run_process import RunProcesses
from healthcheck.prefect.runner import CheckRunner

PERIOD_S = 60
ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)
POLLS_PER_LOOKOUT = 6  # once a minute, with Prefect's default of a poll every 10 s
REGISTER_S = 60.0  # deadline of making the deployment and the Automations of one bridge known, or of looking after them
FIRST_PAUSE_S = 1.0  # between attempts to reach the server; doubled each time
LONGEST_PAUSE_S = 30.0

log = get_logger("scan_bridge")

Progress: TypeAlias = tuple[int, datetime | None]


@dataclass(frozen=True)
class Served:
    """The check of one bridge, as it stands in Prefect."""

    config: HealthConfig
    place: Place
    deployment: UUID


class Service:
    """Serves the deployments of a host's bridges, through any outage of the server. `run` in a thread; the rest is for
    other threads.
    """

    def __init__(self, config_path: Path, processes: RunProcesses) -> None:
        self.is_superseded = False  # whether `run` has ended because other programs or bridges are on this host now
        self._config_path = config_path
        self._processes = processes
        self._host = claims.host_name(socket.gethostname(), host_id(), config_path.absolute().parent)
        self._bridges = Bridges({}, {})
        self._runner: CheckRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._problem: str | None = None
        self._served: list[Served] = []
        self._said: dict[tuple[str, str], str] = {}  # what was last said of a bridge, by instance and subject
        self._steps = 0

    @property
    def status(self) -> str:
        """One line for `systemctl status`."""
        if self._problem:
            return self._problem
        api = PREFECT_API_URL.value()
        if self._runner is None:
            return f"connecting to the Prefect server at {api}"
        names = ", ".join(f"{FLOW_NAME}/{claims.deployment_of(one.place.name)}" for one in self._served)
        several = len(self._served) > 1
        said = [
            f"{instance}: {text}" if several else text
            for one in self._served
            for (instance, _), text in self._said.items()
            if text and instance == one.config.status.instance
        ]
        return "; ".join([f"serving {names} of {api}", *said, *map(_first_line, self._bridges.problems.values())])

    @property
    def progress(self) -> Progress:
        """Differs from its last value whenever the server was polled, a bridge made known or an attempt has ended."""
        return self._steps, self._runner.polled_at if self._runner else None

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
            self._steps += 1
            if not self._stopping:
                await asyncio.sleep(pause_s * random.uniform(0.7, 1.3))  # noqa: S311  # jitter, no secret
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _serve(self) -> None:
        self._bridges = await _read(self._config_path)
        for problem in self._bridges.problems.values():
            log.error("not watched: %s", problem)
        runner = CheckRunner(FLOW_NAME, most_at_once(len(self._bridges.configs)))
        async with get_client() as client:
            self._served = [await self._register(client, runner, config) for config in self._bridges.configs.values()]
            # Which bridge a file that cannot be used is for is not known: then nothing is called gone.
            if not self._bridges.problems:
                await self._retire(client)
        log.info("serving %s of %s", ", ".join(one.place.name for one in self._served), PREFECT_API_URL.value())
        self._problem = None
        self._runner = runner
        lookout = asyncio.create_task(self._look_out(runner))
        try:
            await runner.start()  # returns when stopped; raises when several polls in a row have failed
        finally:
            lookout.cancel()

    async def _register(self, client: PrefectClient, runner: CheckRunner, config: HealthConfig) -> Served:
        """Make the deployment and the Automations of one bridge known."""
        async with asyncio.timeout(REGISTER_S):
            place = await self._place(client, config)
            deployment = await runner.aadd_flow(
                health_check,
                name=claims.deployment_of(place.name),
                schedule=schedule(place.name),
                tags=claims.tags(place, self._host),
                entrypoint_type=EntrypointType.MODULE_PATH,
                description=f"Looks at the scan bridge {config.status.instance} every minute, from {self._host}; the "
                "final state is the verdict.",
            )
            await self._ensure_automations(config, place)
        self._steps += 1
        return Served(config, place, deployment)

    async def _retire(self, client: PrefectClient) -> None:
        async with asyncio.timeout(REGISTER_S):
            for name in await registry.retire(client, self._host, [one.place.name for one in self._served]):
                log.info("removed from Prefect, because this host has no such bridge any more: %s", name)

    async def _place(self, client: PrefectClient, config: HealthConfig) -> Place:
        instance = config.status.instance
        found = await registry.claims_of(client, instance, self._host)
        place = claims.choose(instance, self._host, found, datetime.now(UTC))
        self._say(instance, "claim", place.note())
        return place

    async def _look_out(self, runner: CheckRunner) -> None:
        """Once a minute: is all there still, what did the last runs give, whom can the Automations tell?"""
        while True:
            await asyncio.sleep(POLLS_PER_LOOKOUT * runner.poll_s)
            if self._processes.is_idle and (news := await self._what_superseded()):
                log.warning("%s: ending, so that systemd starts that", news)
                self.is_superseded = self._stopping = True
                await runner.astop()
                return
            try:
                async with get_client() as client:
                    if not all([await self._look_at(client, one) for one in self._served]):
                        await runner.astop()  # polling as it is would go on for nothing
                        return
            except Exception as error:  # noqa: BLE001  # an outage is for the polling to find out; not what is broken here
                log.debug("no look at the Prefect server: %s", error)
                if problem := await new_process_problem():
                    for one in self._served:
                        self._said[one.config.status.instance, "run"] = problem

    async def _what_superseded(self) -> str | None:
        """What has made this process a thing of the past; None if nothing has."""
        if self._processes.program_was_replaced and await new_process_problem() is None:
            return "another program lies on disk now"
        bridges = await _read(self._config_path)
        if bridges.problems.keys() - self._bridges.problems.keys():
            return None  # being edited, perhaps; each run of it says so
        return "this host has other bridges now" if bridges.files != self._bridges.files else None

    async def _look_at(self, client: PrefectClient, served: Served) -> bool:
        """Look after one bridge's check; whether it stands where it should."""
        instance = served.config.status.instance
        async with asyncio.timeout(REGISTER_S):
            if not await registry.is_ours(client, served.deployment, self._host):
                log.warning("the deployment of %s is gone from Prefect, or another's; making it anew", instance)
                return False
            if await self._place(client, served.config) != served.place:
                return False
            self._said[instance, "run"] = await last_run(client, served.deployment) or ""
            with contextlib.suppress(ConfigError):  # each run says so
                config = await asyncio.to_thread(load, self._bridges.files[instance])
                await self._ensure_automations(config, served.place)
        return True

    async def _ensure_automations(self, config: HealthConfig, place: Place) -> None:
        ensured = await anyio.to_thread.run_sync(automations.ensure, config, place.name, abandon_on_cancel=True)
        for name in ensured.changed:
            log.info("Automation brought up to date: %s", name)
        untold = automations.untold_words(ensured, config)
        self._say(config.status.instance, "untold", untold, "the Automations can tell every block of the group")

    def _say(self, instance: str, subject: str, text: str, over: str = "") -> None:
        """Once in the log, as long as it is so in the status line."""
        if text != self._said.get((instance, subject), ""):
            log.warning("%s: %s", instance, text or over or f"{subject}: over")
        self._said[instance, subject] = text

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


def schedule(name: str) -> Schedule:
    """Every minute, at a second of its own: checks that are due together would all take memory and CPU at once.

    The anchor is fixed, so that the schedule stays the same whoever deploys it again.
    """
    offset = timedelta(seconds=crc32(name.encode()) % PERIOD_S)
    return Interval(timedelta(seconds=PERIOD_S), anchor_date=ANCHOR + offset)


def most_at_once(bridges: int) -> int:
    """How many runs may be under way, so that checks that hang delay no others.

    The next run of a bridge whose check hangs finds its lock held, and ends at once: there is one place more for those.
    """
    return 1 if bridges <= 1 else bridges + 1


async def _read(config_path: Path) -> Bridges:
    return await asyncio.to_thread(load_all, config_path)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
