"""Years of scans: trees with many files, made fast, to show what a large archive costs."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

DAYS = 400
# ext4 allows 65,000 links to a file.
MOST_LINKS = 50_000
AGE_S = 86_400.0


def make(root: Path, files: int, content: bytes | bytearray, days: int = DAYS) -> None:
    """Fill `root` with `files` scans, spread evenly over `days` day folders up to today's.

    They are hard links to a few whole scans, a day old: to the bridge, which looks at names and times and opens
    none that is not the newest, the same as files of their own.
    """
    today = datetime.now(UTC).date()
    source = root.parent / "archived.arrow"
    made = 0
    for day in range(days):
        folder = root / f"{today - timedelta(days=day):%Y-%m-%d}"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(files * day // days, files * (day + 1) // days):
            if made % MOST_LINKS == 0:
                _new_source(source, content)
            os.link(source, folder / f"old_{number:08d}.arrow")
            made += 1


def remove(root: Path) -> None:
    """Remove a tree with all that is in it."""
    shutil.rmtree(root)


def _new_source(source: Path, content: bytes | bytearray) -> None:
    source.unlink(missing_ok=True)
    source.write_bytes(content)
    info = source.stat()
    os.utime(source, (info.st_atime - AGE_S, info.st_mtime - AGE_S))
