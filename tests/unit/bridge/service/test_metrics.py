"""Counters, rates and lag quantiles of the last minutes, in bounded memory."""

from __future__ import annotations

import math
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.status import Counters, LagQuantiles
from bridge.service.metrics import MOST_LAGS, WINDOW_S, Metrics


def published(metrics: Metrics, *times_s: float, lag_ms: float = 1.0) -> None:
    for time_s in times_s:
        metrics.scan_published(time_s, lag_ms)


def test_nothing_published_has_no_lag_and_no_rate() -> None:
    metrics = Metrics()
    assert metrics.lag_quantiles(100) == LagQuantiles(p50=None, p90=None, p99=None, max=None)
    assert metrics.files_per_min(100, 60) == 0
    assert metrics.counters() == Counters()


def test_counters_tell_each_its_own_number() -> None:
    metrics = Metrics(skipped=2, bad=3, retries=4, reconnects=5, overflows=6)
    published(metrics, 1.0)
    assert metrics.counters() == Counters(published=1, skipped=2, bad=3, retries=4, reconnects=5, overflows=6)


def test_files_per_minute_count_the_window_only() -> None:
    metrics = Metrics()
    published(metrics, *range(1000, 1120))  # one a second for two minutes
    assert metrics.files_per_min(1119, 60) == 60
    assert metrics.files_per_min(1119, 300) == 120 / 5
    assert metrics.files_per_min(1149, 60) == 30
    assert metrics.files_per_min(1200, 60) == 0


def test_files_per_minute_count_every_scan_of_a_burst() -> None:
    metrics = Metrics()
    published(metrics, *[1000.5] * 10_000, 1001.0)
    assert metrics.files_per_min(1001.5, 60) == 10_001
    assert metrics.files_per_min(1001.5, 300) == 10_001 / 5


def test_lag_quantiles_are_of_the_last_five_minutes() -> None:
    metrics = Metrics()
    published(metrics, 1000.0, lag_ms=9999)
    published(metrics, 1000.0 + WINDOW_S, lag_ms=1)
    assert metrics.lag_quantiles(1000.0 + WINDOW_S) == LagQuantiles(p50=1, p90=1, p99=1, max=1)
    assert metrics.lag_quantiles(999.0 + WINDOW_S).max == 9999


@pytest.mark.parametrize(
    ("count", "p50", "p90", "p99"),
    [(1, 1, 1, 1), (2, 1, 2, 2), (10, 5, 9, 10), (100, 50, 90, 99), (1000, 500, 900, 990)],
)
def test_quantiles_are_by_nearest_rank(count: int, p50: float, p90: float, p99: float) -> None:
    metrics = Metrics()
    for lag_ms in reversed(range(1, count + 1)):
        published(metrics, 1.0, lag_ms=lag_ms)
    assert metrics.lag_quantiles(1.0) == LagQuantiles(p50=p50, p90=p90, p99=p99, max=count)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50))
def test_at_least_that_share_of_the_lags_lies_at_or_below_a_quantile(lags_ms: list[int]) -> None:
    metrics = Metrics()
    for lag_ms in lags_ms:
        published(metrics, 1.0, lag_ms=lag_ms)
    quantiles = metrics.lag_quantiles(1.0)
    for percent, value in [(50, quantiles.p50), (90, quantiles.p90), (99, quantiles.p99), (100, quantiles.max)]:
        assert value in lags_ms
        assert sum(lag <= value for lag in lags_ms) >= math.ceil(percent * len(lags_ms) / 100)
        assert sum(lag < value for lag in lags_ms) < math.ceil(percent * len(lags_ms) / 100)
    assert quantiles.p50 is not None
    assert quantiles.p50 <= median(lags_ms)


def test_figures_have_microseconds_at_the_most() -> None:
    metrics = Metrics()
    published(metrics, 1.0, lag_ms=1.23456789)
    assert metrics.lag_quantiles(1.0).p50 == 1.235
    assert metrics.files_per_min(1.0, 7) == round(60 / 7, 3)


def test_memory_is_bounded_however_fast_and_long_scans_come() -> None:
    metrics = Metrics()
    published(metrics, *(second / 10 for second in range(10 * MOST_LAGS)))
    assert len(metrics._lags) == MOST_LAGS
    assert len(metrics._per_second) == WINDOW_S + 1


def test_each_lag_is_passed_on_to_who_listens() -> None:
    heard: list[float] = []
    metrics = Metrics()
    published(metrics, 1.0, lag_ms=1.5)
    metrics.tell_lags(heard.append)
    assert heard == [1.5], "of what was published before, too"
    published(metrics, 2.0, lag_ms=2.5)
    assert heard == [1.5, 2.5]
