"""`scan-bridge-health serve`: keeps the deployments of a host's bridges served. The main thread watches, obeys signals.

WATCHDOG=1 is sent only while the serving thread makes progress: it polls the server or tries to reach it, and no check
outlives its deadline. An outage of the Prefect server is no hang, however long it lasts.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.system.malloc import share_one_arena
from bridge.system.sd_notify import Notify
from healthcheck.config.settings import load
from healthcheck.observe.beside import load_all
from healthcheck.prefect import environment

if TYPE_CHECKING:
    from healthcheck.prefect.deployment import Progress, Service

STALLED_S = 240.0  # three polls of a server that accepts and never answers, with their retries, take less
CHECK_S = 180.0  # the flow's own deadline is two minutes
STOP_S = 5.0


def serve(config_path: Path) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status.

    Raises:
        bridge.config.ConfigError: the configuration cannot be used.
    """
    share_one_arena()
    bridges = len(load_all(config_path).configs)
    if not bridges:
        load(config_path)  # says why
    os.environ["SCAN_BRIDGE_CONFIG"] = str(config_path.absolute())  # the flow's processes inherit it
    environment.settle(config_path)
    from healthcheck.prefect.deployment import Service, most_at_once
    from healthcheck.prefect.run_process import RunProcesses

    processes = RunProcesses(most_at_once(bridges))  # before there is any thread, and any handler of a signal
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    service = Service(config_path, processes)
    thread = threading.Thread(target=service.run, name="serve", daemon=True)
    thread.start()
    notify = Notify()
    notify.ready()
    _watch(service, thread, stop, notify)
    notify.stopping()
    service.stop()
    thread.join(STOP_S)
    processes.stop()  # a check that could not be cancelled in good order, because the server is away
    return 0 if stop.is_set() or service.is_superseded else 1


class Liveness:
    """Whether the serving thread makes progress, judged from what it shows at each look. Pure; the clock is given."""

    def __init__(self, now_s: float) -> None:
        self._progress: Progress | None = None
        self._progress_s = now_s
        self._idle_s = now_s

    def is_alive(self, progress: Progress, is_checking: bool, now_s: float) -> bool:
        """Take in one look; whether all is well. `now_s` is a monotonic clock's."""
        if progress != self._progress:
            self._progress, self._progress_s = progress, now_s
        if not is_checking:
            self._idle_s = now_s
        return now_s - self._progress_s < STALLED_S and now_s - self._idle_s < CHECK_S


def _watch(service: Service, thread: threading.Thread, stop: threading.Event, notify: Notify) -> None:
    """Report and ping until told to stop, or until there is nothing left to watch."""
    liveness = Liveness(time.monotonic())
    while thread.is_alive() and not stop.wait(1.0):
        if liveness.is_alive(service.progress, service.is_checking, time.monotonic()):
            notify.watchdog()
            notify.status(service.status)
        else:
            notify.status(f"hangs, so the watchdog is no longer told otherwise; before: {service.status}")
