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
from bridge.cluster.connection import Cluster, call_deadline_s
from bridge.cluster.publisher import Publisher
from bridge.config import Config, ConfigError
from bridge.model.status import BridgeStatus
from bridge.service import memory_need
from bridge.service.connector import Connector
from bridge.service.discovery import Discovery
from bridge.service.history_process import HistoryProcess
from bridge.service.metrics import Metrics
from bridge.service.pipeline import Pipeline
from bridge.service.progress import Progress
from bridge.service.quarantine import Quarantine
from bridge.service.status_reporter import Stages, StatusReporter
from bridge.system import cgroup, interrupt
from bridge.system.malloc import keep_freed_memory
from bridge.system.sd_notify import Notify

if TYPE_CHECKING:
    from bridge.service.prometheus import Exporter, Reading

log = logging.getLogger(__name__)

DEFAULT_WATCHDOG_S = 30.0
# A stage that is silent for this share of WatchdogSec hangs: early enough that systemd acts within WatchdogSec.
SILENCE_SHARE = 2 / 3
LONGEST_STEP_SHARE = 1 / 4
READY_DEADLINE_S = 15.0
# The longest pause after a call that failed (backoff.py), and some.
BACKOFF_S = 2.0
HISTORY_STEP_S = 30.0


class Bridge:
    """The stages and what they share. A reload changes the live objects, and forgets nothing."""

    def __init__(self, config: Config, metrics: Metrics, notify: Notify) -> None:
        self._config = config
        self._notify = notify
        self._metrics = metrics
        self._exporter: Exporter | None = None
        self._progress = Progress()
        self._quarantine = Quarantine(config.state_dir)
        self._cluster = Cluster(config.hazelcast, f"scan-bridge {config.status.instance}")
        publisher = Publisher(self._cluster, config.hazelcast, config.status.instance, config.source.max_future_s)
        self._publisher = publisher
        self._pipeline = Pipeline(config.source, self._cluster, publisher, metrics, self._quarantine)
        self._discovery = Discovery(
            config.source, self._pipeline.intake, metrics, progress=lambda: self._progress.stamp("discovery")
        )
        self._history = HistoryProcess(config, self._pipeline.judged_bad)
        self._pipeline.intake.on_closed = self._history.closed
        stages = Stages(self._cluster, self._discovery, self._pipeline, self._history, metrics)
        self._reporter = StatusReporter(config, stages)
        self._connector = Connector(self._cluster, self._pipeline, self._discovery, metrics)
        self._warn_of_memory()
        self._watchdog_s = notify.watchdog_s or DEFAULT_WATCHDOG_S
        self._step_s = self._watchdog_s * LONGEST_STEP_SHARE

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, to be run again or closed then.

        Raises what a stage raised: a bridge with a dead stage must end, not limp on.
        """
        self._progress.begin()
        tasks = [
            asyncio.create_task(self._loop(step, name), name=name)
            for name, step in (
                ("connector", self._connector.step),
                ("discovery", self._discovery.step),
                ("publisher", self._pipeline.step),
                ("reporter", self._reporter.step),
                ("history", self._history.step),
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

    async def reconfigure(self, config: Config) -> None:
        """Take over another configuration, between two runs."""
        old, self._config = self._config, config
        if (old.metrics, old.state_dir) != (config.metrics, config.state_dir):
            log.warning("metrics.listen and state_dir are read at the start only: restart the bridge to apply them")
        if (old.source, old.history) != (config.source, config.history):
            self._warn_of_memory()
        self._pipeline.reconfigure(config.source)
        self._discovery.reconfigure(config.source)
        if (old.hazelcast, old.status.instance) != (config.hazelcast, config.status.instance):
            await self._reporter.say_stopped()  # under the name, or in the map, that is not ours any more
        self._reporter.reconfigure(config)
        await self._history.reconfigure(config)
        if (old.hazelcast, old.status.instance, old.source.max_future_s) != (
            config.hazelcast, config.status.instance, config.source.max_future_s,
        ):  # fmt: skip
            self._publisher.reconfigure(config.hazelcast, config.status.instance, config.source.max_future_s)
            await self._cluster.reconfigure(config.hazelcast, f"scan-bridge {config.status.instance}")
            self._connector.begin_anew()

    def _warn_of_memory(self) -> None:
        if warning := memory_need.shortage(self._config, cgroup.memory_limit_bytes()):
            log.warning("%s", warning)

    async def say_stopped(self) -> None:
        """To those who read the status: this bridge was told to end."""
        await self._reporter.say_stopped()

    async def close(self) -> None:
        """Let go of everything."""
        self._discovery.close()
        self._quarantine.close()
        await self._history.close()
        await self._cluster.close()

    def _export(self) -> None:
        """Serve the metrics, if they are wanted: not before there is something to tell, for it takes time to load."""
        if self._exporter is not None or not self._config.metrics.listen:
            return
        from bridge.service.prometheus import Exporter

        BridgeStatus.model_rebuild()  # here, not in the threads that answer
        self._exporter = Exporter()
        self._exporter.observe(self._read)
        self._exporter.serve(self._config.metrics.listen)
        self._metrics.tell_lags(self._exporter.scan_published)

    def _read(self) -> Reading:
        from bridge.service.prometheus import Reading  # loaded only where it is needed

        held = self._pipeline.held
        mtime_ns = held.key.mtime_ns if held else None
        return Reading(self._reporter.status(), mtime_ns, self._cluster.connected, self._pipeline.intake.waiting_files)

    async def _loop(self, step: Callable[[float], Awaitable[None]], stage: str) -> None:
        while True:
            self._progress.stamp(stage)
            await step(self._step_s)
            await asyncio.sleep(0)  # a step that had nothing to wait for must not keep the others waiting

    async def _supervise(self) -> None:
        """Tell systemd how we are: READY once, then STATUS and, on proof, WATCHDOG."""
        interval_s = min(1.0, self._watchdog_s / 4)
        ready = False
        due_s = time.monotonic()
        while True:
            self._progress.forgive_pause(time.monotonic() - due_s)
            if not ready and self._connector.attempted.is_set() and self._discovery.ready.is_set():
                ready = True
                self._export()
                self._notify.ready()
            elif not ready:
                self._notify.extend_timeout(READY_DEADLINE_S)
            if self._discovery.drains():
                self._progress.stamp("watcher")
            hung = self._progress.hung(self._patience_s)
            if hung:
                log.critical("no progress in %s: asking systemd for a restart", ", ".join(hung))
                self._notify.watchdog_trigger()
            else:
                self._notify.watchdog()
            self._notify.status(self._reporter.line())
            pause_s = interval_s if ready else 0.05
            due_s = time.monotonic() + pause_s
            await asyncio.sleep(pause_s)

    def _patience_s(self, stage: str) -> float:
        """How long a step of this stage may take when all is well or Hazelcast does not answer."""
        hazelcast = self._config.hazelcast
        largest_s = call_deadline_s(hazelcast.call_timeout_s, 2 * self._config.source.max_scan_bytes)
        longest_step_s = {
            "connector": hazelcast.connect_timeout_s * 2 + hazelcast.call_timeout_s * 2 + 4,
            "publisher": largest_s * 4 + BACKOFF_S,
            "reporter": hazelcast.call_timeout_s * 2 + BACKOFF_S,
            "history": HISTORY_STEP_S,
        }
        return max(self._watchdog_s * SILENCE_SHARE, longest_step_s.get(stage, 0))


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def serve(config: Config, reload: Callable[[], Config]) -> None:
    """Run the bridge until SIGTERM or SIGINT; on SIGHUP go on with what `reload` returns, if it is valid.

    SIGHUP may be blocked until here, so that one that comes during the start waits for its handler.
    """
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
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
        # The loop hears of it by itself; this frees the loop if it waits for somebody to read what it says.
        signal.signal(number, lambda *_: interrupt.drop_unread_output())
    loop.add_signal_handler(signal.SIGHUP, on_reload)
    log.info("scan-bridge %s starts: %s → %s", __version__, config.source.root, config.hazelcast.map)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    bridge = Bridge(config, metrics, notify)
    try:
        while not ended:
            stop.clear()
            await bridge.run(stop)
            if not ended:
                await bridge.reconfigure(reloaded[-1])
                log.info("configuration reloaded")
        await bridge.say_stopped()
    finally:
        await bridge.close()
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
