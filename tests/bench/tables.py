"""The results as tables on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from bench.plot import rate_text, size_text

GOALS = {
    "lag_p50_over_floor": "≤ 1.5",
    "lag_p99_over_floor": "≤ 3",
    "rss_mb": "< 90",
    "peak_over_floor": "",
    "consumer_p50_over_bare": "≤ 1.3",
    "idle_cpu_pct": "< 0.3",
    "start_ms": "",
    "archive_ratio": "1",
    "check_cpu_s": "≤ 0.5",
    "history_p50_ratio": "≤ 1.2",
    "history_p99_ratio": "≤ 1.2",
    "history_per_s": "≥ 300",
}


def show(console: Console, results: dict[str, Any]) -> None:
    """Everything that was measured."""
    console.print(_facts(results["host"]))
    console.print(_lags(results["lag"]))
    for title, rows in results["tables"].items():
        console.print(rows_table(title, rows))
    console.print(_ratios(results["summary"]))


def _facts(facts: dict[str, str]) -> Table:
    table = Table(title="machine", show_header=False)
    for name, value in facts.items():
        table.add_row(name, value)
    return table


def _lags(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="lag: from the rename to an independent client (ms)")
    table.add_column("scan")
    table.add_column("rate")
    table.add_column("by")
    for name in ("n", "seen", "p50", "p90", "p99", "max", "p50 × floor", "p99 × floor", "CPU ms/scan"):
        table.add_column(name, justify="right")
    before = None
    for row in rows:
        group = (row["size"], row["rate_hz"])
        if before not in (None, group):
            table.add_section()
        before = group
        table.add_row(
            size_text(row["size"]),
            rate_text(row["rate_hz"]),
            row["process"],
            str(row["n"]),
            str(row["seen"]),
            *(f"{row[name]:.2f}" for name in ("p50", "p90", "p99", "max")),
            *(f"{row[name]:.2f}" if name in row else "" for name in ("p50_over_floor", "p99_over_floor")),
            f"{row['cpu_ms_per_scan']:.2f}" if row["cpu_ms_per_scan"] is not None else "",
        )
    return table


def rows_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows of the same keys, which are the headings."""
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name, justify="right" if isinstance(rows[0][name], int | float) else "left")
    for row in rows:
        table.add_row(*(f"{value:.5g}" if isinstance(value, float) else str(value) for value in row.values()))
    return table


def _ratios(summary: dict[str, float]) -> Table:
    table = Table(title="in short")
    for name in ("figure", "value", "goal"):
        table.add_column(name)
    for name, value in summary.items():
        table.add_row(name, f"{value:g}", GOALS[name])
    return table
