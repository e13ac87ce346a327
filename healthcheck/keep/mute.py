"""The mute: until a given time nothing is sent and nothing is restarted. Kept in a file of its own.

Its own file, so that an operator's mute takes effect at once and never waits for a check under way.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bridge.system.files import make_folder, replace_file
from healthcheck.duration import LONGEST

FILE_NAME = "mute.json"


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
        make_folder(state_dir)
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
