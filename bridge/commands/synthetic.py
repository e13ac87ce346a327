"""Synthetic eigenvalue scans, as a research system would make them. Pure: same seed and times, same scans.

Each scan is the exact eigen-decomposition of a correlation matrix C. One C₀ per seed comes from a random
factor model (a market factor, four others, noise) and is decomposed once. Every scan shrinks it towards
the identity, C = (1 - s) C₀ + s I, as estimators do (Ledoit and Wolf 2004), by an intensity s that wanders
from scan to scan. C has the eigenvectors of C₀ and the eigenvalues (1 - s) λ₀ + s, so a scan costs
microseconds and needs no numpy.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import mul
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

FACTORS = 5

Format = Literal["file", "stream"]
Matrix = list[list[float]]


@dataclass(frozen=True)
class SyntheticScan:
    """One scan: a record batch for each window, a row for each asset (see `schema`)."""

    time: datetime
    batches: tuple[pa.RecordBatch, ...]

    @property
    def path(self) -> str:
        """Where it belongs under ROOT: `2026-03-24/scan_081500_000000.arrow`, in UTC."""
        return f"{self.time:%Y-%m-%d}/scan_{self.time:%H%M%S_%f}.arrow"

    def encode(self, format: Format = "file") -> bytes:
        """The bytes of an Arrow IPC file or stream."""
        sink = pa.BufferOutputStream()
        new_writer = pa.ipc.new_file if format == "file" else pa.ipc.new_stream
        with new_writer(sink, self.batches[0].schema) as writer:
            for batch in self.batches:
                writer.write_batch(batch)
        return sink.getvalue().to_pybytes()


def schema(assets: int) -> pa.Schema:
    """The columns. In each batch, row i is about asset i and about the i-th largest eigenvalue."""
    per_asset = pa.list_(pa.float64(), assets)

    def field(name: str, type: pa.DataType, description: str) -> pa.Field[Any]:
        return pa.field(name, type, nullable=False, metadata={"description": description})

    return pa.schema(
        [
            field("timestamp", pa.timestamp("ns", "UTC"), "when the scan was made; the same in every row"),
            field("window_s", pa.int32(), "length in seconds of the window of returns; the same in a batch"),
            field("asset", pa.string(), "name of asset i"),
            field("mean_correlation", pa.float64(), "mean correlation of asset i with the other assets"),
            field("correlation", per_asset, "correlation of asset i with every asset, in row order"),
            field(
                "eigenvalue",
                pa.float64(),
                "i-th largest eigenvalue; all together sum up to the number of assets",
            ),
            field(
                "eigenvector",
                per_asset,
                "its eigenvector, of length 1: a weight for every asset, in row order",
            ),
            field(
                "participation_ratio",
                pa.float64(),
                "how many assets take part in the eigenvector: 1 / Σ weight⁴",
            ),
        ],
        metadata={"producer": "scan-bridge simulate"},
    )


def ticks(start: datetime, rate: float = 0.5, burst: int = 1) -> Iterator[datetime]:
    """Times of scans, for ever: `rate` times a second, `burst` scans each time, a microsecond apart.

    Raises:
        ValueError: more than a million scans a second: their names, which have microseconds, would repeat.
    """
    if rate * burst > 1e6:
        raise ValueError(f"rate {rate:g}/s × burst {burst} is more than a million scans a second")
    for tick in itertools.count():
        for i in range(burst):
            yield start + timedelta(seconds=tick / rate, microseconds=i)


def scans(seed: int, times: Iterable[datetime], assets: int = 80, windows: int = 1) -> Iterator[SyntheticScan]:
    """A scan for each time, the same for the same arguments. About `16 * assets**2 * windows` bytes each."""
    rng = random.Random(seed)  # noqa: S311  # not for secrets
    base = factor_correlation(rng, assets)
    values, vectors = eigen(base)
    columns = schema(assets)
    names = pa.array([f"ASSET{i:03d}" for i in range(assets)])
    base_correlation = _floats(base)
    identity = _floats([[float(i == j) for j in range(assets)] for i in range(assets)])
    base_means = pa.array([(sum(row) - 1) / (assets - 1) for row in base])
    base_values = pa.array(values)
    eigenvectors = pa.FixedSizeListArray.from_arrays(_floats(vectors), type=columns.field("eigenvector").type)
    participation = pa.array([1 / sum(weight**4 for weight in vector) for vector in vectors])

    noise = 0.5
    for moment in times:
        noise = min(max(noise + rng.gauss(0, 0.02), 0.05), 1.0)
        batches = []
        for window in range(1, windows + 1):
            shrink = noise / (noise + window)  # a longer window needs less
            correlation = pc.add(pc.multiply(base_correlation, 1 - shrink), pc.multiply(identity, shrink))
            batch = [
                pa.repeat(pa.scalar(moment, columns.field("timestamp").type), assets),
                pa.repeat(pa.scalar(60 * window, pa.int32()), assets),
                names,
                pc.multiply(base_means, 1 - shrink),
                pa.FixedSizeListArray.from_arrays(correlation, type=columns.field("correlation").type),
                pc.add(pc.multiply(base_values, 1 - shrink), shrink),
                eigenvectors,
                participation,
            ]
            batches.append(pa.record_batch(batch, schema=columns))
        yield SyntheticScan(moment, tuple(batches))


def factor_correlation(rng: random.Random, assets: int) -> Matrix:
    """Correlations of assets that load on a market factor and on others, and have noise of their own."""
    loadings = []
    for _ in range(assets):
        exposures = [rng.gauss(1, 0.4), *(rng.gauss(0, 0.5) for _ in range(FACTORS - 1))]
        volatility = math.hypot(*exposures, rng.uniform(0.5, 1.5))
        loadings.append([exposure / volatility for exposure in exposures])
    return [[1.0 if a is b else _dot(a, b) for b in loadings] for a in loadings]


def eigen(matrix: Matrix) -> tuple[list[float], Matrix]:
    """Eigenvalues, largest first, and unit eigenvectors of a symmetric positive definite matrix.

    One-sided Jacobi rotations (Hestenes 1958) make the rows orthogonal; each then is an eigenvector times its
    eigenvalue. 80 × 80 takes half a second, and time grows with the cube. Signs: weights sum up to 0 or more.
    """
    rows = [list(row) for row in matrix]
    rotated = True
    while rotated:
        rotated = False
        for p, q in itertools.combinations(range(len(rows)), 2):
            x, y = rows[p], rows[q]
            xx, yy, xy = _dot(x, x), _dot(y, y), _dot(x, y)
            if abs(xy) <= 1e-12 * math.sqrt(xx * yy):
                continue
            rotated = True
            zeta = (yy - xx) / (2 * xy)
            tangent = math.copysign(1, zeta) / (abs(zeta) + math.hypot(1, zeta))
            cosine = 1 / math.hypot(1, tangent)
            sine = cosine * tangent
            rows[p] = [cosine * a - sine * b for a, b in zip(x, y, strict=True)]
            rows[q] = [sine * a + cosine * b for a, b in zip(x, y, strict=True)]
    rows.sort(key=lambda row: _dot(row, row), reverse=True)
    values = [math.hypot(*row) for row in rows]
    signed = [math.copysign(value, sum(row)) for value, row in zip(values, rows, strict=True)]
    return values, [[a / length for a in row] for length, row in zip(signed, rows, strict=True)]


def _floats(rows: Matrix) -> pa.DoubleArray:
    return pa.array(list(itertools.chain.from_iterable(rows)), pa.float64())


def _dot(a: list[float], b: list[float]) -> float:
    return float(sum(map(mul, a, b)))
