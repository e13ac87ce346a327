"""A length of time as an operator writes it on the command line. Imports nothing that takes time."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import timedelta

from bridge.commands import arguments

LONGEST = timedelta(days=7)


def parse_duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`, `1h30m`.

    Raises:
        ArgumentTypeError: it is none of these, nothing, or more than a week.
    """
    duration = arguments.duration(text)
    if not timedelta(0) < duration <= LONGEST:
        raise ArgumentTypeError(f"{text} is not possible; give more than nothing and at most 7 days")
    return duration
