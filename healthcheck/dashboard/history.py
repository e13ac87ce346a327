"""What the dashboard's plots show: the last hours in steps, in memory only and of bounded size. Pure; no I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

STEP_S = 15
KEPT_S = 6 * 3600


@dataclass(slots=True)
class Step:
    """One step of time. None: not known, or for the lag, no scan came."""

    start_s: int
    age_s: float | None = None  # the highest
    lag_ms: float | None = None  # the highest
    per_min: float | None = None  # the last


class PlotHistory:
    """Fed every second, or every few while nobody looks; keeps the worst of each step. Not thread-safe."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque(maxlen=KEPT_S // STEP_S)
        self._scan: str | None = None

    def add(self, now_s: float, age_s: float | None, scan: tuple[str, float] | None, per_min: float | None) -> None:
        """Take in one look.

        Args:
            now_s: seconds since the epoch. After the clock was stepped back, nothing is added until it has caught up.
            scan: the last published scan, by any name of its own, and its lag in ms, which counts once.
        """
        start_s = int(now_s // STEP_S * STEP_S)
        if self._steps and start_s < self._steps[-1].start_s:
            if self._steps[-1].start_s - start_s <= KEPT_S:
                return
            self._steps.clear()
        if not self._steps or start_s > self._steps[-1].start_s:
            self._steps.append(Step(start_s))
        step = self._steps[-1]
        step.age_s = _highest(step.age_s, age_s)
        step.per_min = per_min
        if scan is not None and scan[0] != self._scan:
            if self._scan is not None:  # the first one seen may be old
                step.lag_ms = _highest(step.lag_ms, scan[1])
            self._scan = scan[0]

    def document(self) -> dict[str, Any]:
        """As the page reads it: parallel lists with a place for every step; what was not looked at is null."""
        if not self._steps:
            return {"start_s": 0, "step_s": STEP_S, "age_s": [], "lag_ms": [], "per_min": []}
        end_s = self._steps[-1].start_s
        start_s = max(self._steps[0].start_s, end_s - KEPT_S + STEP_S)
        by_start = {step.start_s: step for step in self._steps}
        steps = [by_start.get(second) or Step(second) for second in range(start_s, end_s + 1, STEP_S)]
        return {
            "start_s": start_s,
            "step_s": STEP_S,
            "age_s": [_rounded(step.age_s) for step in steps],
            "lag_ms": [_rounded(step.lag_ms) for step in steps],
            "per_min": [_rounded(step.per_min) for step in steps],
        }


def _highest(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
