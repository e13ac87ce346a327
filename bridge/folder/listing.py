"""Listing ROOT: which day folders there are, and which scan files in the newest ones are new to us.

Listing never opens a scan and never follows a symbolic link below ROOT. Its cost depends on the newest day
folders only, not on the archive, and a folder whose modification time stands still is not listed again.
"""

from __future__ import annotations

import heapq
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from bridge.folder.compact_set import CompactSet
from bridge.model.order import OrderKey, ScanFile
from bridge.model.status import SourceState

DAY_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
SCAN_SUFFIX = ".arrow"

# A folder that changed so recently may change again within the same tick of its modification time.
RACY_NS = 2_000_000_000
# Files kept of one listing; with more, the bridge is so far behind that the older ones would be overtaken anyway.
MOST_FILES = 1000
# What is dated further ahead than any clock differs must not crowd out the others.
POSSIBLE_NS = 86_400 * 1_000_000_000
# A slow disk is no hang as long as entries keep coming.
PROGRESS_EVERY = 100
# Day folders out of the ordinary (late, or dated ahead) that are remembered because something happened there.
MOST_INCLUDED = 4


class Folder(NamedTuple):
    """A folder and its identity. Recreated or mounted over, it is another folder."""

    name: str  # "" is ROOT itself
    device: int
    inode: int


@dataclass(frozen=True)
class Listing:
    """What one listing of ROOT found."""

    state: SourceState
    reason: str = ""
    folders: tuple[Folder, ...] = ()  # ROOT itself and the day folders listed
    files: tuple[ScanFile, ...] = ()  # new or changed since earlier listings, newest first
    left_out: int = 0  # as new as these, but beyond MOST_FILES


@dataclass
class _Listed:
    identity: tuple[int, int]
    mtime_ns: int
    # Hashes of (name, inode): renamed over, a name is another file. Much less memory than the names; that two are equal
    # by chance is out of the question (64 bits).
    known: CompactSet = field(default_factory=CompactSet)


class _Newest:
    """The newest files of a listing, MOST_FILES at most: a folder may hold more than memory should."""

    def __init__(self, possible_ns: int) -> None:
        self._possible_ns = possible_ns
        self._heap: list[tuple[bool, ScanFile]] = []
        self.count = 0  # all that were offered

    def offer(self, file: ScanFile) -> None:
        self.count += 1
        ranked = file.mtime_ns <= self._possible_ns, file
        if len(self._heap) < MOST_FILES:
            heapq.heappush(self._heap, ranked)
        else:
            heapq.heappushpop(self._heap, ranked)

    def files(self) -> tuple[ScanFile, ...]:
        return tuple(file for _, file in sorted(self._heap, reverse=True))


def is_scan_name(name: str) -> bool:
    """Whether a file of this name is meant as a scan: `*.arrow`, not hidden (hidden ones are still being written)."""
    return name.endswith(SCAN_SUFFIX) and not name.startswith(".")


def is_day_name(name: str) -> bool:
    """Whether a folder of this name is a day folder."""
    return DAY_FOLDER.fullmatch(name) is not None


def newest_days(names: Iterable[str], today: date, count: int) -> list[str]:
    """The newest day folders, newest first.

    Folders made ahead of time must not hide today's, so the newest of all are joined by the newest that are not
    dated after tomorrow (somewhere on earth it is tomorrow already).
    """
    ordered = sorted((name for name in names if is_day_name(name)), reverse=True)
    tomorrow = (today + timedelta(days=1)).isoformat()
    possible = [name for name in ordered if name <= tomorrow]
    return sorted({*ordered[:count], *possible[:count]}, reverse=True)


def stat_scan(root: Path, path: str) -> ScanFile:
    """One scan file as it is now. Raises OSError."""
    info = os.lstat(os.path.join(root, path))
    return ScanFile(info.st_mtime_ns, path, info.st_size, info.st_ctime_ns)


class ScanRoot:
    """ROOT, and what is already known of it."""

    def __init__(self, root: Path, scan_days: int, progress: Callable[[], None]) -> None:
        """`scan_days` is how many of the newest day folders are listed; `progress` is called now and then."""
        self.root = root
        self._progress = progress
        self._scan_days = scan_days
        self._listed: dict[str, _Listed] = {}
        self._included: dict[str, None] = {}
        self._found_back: str | None = None  # the older day folder that held the newest scan at the first start

    def include(self, day: str) -> None:
        """List this day folder too, however old its name is: something happened there."""
        self._included.pop(day, None)
        self._included[day] = None
        while len(self._included) > MOST_INCLUDED:
            self._included.pop(next(iter(self._included)))

    def list_newest(self, newer_than: OrderKey | None, *, forget: bool = False) -> Listing:
        """Find scan files that earlier listings did not, newer than `newer_than`.

        With `forget` every file counts as new. Never raises: a ROOT that cannot be read is an answer.
        """
        if forget:
            self._listed.clear()
        try:
            info = os.stat(self.root)
            names = [entry.name for entry in os.scandir(self.root) if is_day_name(entry.name)]
        except FileNotFoundError:
            return Listing("missing", f"{self.root} does not exist")
        except OSError as error:
            return Listing("unreadable", f"{self.root}: {error.strerror}")
        if not names:
            return Listing("empty", f"{self.root} has no day folder", (Folder("", info.st_dev, info.st_ino),))
        return self._list_days(names, info, newer_than)

    def _list_days(self, names: list[str], root: os.stat_result, newer_than: OrderKey | None) -> Listing:
        today, possible_ns = time.gmtime(), time.time_ns() + POSSIBLE_NS
        days = newest_days(names, date(today.tm_year, today.tm_mon, today.tm_mday), self._scan_days)
        # One copy: `include` is called from the event loop while a listing runs in a thread.
        extra = dict.fromkeys((*self._included, self._found_back))
        days += [day for day in extra if day is not None and day in names and day not in days]
        folders = [Folder("", root.st_dev, root.st_ino)]
        found = _Newest(possible_ns)
        problem = ""
        older = sorted(set(names) - set(days), reverse=True) if newer_than is None else []
        for day in (*days, *older):
            if day in older and any(listed.known for listed in self._listed.values()):
                break  # at the first start the newest scan may lie further back than scan_days
            before = found.count
            try:
                identity = self._list(day, newer_than, found)
            except OSError as error:
                problem = f"{self.root / day}: {error.strerror}"
                continue
            fresh = found.count > before
            if day in older and fresh:
                self._found_back = day  # stays in sight, or its scans would be found at each listing
            if day in days or fresh:
                folders.append(Folder(day, *identity))
        for gone in self._listed.keys() - {*days, self._found_back}:
            del self._listed[gone]
        files = found.files()
        state: SourceState = "unreadable" if problem and len(folders) == 1 else "ok"
        return Listing(state, problem, tuple(folders), files, found.count - len(files))

    def _list(self, day: str, newer_than: OrderKey | None, found: _Newest) -> tuple[int, int]:
        """Offer the day folder's new files to `found`; the folder's identity. Raises OSError."""
        folder = os.path.join(self.root, day)
        info = os.lstat(folder)
        if not stat.S_ISDIR(info.st_mode):
            raise NotADirectoryError(20, "not a folder (symbolic links are not followed)")
        identity = (info.st_dev, info.st_ino)
        listed = self._listed.get(day)
        if listed is None or listed.identity != identity:
            listed = self._listed[day] = _Listed(identity, 0)
        elif listed.mtime_ns == info.st_mtime_ns:
            return identity
        self._list_new(day, folder, listed, newer_than, found)
        racy = time.time_ns() - info.st_mtime_ns < RACY_NS
        listed.mtime_ns = 0 if racy else info.st_mtime_ns
        return identity

    def _list_new(self, day: str, folder: str, listed: _Listed, newer_than: OrderKey | None, found: _Newest) -> None:
        fresh: list[int] = []
        still_there = 0
        for entry in self._scans(folder):
            identity = _identity(entry)
            if identity in listed.known:
                still_there += 1
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            fresh.append(identity)
            file = ScanFile(info.st_mtime_ns, f"{day}/{entry.name}", info.st_size, info.st_ctime_ns)
            if newer_than is None or file.key > newer_than:
                found.offer(file)
        # Only now: what a failed listing found is found again. And not all anew each time, but only if some are gone:
        # whatever takes their place is another file.
        if still_there < len(listed.known):
            there = map(_identity, self._scans(folder))
            listed.known = CompactSet(identity for identity in there if identity in listed.known)
        listed.known.update(fresh)

    def _scans(self, folder: str) -> Iterator[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number % PROGRESS_EVERY == 0:
                    self._progress()
                if is_scan_name(entry.name):
                    yield entry


def _identity(entry: os.DirEntry[str]) -> int:
    return hash((entry.name, entry.inode()))
