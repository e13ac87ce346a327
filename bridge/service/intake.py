"""What is known to lie in ROOT, and which of it may matter: takes what events and listings tell, fills the backlog.

Nothing here may lose a file without a log line or a counter.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from bridge.cluster.publisher import Publisher
from bridge.config import Source as SourceConfig
from bridge.folder.listing import Listing, is_linked, stat_scan
from bridge.model.order import OrderKey, ScanFile, is_misdated, supersedes
from bridge.service import scan_log
from bridge.service.backlog import Backlog
from bridge.service.held_file import HeldFile
from bridge.service.metrics import Metrics


class Intake:
    """Takes in what was seen on disk; `Pipeline` takes from its backlog, and tells it what became of it."""

    def __init__(self, config: SourceConfig, publisher: Publisher, metrics: Metrics) -> None:
        self._config = config
        self._publisher = publisher
        self._metrics = metrics
        self.backlog = Backlog(config.max_future_s, config.settle_s, config.quiet_s)
        self.held_file = HeldFile()
        self.high_water: OrderKey | None = None  # the newest ever seen in the map
        self.on_closed: Callable[[str], None] | None = None  # hears of each file whose writer is done
        self.wake = asyncio.Event()  # set when there may be something to do
        self.read_in_thread = False  # set where a read may hang (network file systems)
        self._left_out = 0  # by listings so far

    def reconfigure(self, config: SourceConfig) -> None:
        """Go on with another configuration; what is known of an unchanged ROOT stays known."""
        old, self._config = self._config, config
        self.backlog.reconfigure(config.max_future_s, config.settle_s, config.quiet_s)
        if old.root != config.root:
            self.backlog.clear()
            self.held_file = HeldFile()
            self._left_out = 0

    # ---- what comes in

    def completed(self, path: str) -> None:
        """A writer closed this file, or it was renamed into place."""
        with contextlib.suppress(OSError):  # gone again
            self._announced(stat_scan(self._config.root, path), writer_done=True)

    def created(self, path: str) -> None:
        """This file was created; or linked into place, which makes it complete."""
        with contextlib.suppress(OSError):
            self._announced(stat_scan(self._config.root, path), writer_done=is_linked(self._config.root, path))

    def touched(self, path: str) -> None:
        """The inode of this file changed, perhaps not its content; older scans are of no interest then."""
        with contextlib.suppress(OSError):
            self._seen_again(stat_scan(self._config.root, path))

    def found(self, listing: Listing, *, at_start: bool = False) -> None:
        """A listing of ROOT found these files.

        `at_start`: what the process finds when it starts, and has not changed for a while by the clock that dates it,
        need not wait until we have seen that it does not change.
        """
        if self.high_water is None:  # else they were left out, or announced by events, before
            self._metrics.skipped += max(0, listing.left_out - self._left_out)
            self._left_out = max(self._left_out, listing.left_out)
        for file in reversed(listing.files):
            self.offer(file, age_s=listing.age_s(file) if at_start else 0.0)
        for file in listing.again:
            self._seen_again(file)

    def _announced(self, file: ScanFile, *, writer_done: bool) -> None:
        if writer_done and self.on_closed is not None:
            self.on_closed(file.path)
        if self._is_old(file) and not self.may_matter(file):
            self.held_file.passed_over(file)
            self._count_skipped(file)  # it landed late
        else:
            self.offer(file, writer_done=writer_done)

    def _seen_again(self, file: ScanFile) -> None:
        if self.may_matter(file):
            self.offer(file)

    def offer(self, file: ScanFile, *, writer_done: bool = False, age_s: float = 0.0) -> None:
        """Into the backlog with it."""
        now_s, now_ns = time.monotonic(), time.time_ns()
        self._metrics.skipped += self.backlog.offer(file, now_s, now_ns, writer_done=writer_done, age_s=age_s)
        self.wake.set()

    @property
    def newest(self) -> ScanFile | None:
        """The newest scan file seen on disk, complete or not."""
        return self.backlog.newest

    @property
    def waiting_files(self) -> int:
        """How many files wait for their turn, or to become complete."""
        return len(self.backlog)

    @property
    def to_stat_again(self) -> list[str]:
        """Paths of known files that a listing should see how they are now. A bounded number."""
        return [*self.held_path, *self.backlog.to_stat_again(time.monotonic())]

    @property
    def held_path(self) -> list[str]:
        """The path of the held scan, if there is one."""
        held = self._publisher.held
        return [held.key.path] if held is not None else []

    @property
    def knows_the_map(self) -> bool:
        """Whether what the map holds is known; not while a scan is on its way there."""
        return self._publisher.known

    @property
    def newer_than(self) -> OrderKey | None:
        """Listings need not report files at or below this."""
        held = self._publisher.held if self._publisher.known else None
        if held is None or is_misdated(held.key.mtime_ns, time.time_ns(), self._config.max_future_s):
            return None
        return held.key

    # ---- whether it matters

    def may_matter(self, file: ScanFile) -> bool:
        """Whether it can become the newest, or is the held scan's file and has changed."""
        return self.supersedes(file) or self.held_file.changed(file, self._publisher.provenance)

    def supersedes(self, file: ScanFile) -> bool:
        """Whether it is newer than what the map holds, as far as known."""
        return supersedes(file, self._publisher.held, time.time_ns(), self._config.max_future_s)

    def skipped(self, file: ScanFile) -> None:
        """It was overtaken: a newer one is in the map."""
        self.held_file.passed_over(file)
        # An old one is found again by each listing that takes every file for new; it had its turn, or was counted.
        if not self._is_old(file) and file.key != self.high_water:
            self._count_skipped(file)

    def _is_old(self, file: ScanFile) -> bool:
        return self.high_water is not None and file.key < self.high_water

    def _count_skipped(self, file: ScanFile) -> None:
        self._metrics.skipped += 1
        scan_log.skipped(file)
