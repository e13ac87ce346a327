"""The newest scan as far as it is known here, and whether it may be acted upon. Never goes back, never asks anybody.

One thread, the one that talks to Hazelcast, offers what it gets; all others read, and wait here for a change.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from bridge.consumer.circumstances import Circumstances
from bridge.consumer.clock import steady_s
from bridge.consumer.errors import Closed, NoFreshScan, NoScan, Stale, StaleCause, Unreachable
from bridge.consumer.scan import Scan, age_s, replaces
from bridge.consumer.settings import Settings
from bridge.consumer.value import NotAScan, open_value
from bridge.model.order import printable

log = logging.getLogger(__name__)

# A machine that was suspended wakes up without its timers having run on, so none is longer than this.
LONGEST_WAIT_S = 1.0


class Newest:
    """What every part of a consumer shares.

    Attributes:
        changed: hold it to wait, or to hand out a scan once only.
        closing: set once the consumer is being closed.
    """

    def __init__(self, settings: Settings, circumstances: Circumstances) -> None:
        self._settings = settings
        self._circumstances = circumstances
        self._decided_by_s = steady_s() + settings.connect_timeout_s
        self._where = f"{settings.map}/{settings.scan_key} of {settings.address}"
        self._scan: Scan | None = None
        self._is_first = True
        self._unusable = "holds no scan yet"
        self._warned = ""
        self._pid = os.getpid()
        self.closing = threading.Event()
        self.changed = threading.Condition()

    def state(self) -> Scan | NoFreshScan | None:
        """The newest scan if it is fresh, else why there is none; None while the first answer is still waited for.

        Takes no lock and waits for nothing.
        """
        now_s, scan = steady_s(), self._scan
        if scan is not None:
            if scan.age_s <= self._settings.max_age_s:
                return scan
            if self._comes_late(scan, now_s):
                return Stale(scan, StaleCause.COMES_LATE)
            if not self._circumstances.is_known and now_s < self._decided_by_s:
                return None  # it is about to be known why
            return Stale(scan, *self._circumstances.cause(scan, now_s))
        away = self._circumstances.away(now_s)
        if away is None:
            return NoScan(f"{self._where} {self._unusable}")
        return None if now_s < self._decided_by_s else Unreachable(f"Hazelcast {self._settings.address}: {away}")

    def without_history(self) -> str:
        """The bridges that are alive, if there are any and none of them keeps a history; else nothing."""
        return self._circumstances.without_history(steady_s())

    def patience_s(self, state: Scan | NoFreshScan | None) -> float:
        """For how long nothing can change from `state` but by what Hazelcast says."""
        if isinstance(state, Scan):
            until_s = self._settings.max_age_s - state.age_s
        else:
            until_s = self._decided_by_s - steady_s() if state is None else LONGEST_WAIT_S
        return min(max(0.0, until_s), LONGEST_WAIT_S)

    def wait(self, state: Scan | NoFreshScan | None) -> None:
        """Wait until something else than `state` may be true. Call with `changed` held."""
        self.changed.wait(self.patience_s(state))

    def check_open(self) -> None:
        """Raises `Closed` if the consumer was closed, or belongs to another process."""
        if self.closing.is_set():
            raise Closed("the consumer was closed")
        if os.getpid() != self._pid:  # a fork has the memory, but neither the threads nor the locks
            raise Closed("the consumer belongs to the process that this one was forked from; make one after the fork")

    def offer(self, value: object, asked_s: float | None = None) -> None:
        """Take over what the map held: by an event, or as the answer to a question asked at `asked_s`."""
        now_s, now_ns, held = steady_s(), time.time_ns(), self._scan
        if value is None:
            self._unusable = "holds no scan yet"
            return
        try:
            opened = open_value(value)
            if not replaces(opened.provenance, held.provenance if held else None, now_ns):
                if held and asked_s and held.received_s < asked_s and opened.provenance.held.key != held.key:
                    self._warn(
                        f"{self._where} went back to {printable(opened.provenance.source)}, "
                        f"older than {printable(held.provenance.source)}; it is left out"
                    )
                return
            table = opened.read()
        except NotAScan as error:
            self._unusable = f"holds no scan: {error}"
            self._warn(f"{self._where}: {error}; it is left out")
            return
        self._is_first = held is None
        with self.changed:
            self._scan = Scan(table, opened.provenance, 0, now_s, age_s(opened.provenance, now_ns))
            self.changed.notify_all()

    def looked(self) -> None:
        """The map was asked and what it holds was offered, or the bridges: somebody may wait for just that."""
        with self.changed:
            self.changed.notify_all()

    def close(self) -> None:
        """Let all who wait go."""
        with self.changed:
            self.closing.set()
            self.changed.notify_all()

    def _comes_late(self, scan: Scan, now_s: float) -> bool:
        """Whether it had been too old already when it came just now, after others."""
        most_s = self._settings.max_age_s
        return not self._is_first and scan.received_age_s > most_s and now_s - scan.received_s <= most_s

    def _warn(self, text: str) -> None:
        if text != self._warned:
            self._warned = text
            log.warning("%s", text)
