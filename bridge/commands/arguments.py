"""Types of arguments on the command line. What raises ValueError or ArgumentTypeError is wrong usage."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def positive_number(text: str) -> float:
    """A number above 0, at most a million."""
    value = float(text)
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1000000")
    return value


def positive_count(text: str) -> int:
    """1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def folder(text: str) -> Path:
    """The path of a folder to write into."""
    if not text:
        raise argparse.ArgumentTypeError("it names no folder; write . for this one")
    return Path(text)


def moment(text: str) -> datetime:
    """A time as ISO 8601 has it; UTC, if it does not say."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 2026-03-24T08:00") from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`, `1h30m`."""
    parts = re.findall(r"(\d{1,6})([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 30m, 2h, 1d or 1h30m")
    return timedelta(seconds=sum(int(number) * _UNITS_S[unit] for number, unit in parts))
