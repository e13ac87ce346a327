"""The scans waiting for their turn: newest first, each once, those that do not validate yet tried again later.

Here stands the rule of when a file counts: its writer is known to be done, or it has been quiet for `quiet_s`.
Pure bookkeeping: no I/O and no clock of its own (`now_s` is monotonic seconds, `now_ns` the wall clock).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice

from bridge.model.order import Held, ScanFile, is_misdated, supersedes

# Far more than one folder sees between two publishes; beyond it, the older half is given up as overtaken (half, so
# that a burst costs one sorting per so many scans, not per scan).
MOST_WAITING = 1000
# Files remembered as bad; a producer gone mad must not fill the memory.
MOST_SETTLED = 10_000

FIRST_RETRY_S = 0.005
LAST_RETRY_S = 0.25

# Where no event tells of changes, files are stat'ed again for so long after their last one, and this many at most.
RECENT_S = 60.0
MOST_RECENT = 100


@dataclass
class Waiting:
    """A scan in the backlog."""

    file: ScanFile
    due_s: float
    changed_s: float  # when it was last seen to change
    writer_done: bool  # closed, renamed or linked into place, and not changed since
    tries: int = 0

    @property
    def backoff_s(self) -> float:
        """How long to wait before the next try."""
        return min(FIRST_RETRY_S * 2.0**self.tries, LAST_RETRY_S)


class Backlog:
    """What is known to lie on disk and is neither published nor settled."""

    def __init__(self, max_future_s: float, settle_s: float, quiet_s: float) -> None:
        """`settle_s`: a file unchanged for so long that still does not validate is bad."""
        self._max_future_s = max_future_s
        self._settle_s = settle_s
        self._quiet_s = quiet_s
        self._waiting: dict[str, Waiting] = {}
        self._settled: OrderedDict[str, ScanFile] = OrderedDict()
        self._recent: OrderedDict[str, float] = OrderedDict()  # when each was last seen to change
        self.newest: ScanFile | None = None

    def reconfigure(self, max_future_s: float, settle_s: float, quiet_s: float) -> None:
        """Go on with other limits."""
        self._max_future_s, self._settle_s, self._quiet_s = max_future_s, settle_s, quiet_s

    def clear(self) -> None:
        """The files are of another folder now."""
        self._waiting.clear()
        self._settled.clear()
        self._recent.clear()
        self.newest = None

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, file: ScanFile, now_s: float, now_ns: int, *, writer_done: bool = False, age_s: float = 0.0) -> int:
        """Take a file in, or note that it changed. Returns how many older ones were given up for want of room.

        With `writer_done` (an event said so) it may be read at once; otherwise only when it has been quiet for
        `quiet_s`, of which `age_s` have passed already. That it is still the same then, the reader sees.
        """
        if self.is_settled(file):
            return 0
        if not is_misdated(file.mtime_ns, now_ns, self._max_future_s) and (
            self.newest is None
            or file.key > self.newest.key
            or file.path == self.newest.path
            or is_misdated(self.newest.mtime_ns, now_ns, self._max_future_s)  # the clock was stepped back
        ):
            self.newest = file
        former = self._waiting.get(file.path)
        if former is not None and former.file == file:
            if writer_done:
                former.writer_done, former.due_s = True, min(former.due_s, now_s)
            return 0
        waiting = Waiting(file, now_s, now_s - age_s, writer_done)
        if former is not None:
            waiting.tries = former.tries
            waiting.writer_done |= former.writer_done and _only_touched(former.file, file)
        if not waiting.writer_done:
            waiting.due_s += max(self._quiet_s - age_s, waiting.backoff_s if waiting.tries else 0.0)
        self._waiting[file.path] = waiting
        self._remember(file.path, now_s)
        return 0 if len(self._waiting) <= MOST_WAITING else self._give_up(now_ns)

    def next(self, now_s: float, now_ns: int) -> Waiting | None:
        """The newest scan whose time has come; scans with an impossible date come last."""
        due = [waiting for waiting in self._waiting.values() if waiting.due_s <= now_s]
        return max(due, key=lambda waiting: self._rank(waiting, now_ns), default=None)

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until a scan's time has come, at least 0; None if none waits."""
        return max(0.0, min(w.due_s for w in self._waiting.values()) - now_s) if self._waiting else None

    def retry_later(self, waiting: Waiting, now_s: float) -> bool:
        """Put off a scan that does not validate yet; False if it has been given enough time, i.e. is bad."""
        if now_s - waiting.changed_s >= self._settle_s:
            return False
        waiting.writer_done = False  # or there is another one: from now on it has to be quiet
        waiting.due_s = max(now_s + waiting.backoff_s, waiting.changed_s + self._quiet_s)
        waiting.tries += 1
        return True

    def put_off(self, waiting: Waiting, wait_s: float, now_s: float) -> None:
        """Put off a scan of which nothing is known: who serves it did not answer. That is no verdict, nor a try."""
        waiting.due_s = now_s + wait_s

    def changed(self, waiting: Waiting, file: ScanFile, now_s: float, now_ns: int) -> int:
        """The scan was about to be read, and is `file` by now. Returns the same as `offer`."""
        waiting.tries += 1
        return self.offer(file, now_s, now_ns)

    def to_stat_again(self, now_s: float) -> list[str]:
        """Paths of files that may have changed since: what changed lately, and what is bad. A bounded number."""
        recent = [path for path, changed_s in self._recent.items() if now_s - changed_s <= RECENT_S]
        return list(dict.fromkeys((*recent, *islice(reversed(self._settled), MOST_RECENT))))

    def is_settled(self, file: ScanFile) -> bool:
        """Whether it is known to be bad or misdated."""
        return self._settled.get(file.path) == file

    def settle(self, file: ScanFile) -> None:
        """Never take this file in again, unless it changes."""
        self.drop(file)
        self._settled[file.path] = file
        self._settled.move_to_end(file.path)
        while len(self._settled) > MOST_SETTLED:
            self._settled.popitem(last=False)

    def drop(self, file: ScanFile) -> None:
        """This version of the file is done with; a newer one, come in meanwhile, stays."""
        waiting = self._waiting.get(file.path)
        if waiting is not None and waiting.file == file:
            del self._waiting[file.path]

    def drop_overtaken(self, held: Held, now_ns: int) -> list[ScanFile]:
        """Drop what may no longer be published and was not yet read; returns what was dropped.

        A file that was tried and did not validate stays: it is still owed a verdict. So does that of the held scan,
        which changed meanwhile.
        """
        overtaken = [
            waiting.file
            for waiting in self._waiting.values()
            if not (waiting.tries or (waiting.file.path == held.key.path and waiting.file.key != held.key))
            and not supersedes(waiting.file, held, now_ns, self._max_future_s)
        ]
        for file in overtaken:
            self.drop(file)
        return overtaken

    def _remember(self, path: str, now_s: float) -> None:
        self._recent[path] = now_s
        self._recent.move_to_end(path)
        while len(self._recent) > MOST_RECENT:
            self._recent.popitem(last=False)

    def _give_up(self, now_ns: int) -> int:
        ranked = sorted(self._waiting.values(), key=lambda waiting: self._rank(waiting, now_ns))
        given_up = ranked[: len(ranked) - MOST_WAITING // 2]
        for waiting in given_up:
            self.drop(waiting.file)
        return len(given_up)

    def _rank(self, waiting: Waiting, now_ns: int) -> tuple[bool, ScanFile]:
        """The higher, the sooner its turn."""
        return not is_misdated(waiting.file.mtime_ns, now_ns, self._max_future_s), waiting.file


def _only_touched(before: ScanFile, after: ScanFile) -> bool:
    """Whether only mode, owner or times were set: to write raises the modification time."""
    return after.size == before.size and after.mtime_ns <= before.mtime_ns
