"""Scans to measure with: valid ones of a wanted size, each with a number inside that any reader of the value finds."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from bridge.commands import synthetic

MARK = b"scan-number-"
DIGITS = 12
# It is the name of the first asset, near the head of a file and of a stream; no need to search megabytes of values.
HEAD_BYTES = 16_384

_ASSETS, _SMALL_ASSETS = 77, 22


class Template:
    """One scan of about `size` bytes, given another number for each use."""

    def __init__(self, size: int) -> None:
        assets = _ASSETS if size >= 100_000 else _SMALL_ASSETS
        windows = max(1, round(size / 100_000))
        scan = next(synthetic.scans(1, [datetime.now(UTC)], assets, windows))
        first, *others = scan.batches
        names = first.column("asset").to_pylist()
        names[0] = (MARK + b"0" * DIGITS).decode()
        first = first.set_column(first.schema.get_field_index("asset"), first.schema.field("asset"), pa.array(names))
        self._content = bytearray(synthetic.SyntheticScan(scan.time, (first, *others)).encode())
        self._at = self._content.index(MARK) + len(MARK)

    def __len__(self) -> int:
        return len(self._content)

    def numbered(self, number: int) -> bytearray:
        """The scan with this number. The same buffer each time."""
        self._content[self._at : self._at + DIGITS] = b"%0*d" % (DIGITS, number)
        return self._content


def number_in(value: Any) -> int:
    """The number inside a file's content or a value in the map; 0 if it has none."""
    at = value.find(MARK, 0, HEAD_BYTES) if isinstance(value, bytearray) else -1
    return int(value[at + len(MARK) : at + len(MARK) + DIGITS]) if at >= 0 else 0


def name_of(number: int) -> str:
    """The file name of the scan with this number; names sort as numbers do."""
    return f"scan_{number:0{DIGITS}d}.arrow"


def number_of(name: str) -> int:
    """The reverse of `name_of`."""
    return int(name[5 : 5 + DIGITS])


class Folder:
    """ROOT with today's day folder, and a place beside it where scans are written before they are renamed into it.

    So the rename is the only event the measured process gets: none that comes earlier wakes it in advance.
    """

    def __init__(self, path: Path) -> None:
        self.root = path / "root"
        self.day = self.root / f"{datetime.now(UTC):%Y-%m-%d}"
        self._staging = path / "staging"
        self.day.mkdir(parents=True, exist_ok=True)
        self._staging.mkdir(exist_ok=True)

    def stage(self, number: int, content: bytearray) -> None:
        """Write a scan, for `land` to rename."""
        (self._staging / name_of(number)).write_bytes(content)

    def land(self, number: int, clock: Any) -> int:
        """Rename a staged scan into the day folder; the clock as it was just before."""
        name = name_of(number)
        source, target = os.path.join(self._staging, name), os.path.join(self.day, name)
        landed = int(clock())
        os.rename(source, target)
        return landed

    def write(self, number: int, content: bytearray, clock: Any) -> int:
        """Write a scan under its own name; the clock as it was just before the close."""
        descriptor = os.open(self.day / name_of(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.write(descriptor, content)
        closed = int(clock())
        os.close(descriptor)
        return closed

    def clear(self) -> None:
        """Remove all scans."""
        for entry in os.scandir(self.day):
            os.unlink(entry.path)
