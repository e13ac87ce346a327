"""Counts and times of the running bridge, kept in bounded memory however fast scans come.

Written by the event loop, and read by the Prometheus server's thread too: readers copy a deque in one step.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.model.status import Counters, LagQuantiles

WINDOW_S = 300
# Enough for exact quantiles up to 13 scans a second; beyond, the newest ones of the window stand for it.
MOST_LAGS = 4096


@dataclass
class Metrics:
    """Counters since the start, and the last five minutes. `now_s` is monotonic seconds throughout."""

    published: int = 0
    skipped: int = 0
    bad: int = 0
    retries: int = 0
    reconnects: int = 0
    overflows: int = 0
    _on_lag: Callable[[float], None] | None = None
    _lags: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST_LAGS))
    _per_second: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=WINDOW_S + 1))

    def scan_published(self, now_s: float, lag_ms: float) -> None:
        """A scan reached the map, `lag_ms` after it landed on disk."""
        self.published += 1
        self._lags.append((now_s, lag_ms))
        if self._on_lag is not None:
            self._on_lag(lag_ms)
        second = int(now_s)
        if self._per_second and self._per_second[-1][0] == second:
            self._per_second[-1] = (second, self._per_second[-1][1] + 1)
        else:
            self._per_second.append((second, 1))

    def tell_lags(self, on_lag: Callable[[float], None]) -> None:
        """Tell each lag from now on, and at once those of the scans that are published already."""
        for _, lag_ms in self._lags:
            on_lag(lag_ms)
        self._on_lag = on_lag

    def counters(self) -> Counters:
        """The counters as the status shows them."""
        return Counters(
            published=self.published,
            skipped=self.skipped,
            bad=self.bad,
            retries=self.retries,
            reconnects=self.reconnects,
            overflows=self.overflows,
        )

    def files_per_min(self, now_s: float, window_s: int) -> float:
        """Scans published per minute, over the last `window_s` seconds (at most WINDOW_S)."""
        count = sum(count for second, count in tuple(self._per_second) if second > now_s - window_s)
        return round(count * 60 / window_s, 3)

    def lag_quantiles(self, now_s: float) -> LagQuantiles:
        """Quantiles (nearest rank) of the lag over the last WINDOW_S seconds."""
        lags = sorted(lag for at_s, lag in tuple(self._lags) if at_s > now_s - WINDOW_S)
        if not lags:
            return LagQuantiles()

        def quantile(percent: int) -> float:
            rank = math.ceil(percent * len(lags) / 100)
            return round(lags[rank - 1], 3)

        return LagQuantiles(p50=quantile(50), p90=quantile(90), p99=quantile(99), max=quantile(100))
