"""The lags as rows: each process' own, and against the floor of the same series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.lag import Lags
from bench.quantiles import quantiles

Row = dict[str, Any]


def lag_rows(lags: Sequence[Lags]) -> list[Row]:
    """A row for each."""
    floors = {(one.size, one.rate_hz): one for one in lags if one.process == "floor"}
    return [_row(one, floors.get((one.size, one.rate_hz))) for one in lags]


def raw_lags(lags: Sequence[Lags]) -> list[Row]:
    """Every lag that was measured."""
    return [asdict(one) | {"lags_ms": [round(lag, 4) for lag in one.lags_ms]} for one in lags]


def _row(result: Lags, floor: Lags | None) -> Row:
    found = quantiles(result.lags_ms)
    row = {"size": result.size, "rate_hz": result.rate_hz, "process": result.process, **asdict(found)}
    row |= {"seen": result.seen, "landed_per_s": round(result.landed / result.landing_s, 1)}
    row["cpu_ms_per_scan"] = round(result.cpu_ns / 1e6 / result.seen, 3) if result.cpu_ns else None
    if floor:
        least = quantiles(floor.lags_ms)
        row |= {
            "p50_over_floor": round(found.p50 / least.p50, 3),
            "p99_over_floor": round(found.p99 / least.p99, 3),
        }
    return row
