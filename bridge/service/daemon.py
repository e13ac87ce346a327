"""The bridge as a process: its stages as tasks on one event loop, signals, and the watchdog.

WATCHDOG=1 goes out from `_supervise` only, and only while every stage proves progress. Each stage is a loop of
short steps; a step that does not return in time is a hang. Hazelcast or ROOT being away is not: steps return then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

from bridge import __version__
from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.publisher import Publisher
from bridge.config import Config, ConfigError
from bridge.service.discovery import Discovery
from bridge.service.metrics import Metrics
from bridge.service.pipeline import Pipeline
from bridge.service.quarantine import Quarantine
from bridge.service.status_reporter import Report
from bridge.system.backoff import Trouble
from bridge.system.malloc import keep_freed_memory
from bridge.system.sd_notify import Notify

if TYPE_CHECKING:
    from bridge.service.prometheus import Exporter

log = logging.getLogger(__name__)

DEFAULT_WATCHDOG_S = 30.0
# A stage that is silent for this share of WatchdogSec hangs: early enough that systemd acts within WatchdogSec.
SILENCE_SHARE = 2 / 3
LONGEST_STEP_SHARE = 1 / 8
READY_DEADLINE_S = 15.0
# The longest pause after a call that failed (backoff.py), and some.
BACKOFF_S = 2.0


class Bridge:
    """One run of the bridge with one configuration."""

    def __init__(self, config: Config, metrics: Metrics, notify: Notify, exporter: Exporter | None) -> None:
        self._config = config
        self._metrics = metrics
        self._notify = notify
        self._quarantine = Quarantine(config.state_dir)
        self._cluster = Cluster(config.hazelcast, f"scan-bridge {config.status.instance}")
        publisher = Publisher(
            self._cluster, config.hazelcast.scan_key, config.status.instance, config.source.max_future_s
        )
        self._publisher = publisher
        self._pipeline = Pipeline(config.source, self._cluster, publisher, metrics, self._quarantine)
        self._report = Report(config, self._cluster, self._pipeline, metrics)
        self._discovery = Discovery(
            config.source, self._pipeline, self._report, metrics, progress=lambda: self._progress("discovery")
        )
        if exporter is not None:
            exporter.observe(self._report.status, lambda: self._cluster.connected, lambda: self._pipeline.waiting_files)
        self._connecting = Trouble(log, f"connecting to Hazelcast {self._cluster.address}")
        self._attempted = asyncio.Event()
        self._was_connected = False
        self._watchdog_s = notify.watchdog_s or DEFAULT_WATCHDOG_S
        self._step_s = self._watchdog_s * LONGEST_STEP_SHARE
        self._seen_s: dict[str, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Raises what a stage raised: a bridge with a dead stage must end, not limp on."""
        tasks = [
            asyncio.create_task(self._loop(step, name), name=name)
            for name, step in (
                ("connector", self._connect_step),
                ("discovery", self._discovery.step),
                ("publisher", self._pipeline.step),
                ("reporter", self._report.step),
            )
        ]
        tasks += [asyncio.create_task(self._supervise()), asyncio.create_task(_wait(stop))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.5)
            self._discovery.close()
            self._quarantine.close()
            await self._cluster.close()

    async def _loop(self, step: Callable[[float], Awaitable[None]], stage: str) -> None:
        while True:
            self._progress(stage)
            await step(self._step_s)
            await asyncio.sleep(0)  # a step that had nothing to wait for must not keep the others waiting

    def _progress(self, stage: str) -> None:
        self._seen_s[stage] = time.monotonic()

    async def _connect_step(self, longest_wait_s: float) -> None:
        """Connect if there is no connection, else wait until it is lost."""
        if self._cluster.connected:
            try:
                async with asyncio.timeout(longest_wait_s):
                    await self._cluster.lost.wait()
            except TimeoutError:
                return
            self._report.cluster_reason = "connection lost"
            log.warning("Hazelcast connection lost: %s", self._cluster.address)
        try:
            await self._cluster.connect()
        except ClusterError as error:
            self._report.cluster_reason = str(error)
            self._attempted.set()
            await asyncio.sleep(self._connecting.met(str(error)))
            return
        self._connecting.over()
        log.info("Hazelcast connected: %s", self._cluster.address)
        self._metrics.reconnects += self._was_connected
        self._was_connected = True
        self._attempted.set()
        self._publisher.forget()
        self._pipeline.wake()
        self._discovery.list_soon(forget=True)

    async def _supervise(self) -> None:
        """Tell systemd how we are: READY once, then STATUS and, on proof, WATCHDOG."""
        interval_s = min(1.0, self._watchdog_s / 4)
        ready = False
        while True:
            if not ready and self._attempted.is_set() and self._discovery.ready.is_set():
                ready = True
                self._notify.ready()
            elif not ready:
                self._notify.extend_timeout(READY_DEADLINE_S)
            hung = self._hung_stages()
            if hung:
                log.critical("no progress in %s: asking systemd for a restart", ", ".join(hung))
                self._notify.watchdog_trigger()
            else:
                self._notify.watchdog()
            self._notify.status(self._report.line())
            await asyncio.sleep(interval_s if ready else 0.05)

    def _hung_stages(self) -> list[str]:
        now_s = time.monotonic()
        if self._discovery.drains():
            self._seen_s["watcher"] = now_s
        return [stage for stage, seen_s in self._seen_s.items() if now_s - seen_s > self._patience_s(stage)]

    def _patience_s(self, stage: str) -> float:
        """How long a step of this stage may take when all is well or Hazelcast does not answer."""
        hazelcast = self._config.hazelcast
        longest_step_s = {
            "connector": hazelcast.connect_timeout_s * len(hazelcast.members) + hazelcast.call_timeout_s + 4,
            "publisher": hazelcast.call_timeout_s * 4 + BACKOFF_S,
            "reporter": hazelcast.call_timeout_s * 2 + BACKOFF_S,
        }
        return max(self._watchdog_s * SILENCE_SHARE, longest_step_s.get(stage, 0))


def _start_exporter(config: Config, metrics: Metrics) -> Exporter | None:
    if not config.metrics.listen:
        return None
    from bridge.service.prometheus import Exporter

    exporter = Exporter()
    exporter.serve(config.metrics.listen)
    metrics.on_lag = exporter.scan_published
    return exporter


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def serve(config: Config, reload: Callable[[], Config]) -> None:
    """Run the bridge until SIGTERM or SIGINT; on SIGHUP go on with what `reload` returns, if it is valid."""
    notify, metrics = Notify(), Metrics()
    ended, stop, reloaded = False, asyncio.Event(), [config]

    def on_stop() -> None:
        nonlocal ended
        ended = True
        notify.stopping()
        stop.set()

    def on_reload() -> None:
        notify.reloading()
        try:
            reloaded.append(reload())
        except ConfigError as error:
            log.error("configuration not reloaded, the old one stays in force: %s", error)
            notify.ready()
        else:
            stop.set()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_on_orphaned_error)
    loop.add_signal_handler(signal.SIGTERM, on_stop)
    loop.add_signal_handler(signal.SIGINT, on_stop)
    loop.add_signal_handler(signal.SIGHUP, on_reload)
    log.info("scan-bridge %s starts: %s → %s", __version__, config.source.root, config.hazelcast.map)
    exporter = _start_exporter(config, metrics)
    while not ended:
        stop.clear()
        config = reloaded[-1]
        await Bridge(config, metrics, notify, exporter).run(stop)
        if not ended:
            log.info("configuration reloaded")
    log.info("scan-bridge stopped: published %d", metrics.published)


def _on_orphaned_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The Hazelcast client leaves failed calls behind when a connection ends; they are not news."""
    error = context.get("exception")
    log.debug("in the background: %s: %s", context.get("message"), error, exc_info=error)


def refuse(reason: str) -> None:
    """Show in `systemctl status` why there is no start."""
    Notify().status(f"configuration not valid: {reason.splitlines()[0]}")


def run(config: Config, reload: Callable[[], Config]) -> NoReturn:
    """`serve`, then end the process with exit code 0, or 1 after a stage failed."""
    keep_freed_memory()
    asyncio.run(_serve_and_leave(config, reload))
    raise AssertionError  # not reached


async def _serve_and_leave(config: Config, reload: Callable[[], Config]) -> NoReturn:
    try:
        await serve(config, reload)
    except Exception:  # whatever it was, systemd starts us anew
        log.critical("the bridge ends: a stage failed", exc_info=True)
        _leave(1)
    _leave(0)


def _leave(code: int) -> NoReturn:
    """End the process now: a thread that hangs in a disk read must not keep it."""
    logging.shutdown()
    os._exit(code)
