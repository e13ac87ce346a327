"""Proof of progress: when each stage last got on, and which of them hangs. No I/O; the clock is monotonic.

A stage is a loop of short steps, and stamps each one. Hazelcast or ROOT being away is no hang: steps return then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

# The main loop comes late by milliseconds; by more than this, the process did not run.
PAUSE_S = 1.0


class Progress:
    """The stamps of all stages. `stamp` may be called from any thread."""

    def __init__(self) -> None:
        self._stamped_s: dict[str, float] = {}

    def begin(self) -> None:
        """Forget earlier stamps: the stages start."""
        self._stamped_s.clear()

    def stamp(self, stage: str) -> None:
        """The stage has got on."""
        self._stamped_s[stage] = time.monotonic()

    def forgive_pause(self, late_s: float) -> None:
        """The main loop was late by so much: nothing ran (SIGSTOP, a stolen processor), so nothing is to blame.

        A main loop that hangs by itself sends no WATCHDOG=1, which is systemd's to judge.
        """
        if late_s > PAUSE_S:
            log.warning("the whole process was paused for %.1f s", late_s)
            self._stamped_s = {stage: stamped_s + late_s for stage, stamped_s in self._stamped_s.items()}

    def hung(self, patience_s: Callable[[str], float]) -> list[str]:
        """The stages silent for longer than `patience_s` grants them."""
        now_s = time.monotonic()
        stamps = tuple(self._stamped_s.items())
        return [stage for stage, stamped_s in stamps if now_s - stamped_s > patience_s(stage)]
