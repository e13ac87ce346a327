"""The mute: until a given time nothing is sent and nothing is restarted. Kept in a file of its own.

Its own file, so that an operator's mute takes effect at once and never waits for a check under way.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bridge.system.files import replace_file

FILE_NAME = "mute.json"
LONGEST = timedelta(days=7)

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class MuteError(Exception):
    """The mute was refused or could not be kept. The message says why."""


@dataclass(frozen=True, slots=True)
class Mute:
    """Silence with an end, a reason and a name."""

    until: datetime
    why: str
    by: str
    since: datetime


_ADAPTER = TypeAdapter(Mute)


def parse_duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`, `1h30m`.

    Raises:
        MuteError: it is none of these, nothing, or more than a week.
    """
    parts = re.findall(r"(\d{1,6})([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise MuteError(f"{text!r} is no duration; write 30m, 2h, 1d or 1h30m")
    duration = timedelta(seconds=sum(int(number) * _UNITS_S[unit] for number, unit in parts))
    if not timedelta(0) < duration <= LONGEST:
        raise MuteError("a mute lasts more than nothing and at most 7 days")
    return duration


def read(state_dir: Path, now: datetime) -> Mute | None:
    """The mute in force, if any. A file that cannot be read mutes nothing: silence must be asked for clearly."""
    try:
        mute = _ADAPTER.validate_json((state_dir / FILE_NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    # A clock that was stepped back must not prolong it.
    return mute if now < mute.until <= now + LONGEST else None


def write(state_dir: Path, mute: Mute) -> None:
    """Put a mute in force, in place of an earlier one.

    Raises:
        MuteError: no reason was given, or it cannot be kept.
    """
    if not mute.why.strip():
        raise MuteError("say why: --why TEXT")
    try:
        replace_file(state_dir / FILE_NAME, _ADAPTER.dump_json(mute))
    except OSError as error:
        raise MuteError(f"{state_dir / FILE_NAME}: {error.strerror}") from error


def clear(state_dir: Path) -> None:
    """End the mute, if there is one.

    Raises:
        MuteError: its file cannot be removed.
    """
    try:
        with suppress(FileNotFoundError):
            (state_dir / FILE_NAME).unlink()
    except OSError as error:
        raise MuteError(f"{state_dir / FILE_NAME}: {error.strerror}") from error
