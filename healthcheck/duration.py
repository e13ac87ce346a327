"""A length of time as an operator writes it on the command line. Imports nothing that takes time."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import timedelta

LONGEST = timedelta(days=7)

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`, `1h30m`.

    Raises:
        ArgumentTypeError: it is none of these, nothing, or more than a week.
    """
    parts = re.findall(r"(\d{1,6})([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ArgumentTypeError(f"{text!r} is no duration; write 30m, 2h, 1d or 1h30m")
    duration = timedelta(seconds=sum(int(number) * _UNITS_S[unit] for number, unit in parts))
    if not timedelta(0) < duration <= LONGEST:
        raise ArgumentTypeError(f"{text} is not possible; give more than nothing and at most 7 days")
    return duration
