"""The order of scans: which of two is newer, and which may replace which. Pure; no I/O, no clock of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# What consumers read a time into: 64 bits with a sign. File systems know later ones (tmpfs: the year 3000 and on).
LATEST_NS = 2**63 - 1


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
        """This scan's place in the order; times that 64 bits do not hold are cut to what they do."""
        return OrderKey(max(-LATEST_NS, min(self.mtime_ns, LATEST_NS)), self.path)


def printable(path: str) -> str:
    """A file name fit for a log line or a terminal: control characters and bytes that are no UTF-8 escaped."""
    return path if path.isprintable() else path.encode("unicode_escape").decode()


@dataclass(frozen=True)
class Held:
    """What the map holds, as far as order is concerned."""

    key: OrderKey
    published_ns: int  # by the clock as it goes now: where it was stepped back, see `published_at_most`


def published_at_most(published_ns: int, now_ns: int, running_s: float, max_future_s: float) -> int:
    """When a scan was published by this bridge, by the clock as it goes now.

    If that lies in the future, the clock was stepped back since. Then all that is known is that it was published before
    this process began to run, or while it ran: what landed before the start may be older, what landed since is newer.
    """
    return now_ns - int(running_s * 1e9) if _is_ahead(published_ns, now_ns, max_future_s) else published_ns


def is_misdated(mtime_ns: int, now_ns: int, max_future_s: float) -> bool:
    """Whether no clock can have given this time: it lies before 1970, or further ahead than clocks may differ."""
    return mtime_ns < 0 or _is_ahead(mtime_ns, now_ns, max_future_s)


def how_misdated(mtime_ns: int, now_ns: int) -> str:
    """What is wrong with such a time, for a log line."""
    return "before 1970" if mtime_ns < 0 else f"{(mtime_ns - now_ns) / 1e9:.0f} s in the future"


def _is_ahead(time_ns: int, now_ns: int, max_future_s: float) -> bool:
    return time_ns > now_ns + int(max_future_s * 1e9)


def supersedes(scan: ScanFile, held: Held | None, now_ns: int, max_future_s: float) -> bool:
    """Whether `scan` may replace `held`: if it is newer by (mtime, path).

    An impossible date must not wedge the bridge, so it counts for nothing:
    between one with an impossible date and one with a possible date, the scan wins only if it landed after the held one
    was published, by the file system's own clock. Otherwise a misdated file would come back at every restart, and an
    old scan after a misdated one.
    """
    if held is None:
        return True
    held_is_misdated = is_misdated(held.key.mtime_ns, now_ns, max_future_s)
    if is_misdated(scan.mtime_ns, now_ns, max_future_s) != held_is_misdated:
        return scan.ctime_ns > held.published_ns
    return scan.key > held.key
