"""What the history still lacks, and in which order it is made good: the newest first. Pure; no I/O, no clock.

A file is named by its path, size and times as one stat saw them: rewritten, it is another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from bridge.folder.compact_set import CompactSet
from bridge.model.history import history_key, read_history_key
from bridge.model.order import ScanFile

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0


@dataclass
class Wanted:
    """A file that the history lacks, as far as known."""

    file: ScanFile
    since_s: float  # when it was first seen like this
    due_s: float
    tries: int = 0
    in_hand: bool = False


class Ledger:
    """Compares what lies on disk with what stands in the map."""

    def __init__(self, quiet_s: float, settle_s: float, checked_ns: int = 0) -> None:
        """`quiet_s`, `settle_s`: see section `[source]` of the configuration; `checked_ns` of an earlier ledger."""
        self._quiet_s = quiet_s
        self._settle_s = settle_s
        # What changed on disk before this stands in the map as it is on disk, or is no scan.
        self.checked_ns = checked_ns
        self._listed_ns = 0  # the latest change that the last listing knew
        self.lost_again = 0  # scans that were put there and are gone, though the comparison before had found such too
        self._losing_since_s: float | None = None
        self._kept = CompactSet()  # hashes of files that stand in the map, of their keys and of their paths
        self._bad = CompactSet()  # hashes of files that are no scans
        self._wanted: dict[str, Wanted] = {}  # by path
        # Two heaps of those not in hand. What is no more wanted like that may still stand there, and is left out.
        self._due: list[tuple[float, str]] = []  # when, path
        self._ready: list[tuple[int, str]] = []  # the newest first: time negated, path

    # ---- what is known

    def compared(self, files: Iterable[ScanFile], keys: Collection[str], now_s: float, since_ns: int = 0) -> None:
        """These files lie on disk, these keys stand in the map, whatever was known before. Files older than `since_ns`
        may have been kept for their time.
        """
        files = tuple(files)
        kept, lost = CompactSet(), 0
        for file in files:
            key, was_kept = history_key(file.key), hash(file) in self._kept
            if key not in keys:
                lost += was_kept and file.mtime_ns >= since_ns
            elif was_kept or not self._may_differ(file, key):
                kept.update((hash(file), hash(key)))
        self.lost_again = 0 if self._losing_since_s is None else lost
        self._losing_since_s = (self._losing_since_s or now_s) if lost else None
        kept.update(hash(scan.path) for scan in map(read_history_key, keys) if scan is not None)
        self._kept = kept
        self._bad = CompactSet(hash(file) for file in files if hash(file) in self._bad)

    def _may_differ(self, file: ScanFile, key: str) -> bool:
        """Whether the value may be that of the file before it was rewritten, whoever put it there."""
        return hash(key) in self._kept or file.ctime_ns >= self.checked_ns

    def found(self, files: Iterable[ScanFile], listed_s: float) -> None:
        """These lie on disk; others, but for those that came since the listing began, are gone or too old."""
        files = tuple(files)
        before = self._wanted
        self._wanted = {path: wanted for path, wanted in before.items() if wanted.since_s >= listed_s}
        for file in files:
            if file.path not in self._wanted and not self._is_settled(file):
                former = before.get(file.path)
                same = former is not None and former.file == file
                self._wanted[file.path] = former if former and same else self._new(file, listed_s)
        waiting = [wanted for wanted in self._wanted.values() if not wanted.in_hand]
        self._due = [(wanted.due_s, wanted.file.path) for wanted in waiting]
        self._ready = []
        heapify(self._due)
        # Of what was listed before. A file that came since is no older than that, or in this listing.
        settled_ns = min([self._listed_ns, *(wanted.file.ctime_ns for wanted in self._wanted.values())])
        self.checked_ns = max(self.checked_ns, settled_ns)
        self._listed_ns = max((file.ctime_ns for file in files), default=0)

    def closed(self, file: ScanFile, now_s: float) -> None:
        """The writer of this file is done with it."""
        former = self._wanted.get(file.path)
        if self._is_settled(file) or (former is not None and former.file == file and former.in_hand):
            return
        self._put_off(Wanted(file, now_s, now_s))

    def changed(self, file: ScanFile, now_s: float) -> None:
        """It was about to be read, and is this by now."""
        self._put_off(self._new(file, now_s))

    def _new(self, file: ScanFile, now_s: float) -> Wanted:
        return Wanted(file, now_s, now_s + self._quiet_s)

    def _is_settled(self, file: ScanFile) -> bool:
        return hash(file) in self._kept or hash(file) in self._bad

    # ---- what is next

    @property
    def missing(self) -> int:
        """How many files the history lacks."""
        return len(self._wanted)

    def behind_s(self, now_s: float) -> float:
        """For how long the one has been missing that has been missing longest, or comparisons have found the map to
        lose scans; 0 if neither is so.
        """
        oldest_s = min((wanted.since_s for wanted in self._wanted.values()), default=now_s)
        return max(0.0, now_s - min(oldest_s, self._losing_since_s or now_s))

    def take(self, now_s: float) -> Wanted | None:
        """The newest whose time has come. It is in hand until `kept`, `bad`, `drop`, `changed` or a retry is called."""
        while self._due and self._due[0][0] <= now_s:
            _, path = heappop(self._due)
            if (wanted := self._wanted.get(path)) is not None:
                heappush(self._ready, (-wanted.file.mtime_ns, path))
        while self._ready:
            _, path = heappop(self._ready)
            wanted = self._wanted.get(path)
            if wanted is not None and not wanted.in_hand and wanted.due_s <= now_s:
                wanted.in_hand = True
                return wanted
        return None

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until the time of a file comes; None if none waits."""
        if self._ready:
            return 0.0
        return max(0.0, self._due[0][0] - now_s) if self._due else None

    # ---- what became of it

    def kept(self, file: ScanFile) -> bool:
        """It stands in the map; whether there may be an earlier state of it too."""
        was_there = hash(file.path) in self._kept
        self._kept.update((hash(file), hash(history_key(file.key)), hash(file.path)))
        self.drop(file)
        return was_there

    def retry_at(self, wanted: Wanted, due_s: float) -> None:
        """It could not be read, or not be put into the map, for no fault of its own."""
        wanted.due_s = due_s
        self._put_back(wanted)

    def retry_later(self, wanted: Wanted, now_s: float) -> bool:
        """Put off a file that does not validate yet; False if it had time enough, and is bad."""
        if now_s - wanted.since_s >= self._settle_s:
            self.bad(wanted.file)
            return False
        wanted.due_s = now_s + min(FIRST_RETRY_S * 2.0**wanted.tries, LAST_RETRY_S)
        wanted.tries += 1
        self._put_back(wanted)
        return True

    def bad(self, file: ScanFile) -> None:
        """It is no scan, and is left alone until it changes."""
        self._bad.update([hash(file)])
        self.drop(file)

    def drop(self, file: ScanFile) -> None:
        """It is not wanted any more; if it has changed meanwhile, it still is."""
        if (wanted := self._wanted.get(file.path)) is not None and wanted.file == file:
            del self._wanted[file.path]

    def _put_back(self, wanted: Wanted) -> None:
        if self._wanted.get(wanted.file.path) is wanted:  # else it has changed, or is gone
            self._put_off(wanted)

    def _put_off(self, wanted: Wanted) -> None:
        wanted.in_hand = False
        self._wanted[wanted.file.path] = wanted
        heappush(self._due, (wanted.due_s, wanted.file.path))

    def outdated(self, files: Iterable[ScanFile], keys: Iterable[str]) -> dict[str, ScanFile]:
        """Keys of scans whose file has another time by now, and stands in the map under that: each with that file."""
        by_path = {file.path: file for file in files if hash(file) in self._kept}
        found: dict[str, ScanFile] = {}
        for key in keys:
            scan = read_history_key(key)
            file = by_path.get(scan.path) if scan else None
            if file is not None and scan != file.key:
                found[key] = file
        return found
