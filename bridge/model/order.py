"""The order of scans: which of two is newer, and which may replace which. Pure; no I/O, no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class OrderKey(NamedTuple):
    """A scan's place in the order. Compares as a tuple: by time, then by path."""

    mtime_ns: int
    path: str


class ScanFile(NamedTuple):
    """A scan on disk, as one `stat` saw it. Two equal `ScanFile`s have the same content."""

    mtime_ns: int
    path: str  # relative to ROOT: "2026-03-24/scan_0815.arrow"
    size: int
    ctime_ns: int  # when the inode last changed: when the file landed; producers cannot set it

    @property
    def key(self) -> OrderKey:
        """This scan's place in the order."""
        return OrderKey(self.mtime_ns, self.path)


def printable(path: str) -> str:
    """A file name fit for a log line or a terminal: control characters and bytes that are no UTF-8 escaped."""
    return path if path.isprintable() else path.encode("unicode_escape").decode()


@dataclass(frozen=True)
class Held:
    """What the map holds, as far as order is concerned."""

    key: OrderKey
    published_ns: int


def is_future(mtime_ns: int, now_ns: int, max_future_s: float) -> bool:
    """Whether a modification time lies further ahead of the clock than clocks may differ."""
    return mtime_ns > now_ns + int(max_future_s * 1e9)


def supersedes(scan: ScanFile, held: Held | None, now_ns: int, max_future_s: float) -> bool:
    """Whether `scan` may replace `held`: if it is newer by (mtime, path).

    A date in the future must not wedge the bridge, so it counts for nothing:
    between one dated in the future and one with a possible date, the scan wins only if it landed after the held one
    was published, by the file system's own clock. Otherwise a misdated file would come back at every restart, and an
    old scan after a misdated one. If even the time of publishing lies in the future, a clock stepped back, and what
    is held gives way.
    """
    if held is None:
        return True
    scan_is_future = is_future(scan.mtime_ns, now_ns, max_future_s)
    held_is_future = is_future(held.key.mtime_ns, now_ns, max_future_s)
    if scan_is_future != held_is_future:
        clock_stepped_back = held_is_future and is_future(held.published_ns, now_ns, max_future_s)
        return clock_stepped_back or scan.ctime_ns > held.published_ns
    return scan.key > held.key
