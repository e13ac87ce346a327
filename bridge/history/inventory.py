"""Which scan files of the last hours lie in ROOT. Opens none of them, follows no link below ROOT.

Day folders are asked for their times only, unless something young can lie in them: an archive of years costs little.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge.folder.day_folder import list_scans
from bridge.folder.listing import is_day_name
from bridge.model.order import ScanFile

SECOND_NS = 1_000_000_000
# Day folders whose name is this much older than their scans: time zones, and a producer that is slow to turn the page.
SPARE_DAYS = 2


def list_young(root: Path, since_ns: int, *, strict: bool = False) -> list[ScanFile]:
    """The scan files modified from `since_ns` on, newest first. A day folder that cannot be read has none, the bridge
    tells of it; with `strict` that is an error.

    Raises:
        OSError: ROOT cannot be read.
    """
    found: list[ScanFile] = []
    for day in _days(root, since_ns):
        try:
            found += (file for file in _scans(root, day) if file.mtime_ns >= since_ns)
        except FileNotFoundError:  # gone meanwhile
            continue
        except OSError:
            if strict:
                raise
    found.sort(reverse=True)
    return found


def _days(root: Path, since_ns: int) -> list[str]:
    first = datetime.fromtimestamp(since_ns // SECOND_NS, UTC).date() - timedelta(days=SPARE_DAYS)
    with os.scandir(root) as entries:
        return [entry.name for entry in entries if is_day_name(entry.name) and _may_be_young(entry, first, since_ns)]


def _may_be_young(entry: os.DirEntry[str], first: object, since_ns: int) -> bool:
    try:
        info = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    changed_lately = max(info.st_mtime_ns, info.st_ctime_ns) >= since_ns
    return stat.S_ISDIR(info.st_mode) and (entry.name >= str(first) or changed_lately)


def _scans(root: Path, day: str) -> Iterator[ScanFile]:
    for name, info in list_scans(root / day):
        yield ScanFile(info.st_mtime_ns, f"{day}/{name}", info.st_size, info.st_ctime_ns)
