"""The guard against stale data: a thread with a clock. It must never need anything from Hazelcast to trip."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from bridge.consumer.errors import NoFreshScan
from bridge.consumer.newest import Newest
from bridge.consumer.scan import Scan

log = logging.getLogger(__name__)

REPEAT_S = 60.0


class Callback:
    """A function of the strategy's: what it raises is logged, once a minute at most, and goes no further."""

    def __init__(self, name: str, function: Callable[[Any], object]) -> None:
        self._name = name
        self._function = function
        self._failed = ""
        self._logged_s = 0.0

    def __call__(self, argument: object) -> None:
        try:
            self._function(argument)
        except Exception as error:  # whatever a strategy raises
            failed, now_s = repr(error), time.monotonic()
            if failed != self._failed or now_s - self._logged_s >= REPEAT_S:
                log.exception("%s raised an exception", self._name)
                self._failed, self._logged_s = failed, now_s


class Guard:
    """Says when the newest scan turns stale, and when there is a fresh one again.

    Attributes:
        fresh: set while there is a scan that may be acted upon.
        stale: set while there is none. Neither is set until the first answer, or the deadline for it.
    """

    def __init__(self, newest: Newest, on_stale: Callback | None, on_fresh: Callback | None) -> None:
        """Either is called in a thread of its own, so that one that takes long holds up only the next."""
        self._newest = newest
        self._on_stale = on_stale
        self._on_fresh = on_fresh
        self._changes: queue.SimpleQueue[Scan | NoFreshScan | None] = queue.SimpleQueue()
        self.fresh = threading.Event()
        self.stale = threading.Event()

    def threads(self) -> list[threading.Thread]:
        """What has to run. Ends when `newest` is closed."""
        threads = [threading.Thread(target=self._watch, name="scan-consumer-guard", daemon=True)]
        if self._on_stale or self._on_fresh:
            threads.append(threading.Thread(target=self._tell, name="scan-consumer-guard-tells", daemon=True))
        return threads

    def _watch(self) -> None:
        newest = self._newest
        while not newest.closing.is_set():
            with newest.changed:
                state = newest.state()
                if isinstance(state, Scan):
                    self._note(state, self.fresh, self.stale)
                else:
                    if state is not None:
                        self._note(state, self.stale, self.fresh)
                    newest.wait(state)
            if isinstance(state, Scan):  # until it is too old nothing but a newer one can come, which changes nothing
                newest.closing.wait(newest.patience_s(state))
        self._changes.put(None)

    def _note(self, state: Scan | NoFreshScan, now: threading.Event, before: threading.Event) -> None:
        if not now.is_set():
            before.clear()
            now.set()
            self._changes.put(state)

    def _tell(self) -> None:
        while (state := self._changes.get()) is not None:
            callback = self._on_fresh if isinstance(state, Scan) else self._on_stale
            if callback is not None:
                callback(state)
