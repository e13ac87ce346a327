"""One day folder: which of its scan files are new to us. Lists it only if that can tell something new.

Never opens a scan, and asks only those for their times that are new.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bridge.folder.compact_set import CompactSet
from bridge.folder.file_system import FileStat
from bridge.model.order import ScanFile

SCAN_SUFFIX = ".arrow"
# A slow disk is no hang as long as entries keep coming.
PROGRESS_EVERY = 100
# A folder whose times were first seen so lately may change again within the same tick of them (2 s on FAT).
RACY_S = 2.0


def is_scan_name(name: str) -> bool:
    """Whether a file of this name is meant as a scan: `*.arrow`, not hidden (hidden ones are still being written)."""
    return name.endswith(SCAN_SUFFIX) and not name.startswith(".")


def list_scans(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Name and times of each scan file in the folder, links not followed; what is gone meanwhile is left out.

    Raises:
        OSError: the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if not is_scan_name(entry.name):
                continue
            try:
                info = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield entry.name, info


class DayFolder:
    """What is known of one day folder. Recreated or mounted over, it is another one."""

    def __init__(self, path: Path, info: FileStat, progress: Callable[[], None]) -> None:
        """`progress` is called now and then while a listing gets on."""
        self.device = info.device
        self.path = path
        self._inode = info.inode
        self._progress = progress
        self._times = (-1, -1)  # the folder's own mtime and ctime, in ns
        self._times_since_s = 0.0  # when these were first seen
        self._complete = False  # whether the last listing was late enough for any change since to show in the times
        self.times_lie = False  # something came that did not show in them
        # Hashes of (name, inode): renamed over, a name is another file. Much less memory than the names; that two are
        # equal by chance is out of the question (64 bits).
        self._known = CompactSet()

    def is_at(self, info: FileStat) -> bool:
        """Whether this is the folder that lies there now."""
        return (info.device, info.inode) == (self.device, self._inode)

    @property
    def has_scans(self) -> bool:
        """Whether scan files were found here."""
        return len(self._known) > 0

    def list_new(self, info: FileStat, now_s: float, *, trust_times: bool, forget: bool) -> Iterator[ScanFile]:
        """The scan files that earlier listings did not find; with `forget` all there are. Raises OSError.

        `info` is the folder as it is now. If `trust_times`, a folder is not listed again whose times stand still.
        """
        times = (info.mtime_ns, info.ctime_ns)
        stand_still = times == self._times
        if not stand_still:
            self._times, self._times_since_s, self._complete = times, now_s, False
        elif self._complete and trust_times and not forget:
            return
        new: list[int] = []
        still_there = 0
        for entry in self._scans():
            identity = _identity(entry)
            known = identity in self._known
            still_there += known
            if known and not forget:
                continue
            try:
                file = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not known:
                new.append(identity)
            yield ScanFile(file.st_mtime_ns, f"{self.path.name}/{entry.name}", file.st_size, file.st_ctime_ns)
        # Only now: what a failed listing found is found again. And not all anew each time, but only if some are gone:
        # whatever takes their place is another file.
        if still_there < len(self._known):
            there = map(_identity, self._scans())
            self._known = CompactSet(identity for identity in there if identity in self._known)
        self._known.update(new)
        self.times_lie |= bool(new) and stand_still and self._complete
        self._complete = now_s - self._times_since_s >= RACY_S

    def _scans(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self.path) as entries:
            for number, entry in enumerate(entries):
                if number % PROGRESS_EVERY == 0:
                    self._progress()
                if is_scan_name(entry.name):
                    yield entry


def _identity(entry: os.DirEntry[str]) -> int:
    return hash((entry.name, entry.inode()))
