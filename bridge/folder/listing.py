"""Listing ROOT: which day folders there are, and which scan files in the newest ones are new to us.

Listing never opens a scan and never follows a symbolic link below ROOT. Its cost depends on the newest day
folders only, not on the archive.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bridge.folder.day_folder import DayFolder
from bridge.folder.file_system import Remote, remote, stat_file
from bridge.model.order import OrderKey, ScanFile

if TYPE_CHECKING:  # the check starts a process for each look, which has no time for pydantic
    from bridge.model.status import SourceState


DAY_FOLDER = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

# Files kept of one listing; with more, the bridge is so far behind that the older ones would be overtaken anyway.
MOST_FILES = 1000
# What is dated further ahead than any clock differs must not crowd out the others.
POSSIBLE_NS = 86_400 * 1_000_000_000
# On a file system of this host, what changed later than now by more than this did so before the clock was stepped back.
STEPPED_BACK_NS = 1_000_000_000
# Day folders out of the ordinary (late, or dated ahead) that are remembered because something happened there.
MOST_INCLUDED = 4
UNKNOWN = Remote("unknown", folder_times=False)


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
    files: tuple[ScanFile, ...] = ()  # new since earlier listings, newest first
    left_out: int = 0  # as new as these, but beyond MOST_FILES
    again: tuple[ScanFile, ...] = ()  # those asked for, as they are now; not those that are gone
    clocks_ns: Mapping[str, int] = field(default_factory=dict)
    stepped_back_s: float = 0.0  # how far ahead of this host's clock the latest change lies that it has dated

    def age_s(self, file: ScanFile) -> float:
        """For how long the file has not changed at least, by the clock of the file system that it lies on."""
        return max(0, self.clocks_ns.get(file.path.partition("/")[0], 0) - file.ctime_ns) / 1e9


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
    info = stat_file(os.path.join(root, path))
    return ScanFile(info.mtime_ns, path, info.size, info.ctime_ns)


def is_linked(root: Path, path: str) -> bool:
    """Whether the file has more than one name: then it was linked into place. Raises OSError."""
    return stat_file(os.path.join(root, path)).links > 1


class ScanRoot:
    """ROOT, and what is already known of it."""

    def __init__(self, root: Path, scan_days: int, progress: Callable[[], None]) -> None:
        """`scan_days` is how many of the newest day folders are listed; `progress` is called now and then."""
        self.root = root
        self._progress = progress
        self._scan_days = scan_days
        self._days: dict[str, DayFolder] = {}
        self._included: dict[str, None] = {}
        self._found_back: str | None = None  # the older day folder that held the newest scan at the first start
        self._kinds: dict[int, Remote | None] = {}  # of file systems, by device
        self._changed_ns: dict[int, int] = {}  # the latest change seen, by device

    def include(self, day: str) -> None:
        """List this day folder too, however old its name is: something happened there."""
        self._included.pop(day, None)
        self._included[day] = None
        while len(self._included) > MOST_INCLUDED:
            self._included.pop(next(iter(self._included)))

    def list_newest(self, newer_than: OrderKey | None, again: Iterable[str] = (), *, forget: bool = False) -> Listing:
        """Find scan files that earlier listings did not, newer than `newer_than`, and see how those `again` are now.

        With `forget` every file counts as new. But after this host's clock was stepped back, none does that lay there
        before: its times are those of scans yet to come. Never raises: a ROOT that cannot be read is an answer.
        """
        try:
            info = stat_file(self.root, follow=True)
            names = [entry.name for entry in os.scandir(self.root) if is_day_name(entry.name)]
        except FileNotFoundError:
            self._days.clear()
            return Listing("missing", f"{self.root} does not exist")
        except OSError as error:
            return Listing("unreadable", f"{self.root}: {error.strerror}")
        root = Folder("", info.device, info.inode)
        if not names:
            self._days.clear()  # unmounted, perhaps: mounted again, it may be the very same folder
            return Listing("empty", f"{self.root} has no day folder", (root,))
        listing = self._list_days(names, root, newer_than, forget)
        return replace(listing, again=tuple(self._stat_again(again)))

    def _list_days(self, names: list[str], root: Folder, newer_than: OrderKey | None, forget: bool) -> Listing:
        today, possible_ns = time.gmtime(), time.time_ns() + POSSIBLE_NS
        days = newest_days(names, date(today.tm_year, today.tm_mon, today.tm_mday), self._scan_days)
        # One copy: `include` is called from the event loop while a listing runs in a thread.
        extra = dict.fromkeys((*self._included, self._found_back))
        days += [day for day in extra if day is not None and day in names and day not in days]
        folders = [root]
        found = _Newest(possible_ns)
        problem = ""
        older = sorted(set(names) - set(days), reverse=True) if newer_than is None else []
        for day in (*days, *older):
            if day in older and any(known.has_scans for known in self._days.values()):
                break  # at the first start the newest scan may lie further back than scan_days
            before = found.count
            try:
                folder = self._list_day(day, newer_than, found, forget)
            except OSError as error:
                problem = f"{self.root / day}: {error.strerror}"
                continue
            fresh = found.count > before
            if day in older and fresh:
                self._found_back = day  # stays in sight, or its scans would be found at each listing
            if day in days or fresh:
                folders.append(folder)
        for gone in self._days.keys() - {*days, self._found_back}:
            del self._days[gone]
        files = found.files()
        return Listing(
            state="unreadable" if problem and len(folders) == 1 else "ok",
            reason=problem,
            folders=tuple(folders),
            files=files,
            left_out=found.count - len(files),
            clocks_ns={folder.name: self._clock_ns(folder.device) for folder in folders[1:]},
            stepped_back_s=max((self._stepped_back_s(folder.device) for folder in folders[1:]), default=0.0),
        )

    def _list_day(self, day: str, newer_than: OrderKey | None, found: _Newest, forget: bool) -> Folder:
        """Offer the day folder's new files to `found`. Raises OSError."""
        path = self.root / day
        begin_s = time.monotonic()
        info = stat_file(path)
        if not stat.S_ISDIR(info.mode):
            raise NotADirectoryError(20, "not a folder (symbolic links are not followed)")
        known = self._days.get(day)
        if known is None or not known.is_at(info):
            known = self._days[day] = DayFolder(path, info, self._progress)
        trust_times = self._trusts_times(known)
        is_local = self._kind(known) is None
        forget = forget and not self._stepped_back_s(info.device)
        latest_ns = info.ctime_ns
        for file in known.list_new(info, begin_s, trust_times=trust_times, forget=forget):
            latest_ns = max(latest_ns, file.ctime_ns)
            if is_local and file.ctime_ns > time.time_ns() + STEPPED_BACK_NS:
                continue
            if newer_than is None or file.key > newer_than:
                found.offer(file)
        if known.times_lie:
            self._kinds[info.device] = UNKNOWN
        self._changed_ns[info.device] = max(latest_ns, self._changed_ns.get(info.device, 0))
        return Folder(day, info.device, info.inode)

    def _stat_again(self, paths: Iterable[str]) -> Iterator[ScanFile]:
        for path in paths:
            self._progress()
            with contextlib.suppress(OSError):  # gone
                yield stat_scan(self.root, path)

    def _trusts_times(self, day: DayFolder) -> bool:
        kind = self._kind(day)
        return kind is None or kind.folder_times

    def _kind(self, day: DayFolder) -> Remote | None:
        """The kind of file system that the folder lies on; it may be a mount of its own."""
        if day.device not in self._kinds:
            try:
                self._kinds[day.device] = remote(day.path)
            except OSError:
                return UNKNOWN
        return self._kinds[day.device]

    def _clock_ns(self, device: int) -> int:
        """How late it is at least by the clock that dates files there: this host's own, or by the latest it dated."""
        return time.time_ns() if self._kinds.get(device, UNKNOWN) is None else self._changed_ns[device]

    def _stepped_back_s(self, device: int) -> float:
        """How far this host's clock was stepped back at least, by what it has dated there; 0 if it was not."""
        ahead_ns = self._changed_ns.get(device, 0) - time.time_ns()
        is_local = self._kinds.get(device, UNKNOWN) is None
        return ahead_ns / 1e9 if is_local and ahead_ns > STEPPED_BACK_NS else 0.0
