"""Quantiles by nearest rank: each is a value that was measured, never one in between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Quantiles:
    """Of `n` values."""

    n: int
    p50: float
    p90: float
    p99: float
    max: float


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def quantiles(values: Sequence[float]) -> Quantiles:
    """All of them, rounded to a thousandth."""
    return Quantiles(
        len(values),
        *(round(quantile(values, share), 3) for share in (0.5, 0.9, 0.99, 1.0)),
    )
