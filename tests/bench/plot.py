"""The picture: how long scans of each size took to be seen, for each way of getting them there, side by side."""

from __future__ import annotations

import sys
from math import log10
from pathlib import Path
from typing import Any

from bench.lag import Lags
from bench.plan import FLAT_OUT
from bench.quantiles import quantile

PACKAGES = Path(sys.prefix) / "plot"  # see scripts/setup.sh
COLOURS = {
    "floor": "#9aa0a6",
    "floor-swap": "#5f6368",
    "bridge": "#1a73e8",
    "loop-0.1s": "#f9ab00",
    "loop-1s": "#d93025",
}


def draw(results: list[Lags], path: Path, caption: str) -> None:
    """One panel for each size and rate; each way's lags as a violin on one logarithmic scale, with p50 and p99."""
    sys.path.append(str(PACKAGES))  # after all else: numpy is not for what is measured
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = [result for result in results if result.process in COLOURS]
    rates = sorted({result.rate_hz for result in results}, key=lambda rate: rate or float("inf"))
    sizes = sorted({result.size for result in results})
    figure, axes = pyplot.subplots(
        len(rates), len(sizes), figsize=(1.5 + 3.2 * len(sizes), 1.2 + 3.4 * len(rates)), sharey=True, squeeze=False
    )
    for row, rate in zip(axes, rates, strict=True):
        for axis, size in zip(row, sizes, strict=True):
            panel = [result for result in results if (result.size, result.rate_hz) == (size, rate)]
            axis.set_visible(bool(panel))
            _violins(axis, panel)
            axis.set_title(f"{size_text(size)}, {rate_text(rate)}", fontsize=10)
        row[0].set_ylabel("lag in ms")
    figure.suptitle("From the rename of a scan to an independent client that has it:\np50 (—) and p99 (·)", fontsize=11)
    figure.text(0.01, 0.005, caption, fontsize=6, color="#5f6368", wrap=True)
    figure.tight_layout(rect=(0, 0.02, 1, 0.99))
    figure.savefig(path, dpi=130)


def _violins(axis: Any, panel: list[Lags]) -> None:
    for at, result in enumerate(panel):
        colour = COLOURS[result.process]
        logs = [log10(lag) for lag in result.lags_ms]
        for body in axis.violinplot([logs], [at], widths=0.85, showextrema=False)["bodies"]:
            body.set_facecolor(colour)
            body.set_alpha(0.6)
        p50, p99 = (quantile(result.lags_ms, share) for share in (0.5, 0.99))
        axis.plot([at - 0.3, at + 0.3], [log10(p50)] * 2, color="black", linewidth=1.2)
        axis.plot([at], [log10(p99)], ".", color="black")
        axis.annotate(
            f"{p50:.3g}" if p50 < 100 else f"{p50:.0f}", (at, log10(p50)), fontsize=7, ha="center", va="bottom"
        )
    ticks = range(-1, 5)
    axis.set_yticks(list(ticks), [f"{10.0**tick:g}" for tick in ticks])
    axis.set_xticks(range(len(panel)), [result.process for result in panel], fontsize=8)
    axis.grid(axis="y", alpha=0.3)


def size_text(size: int) -> str:
    """`102274` as `102 kB`."""
    return f"{size / 1e6:.3g} MB" if size >= 999_500 else f"{size / 1e3:.3g} kB"


def rate_text(rate_hz: float) -> str:
    """`10.0` as `10/s`."""
    return "flat out" if rate_hz == FLAT_OUT else f"{rate_hz:g}/s"
