"""How numbers, times and foreign text are written for people. Pure.

Foreign text (file names, journal lines) is never shown raw: control characters could forge lines or hide text.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bridge.model.order import printable

MOST_FOREIGN = 300


def duration(seconds: float) -> str:
    """`4 ms`, `1.4 s`, `75 s`, `12 min`, `3.5 h`, `2.1 d`."""
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"


def clock(moment: datetime) -> str:
    """`2026-03-24 08:15:00 UTC`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def megabytes(size: float) -> str:
    """`130 MB`; a megabyte is 10^6 bytes."""
    return f"{size / 1e6:.0f} MB"


def foreign(text: str, most: int = MOST_FOREIGN) -> str:
    """Text that others wrote, on one line, control characters escaped, cut to `most` characters."""
    shown = printable(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
