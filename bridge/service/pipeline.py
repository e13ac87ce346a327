"""The way of a scan from a file name to the map, one scan at a time: backlog → read → validate → publish.

Nothing here may block the event loop for long, nor lose a file without a log line or a counter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace

from bridge.arrow import InvalidScan, Scan, parse
from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.publisher import Published, Publisher
from bridge.config import Source as SourceConfig
from bridge.folder import reader
from bridge.folder.listing import Listing, is_linked, stat_scan
from bridge.model.order import Held, OrderKey, ScanFile, how_misdated, is_misdated, supersedes
from bridge.service import scan_log
from bridge.service.backlog import Backlog, Waiting
from bridge.service.held_file import HeldFile
from bridge.service.metrics import Metrics
from bridge.service.quarantine import Quarantine
from bridge.system.backoff import Backoff

log = logging.getLogger(__name__)


class Pipeline:
    """Takes hints in, puts scans out."""

    def __init__(
        self,
        config: SourceConfig,
        cluster: Cluster,
        publisher: Publisher,
        metrics: Metrics,
        quarantine: Quarantine,
    ) -> None:
        self._config = config
        self._cluster = cluster
        self._publisher = publisher
        self._metrics = metrics
        self._quarantine = quarantine
        self._backlog = Backlog(config.max_future_s, config.settle_s, config.quiet_s)
        self._wake = asyncio.Event()
        self._backoff = Backoff(log, "publishing", first_wait_s=0.05)
        self._high_water: OrderKey | None = None  # the newest ever seen in the map
        self._held_file = HeldFile()
        self._told_of_late_times = False
        self._left_out = 0  # by listings so far
        self.last: Published | None = None
        self.read_in_thread = False  # set where a read may hang (network file systems)
        self.published = asyncio.Event()  # set after each publish; the status reporter clears it
        for file in quarantine.set_aside:
            self._backlog.settle(file)
        if quarantine.killer is not None:
            self._bad(quarantine.killer, "the bridge died twice in a row with it in hand")

    def reconfigure(self, config: SourceConfig) -> None:
        """Go on with another configuration; what is known of an unchanged ROOT stays known."""
        old, self._config = self._config, config
        self._backlog.reconfigure(config.max_future_s, config.settle_s, config.quiet_s)
        if old.root != config.root:
            self._backlog.clear()
            self._held_file = HeldFile()
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
        if self._high_water is None:  # else they were left out, or announced by events, before
            self._metrics.skipped += max(0, listing.left_out - self._left_out)
            self._left_out = max(self._left_out, listing.left_out)
        for file in reversed(listing.files):
            self._offer(file, age_s=listing.age_s(file) if at_start else 0.0)
        for file in listing.again:
            self._seen_again(file)

    def ask_the_map(self) -> None:
        """The cluster is back; the map may hold something else by now."""
        self._publisher.forget()
        self._wake.set()

    def _announced(self, file: ScanFile, *, writer_done: bool) -> None:
        if self._is_old(file) and not self._may_matter(file):
            self._held_file.passed_over(file)
            self._count_skipped(file)  # it landed late
        else:
            self._offer(file, writer_done=writer_done)

    def _seen_again(self, file: ScanFile) -> None:
        if self._may_matter(file):
            self._offer(file)

    def _offer(self, file: ScanFile, *, writer_done: bool = False, age_s: float = 0.0) -> None:
        now_s, now_ns = time.monotonic(), time.time_ns()
        self._metrics.skipped += self._backlog.offer(file, now_s, now_ns, writer_done=writer_done, age_s=age_s)
        self._wake.set()

    @property
    def held(self) -> Held | None:
        """The place in the order of what the map holds, as far as known."""
        return self._publisher.held

    @property
    def newest(self) -> ScanFile | None:
        """The newest scan file seen on disk, complete or not."""
        return self._backlog.newest

    @property
    def waiting_files(self) -> int:
        """How many files wait for their turn, or to become complete."""
        return len(self._backlog)

    @property
    def to_stat_again(self) -> list[str]:
        """Paths of known files that a listing should see how they are now. A bounded number."""
        return [*self.held_path, *self._backlog.to_stat_again(time.monotonic())]

    @property
    def held_path(self) -> list[str]:
        """The path of the held scan, if there is one."""
        held = self._publisher.held
        return [held.key.path] if held is not None else []

    @property
    def newer_than(self) -> OrderKey | None:
        """Listings need not report files at or below this."""
        held = self._publisher.held if self._publisher.known else None
        if held is None or is_misdated(held.key.mtime_ns, time.time_ns(), self._config.max_future_s):
            return None
        return held.key

    # ---- the way of a scan

    async def step(self, longest_wait_s: float) -> None:
        """Handle the newest waiting scan; if there is none, wait for one first."""
        self._wake.clear()
        try:
            if self._cluster.connected and not self._publisher.known:
                await self._refresh()
            waiting = self._next()
            if waiting is None:
                await self._wait(longest_wait_s)
                waiting = self._next()
            if waiting is not None:
                await self._handle(waiting)
        except ClusterError as error:
            if self._cluster.connected:  # else the connection's own backoff tells
                await asyncio.sleep(self._backoff.failed(str(error)))

    def _next(self) -> Waiting | None:
        return self._backlog.next(time.monotonic(), time.time_ns()) if self._publisher.known else None

    async def _wait(self, longest_wait_s: float) -> None:
        due_in_s = self._backlog.due_in_s(time.monotonic()) if self._publisher.known else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_wait_s if due_in_s is None else min(due_in_s, longest_wait_s)):
                await self._wake.wait()

    async def _refresh(self) -> None:
        arrived = await self._publisher.refresh()
        self._backoff.succeeded()
        if arrived is not None:
            self._done(arrived)
        held = self._publisher.held
        if held is not None and is_misdated(held.key.mtime_ns, time.time_ns(), self._config.max_future_s):
            log.warning(
                "the map holds %s, dated %s; check the clocks (any scan with a possible date will replace it)",
                held.key.path, how_misdated(held.key.mtime_ns, time.time_ns()),
            )  # fmt: skip
        elif held is not None:
            self._high_water = max(self._high_water or held.key, held.key)

    async def _handle(self, waiting: Waiting) -> None:
        file = waiting.file
        if not waiting.tries and not self._may_matter(file):
            self._overtaken(file)
            return
        try:
            with self._quarantine.in_hand(file):
                scan = parse(await self._read(file), self._config.max_decoded_bytes)
                published = await self._publisher.publish(file, scan)
                if published is None and self._held_file.changed(file, self._publisher.provenance):
                    published = await self._compare(file, scan)
        except reader.Changed as change:
            self._metrics.retries += 1
            self._changed(waiting, change.file)
        except reader.Vanished:
            scan_log.vanished(file)
            self._backlog.drop(file)
        except reader.NeverReadable as error:
            self._bad(file, str(error))
        except (reader.NotReadable, InvalidScan) as error:
            self._metrics.retries += 1
            if not self._backlog.retry_later(waiting, time.monotonic()):
                self._bad(file, str(error))
        else:
            self._backoff.succeeded()
            if published is None:
                self._overtaken(file)
            else:
                self._done(published)

    def _changed(self, waiting: Waiting, file: ScanFile) -> None:
        now_s = time.monotonic()
        if file != waiting.file:
            self._metrics.skipped += self._backlog.changed(waiting, file, now_s, time.time_ns())
        elif not self._backlog.retry_later(waiting, now_s):
            self._bad(file, "its content does not have the size that the file system says")

    async def _read(self, file: ScanFile) -> bytes:
        if self.read_in_thread:
            return await asyncio.to_thread(reader.read, self._config.root, file, self._config.max_scan_bytes)
        return reader.read(self._config.root, file, self._config.max_scan_bytes)

    async def _compare(self, file: ScanFile, scan: Scan) -> Published | None:
        """Correct the date of the held scan, or say why a changed file is not published."""
        redated = None
        if self._publisher.holds(scan):
            redated = await self._publisher.redate(file, scan)
        else:
            self._metrics.skipped += 1
            scan_log.other_content(file)
        self._held_file.same(file)
        return redated

    def _may_matter(self, file: ScanFile) -> bool:
        return self._supersedes(file) or self._held_file.changed(file, self._publisher.provenance)

    def _supersedes(self, file: ScanFile) -> bool:
        return supersedes(file, self._publisher.held, time.time_ns(), self._config.max_future_s)

    # ---- what becomes of it

    def _done(self, published: Published) -> None:
        file = published.file
        self._held_file.same(file)
        if published.redated_from_ns is not None:
            self._redated(published, published.redated_from_ns)
            return
        self.last = published
        self._metrics.scan_published(time.monotonic(), published.lag_ms)
        scan_log.published(published)
        self._backlog.drop(file)
        now_ns = time.time_ns()
        for overtaken in self._backlog.drop_overtaken(published.provenance.held, now_ns):
            if overtaken.path != file.path:
                self._skipped(overtaken)
        if is_misdated(file.mtime_ns, now_ns, self._config.max_future_s):
            self._misdated(file)
        else:
            self._high_water = max(self._high_water or file.key, file.key)
        self.published.set()
        if not self.read_in_thread:  # else the next look comes soon
            self.touched(file.path)  # its time may have been set while it was on its way

    def _redated(self, published: Published, from_ns: int) -> None:
        file = published.file
        seemed_s = (from_ns - file.mtime_ns) / 1e9
        scan_log.redated(file, seemed_s)
        if not self._told_of_late_times:
            self._told_of_late_times = True
            scan_log.late_times(file, seemed_s)
        if self.last is not None:
            published = replace(published, lag_ms=self.last.lag_ms)
        self.last = published
        self._high_water = file.key
        self._backlog.drop(file)
        if (newer := self._held_file.runner_up) is not None and self._supersedes(newer):
            self._offer(newer)  # hidden by the time that was too late
        self.published.set()

    def _overtaken(self, file: ScanFile) -> None:
        if is_misdated(file.mtime_ns, time.time_ns(), self._config.max_future_s):
            self._misdated(file)
        else:
            self._skipped(file)
        self._backlog.drop(file)

    def _is_old(self, file: ScanFile) -> bool:
        return self._high_water is not None and file.key < self._high_water

    def _skipped(self, file: ScanFile) -> None:
        self._held_file.passed_over(file)
        # An old one is found again by each listing that takes every file for new; it had its turn, or was counted.
        if not self._is_old(file) and file.key != self._high_water:
            self._count_skipped(file)

    def _count_skipped(self, file: ScanFile) -> None:
        self._metrics.skipped += 1
        scan_log.skipped(file)

    def _misdated(self, file: ScanFile) -> None:
        scan_log.misdated(file)
        self._backlog.settle(file)

    def _bad(self, file: ScanFile, reason: str) -> None:
        self._metrics.bad += 1
        scan_log.bad(file, reason)
        self._backlog.settle(file)
