"""What scans an archive holds, in the order in which they were recorded. Opens none of them, follows no link."""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from bridge.folder.day_folder import list_scans
from bridge.folder.listing import is_day_name


class Recorded(NamedTuple):
    """A scan of the archive; sorts by when it was recorded."""

    mtime_ns: int
    path: str  # relative to the archive


def list_recorded(archive: Path, first: datetime | None, last: datetime | None) -> list[Recorded]:
    """The scans modified between `first` and `last` (both within; None: no limit), oldest first.

    Raises:
        OSError: a folder cannot be read.
    """
    begin_ns = _ns(first) if first else None
    end_ns = _ns(last) if last else None
    found = []
    for day in _folders(archive):
        for name, info in list_scans(archive / day):
            is_within = (begin_ns is None or info.st_mtime_ns >= begin_ns) and (
                end_ns is None or info.st_mtime_ns <= end_ns
            )
            if is_within and stat.S_ISREG(info.st_mode):
                found.append(Recorded(info.st_mtime_ns, f"{day}/{name}"))
    return sorted(found)


def _folders(archive: Path) -> list[str]:
    with os.scandir(archive) as entries:
        folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [name for name in folders if is_day_name(name)]


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
