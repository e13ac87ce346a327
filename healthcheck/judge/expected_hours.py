"""Expected hours: whether scans are expected now, and since when. Pure; correct across changes of daylight saving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from healthcheck.config.settings import DAYS, Window

# Windows that follow one another without a gap are one. Who expects scans for longer without a gap needs no windows.
MOST_JOINED = 32


def expected_for_s(windows: Sequence[Window], now: datetime) -> float | None:
    """For how many seconds scans have been expected without a gap; None outside the windows.

    Without windows scans are always expected: infinity.
    """
    if not windows:
        return float("inf")
    opened = min(_openings(windows, now), default=None)
    if opened is None:
        return None
    for _ in range(MOST_JOINED):
        before = min(_openings(windows, opened - timedelta(microseconds=1)), default=opened)
        if before >= opened:
            break
        opened = before
    return (now - opened).total_seconds()


def _openings(windows: Sequence[Window], moment: datetime) -> Iterator[datetime]:
    """When each window that is open at `moment` opened (UTC)."""
    for window in windows:
        zone = ZoneInfo(window.time_zone)
        today = moment.astimezone(zone).date()
        for day in (today, today - timedelta(days=1)):
            if DAYS[day.weekday()] not in window.days:
                continue
            last_day = day if window.to > window.from_ else day + timedelta(days=1)
            # Times of one zone compare by their wall clock, which is wrong when that is turned back: hence UTC.
            opens = datetime.combine(day, window.from_, zone).astimezone(UTC)
            closes = datetime.combine(last_day, window.to, zone).astimezone(UTC)
            if opens <= moment < closes:
                yield opens
