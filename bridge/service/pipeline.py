"""The way of a scan from a file name to the map, one scan at a time: backlog → read → validate → publish.

Nothing here may block the event loop for long, nor lose a file without a log line or a counter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import replace

from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import ArrowScan, parse
from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.publisher import Published, Publisher
from bridge.config import Source as SourceConfig
from bridge.folder import reader
from bridge.model.history import BadFile
from bridge.model.order import Held, ScanFile, how_misdated, is_misdated
from bridge.service import scan_log
from bridge.service.backlog import Waiting
from bridge.service.intake import Intake
from bridge.service.metrics import Metrics
from bridge.service.quarantine import Quarantine
from bridge.system.backoff import Backoff

log = logging.getLogger(__name__)


class Pipeline:
    """Takes the newest from what came in, puts it into the map."""

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
        self.intake = Intake(config, publisher, metrics)
        self._backoff = Backoff(log, "publishing", first_wait_s=0.05)
        self._no_answer = Backoff(log, "reading a scan")
        self._told_of_late_times = False
        self.last: Published | None = None
        self.published = asyncio.Event()  # set after each publish; the status reporter clears it
        if quarantine.killer is not None:
            self._bad(quarantine.killer, "the bridge died twice in a row with it in hand")
        for file in quarantine.set_aside:
            self.intake.backlog.settle(file)

    def reconfigure(self, config: SourceConfig) -> None:
        """Go on with another configuration."""
        self._config = config
        self.intake.reconfigure(config)

    def ask_the_map(self) -> None:
        """The cluster is back; the map may hold something else by now."""
        self._publisher.forget()
        self.intake.wake.set()

    @property
    def held(self) -> Held | None:
        """The place in the order of what the map holds, as far as known."""
        return self._publisher.held

    @property
    def is_standby(self) -> bool:
        """Whether scans are left to another bridge first: the one that published what the map holds."""
        return self._config.standby_s > 0 and not self._publisher.published_by_us

    # ---- the way of a scan

    async def step(self, longest_wait_s: float) -> None:
        """Handle the newest waiting scan; if there is none, wait for one first."""
        self.intake.wake.clear()
        try:
            if self._cluster.connected and not self._publisher.known:
                await self._refresh()
            waiting = await self._next()
            if waiting is None:
                await self._wait(longest_wait_s)
                waiting = await self._next()
            if waiting is not None:
                await self._handle(waiting)
        except ClusterError as error:
            if self._cluster.connected:  # else the connection's own backoff tells
                await asyncio.sleep(self._backoff.failed(str(error)))

    async def _next(self) -> Waiting | None:
        if self.is_standby and self._due_in_s() == 0:  # has the other published meanwhile?
            await self._refresh()
            if self._publisher.held is not None:
                self._drop_overtaken(self._publisher.held)
        if self.is_standby and self._due_in_s() != 0:
            return None
        return self.intake.backlog.next(time.monotonic(), time.time_ns()) if self._publisher.known else None

    def _due_in_s(self) -> float | None:
        """Seconds until there is something to do, at least 0; None if nothing waits, or it cannot be told.

        A standby looks once the map has been behind for `standby_s`: by what has waited longest, for the newest may
        always be young.
        """
        if not self._publisher.known:
            return None
        return self.intake.backlog.due_in_s(time.monotonic() - (self._config.standby_s if self.is_standby else 0))

    async def _wait(self, longest_wait_s: float) -> None:
        due_in_s = self._due_in_s()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_wait_s if due_in_s is None else min(due_in_s, longest_wait_s)):
                await self.intake.wake.wait()

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
            self.intake.high_water = max(self.intake.high_water or held.key, held.key)

    async def _handle(self, waiting: Waiting) -> None:
        file = waiting.file
        if not waiting.tries and not self.intake.may_matter(file):
            self._overtaken(file)
            return
        try:
            with self._quarantine.in_hand(file):
                scan = parse(await self._read(file), self._config.max_decoded_bytes)
                published = await self._publisher.publish(file, scan)
                if published is None and self.intake.held_file.changed(file, self._publisher.provenance):
                    published = await self._compare(file, scan)
        except reader.Changed as change:
            self._metrics.retries += 1
            self._changed(waiting, change.file)
        except reader.Vanished:
            scan_log.vanished(file)
            self.intake.backlog.drop(file)
        except reader.NeverReadable as error:
            self._bad(file, str(error))
        except reader.NoAnswer as error:
            self._metrics.retries += 1
            wait_s = self._no_answer.failed(f"{file.path}: {error}")
            self.intake.backlog.put_off(waiting, wait_s, time.monotonic())
        except (reader.NotReadable, InvalidScan) as error:
            self._metrics.retries += 1
            if not self.intake.backlog.retry_later(waiting, time.monotonic()):
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
            self._metrics.skipped += self.intake.backlog.changed(waiting, file, now_s, time.time_ns())
        elif not self.intake.backlog.retry_later(waiting, now_s):
            self._bad(file, "its content does not have the size that the file system says")

    async def _read(self, file: ScanFile) -> bytes:
        if self.intake.read_in_thread:
            content = await asyncio.to_thread(reader.read, self._config.root, file, self._config.max_scan_bytes)
        else:
            content = reader.read(self._config.root, file, self._config.max_scan_bytes)
        self._no_answer.succeeded()
        return content

    async def _compare(self, file: ScanFile, scan: ArrowScan) -> Published | None:
        """Correct the date of the held scan, or say why a changed file is not published."""
        redated = None
        if await self._publisher.holds(scan):
            redated = await self._publisher.redate(file, scan)
        else:
            self._metrics.skipped += 1
            scan_log.other_content(file)
        self.intake.held_file.same(file)
        return redated

    # ---- what becomes of it

    def _done(self, published: Published) -> None:
        file = published.file
        self.intake.held_file.same(file)
        if published.redated_from_ns is not None:
            self._redated(published, published.redated_from_ns)
            return
        self.last = published
        self._metrics.scan_published(time.monotonic(), published.lag_ms)
        scan_log.published(published)
        self.intake.backlog.drop(file)
        self._drop_overtaken(published.provenance.held)
        if is_misdated(file.mtime_ns, time.time_ns(), self._config.max_future_s):
            self._misdated(file)
        else:
            self.intake.high_water = max(self.intake.high_water or file.key, file.key)
        self.published.set()
        if not self.intake.read_in_thread:  # else the next look comes soon
            self.intake.touched(file.path)  # its time may have been set while it was on its way

    def _drop_overtaken(self, held: Held) -> None:
        for overtaken in self.intake.backlog.drop_overtaken(held, time.time_ns()):
            if overtaken.path != held.key.path:
                self.intake.skipped(overtaken)

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
        self.intake.high_water = file.key
        self.intake.backlog.drop(file)
        if (newer := self.intake.held_file.runner_up) is not None and self.intake.supersedes(newer):
            self.intake.offer(newer)  # hidden by the time that was too late
        self.published.set()

    def _overtaken(self, file: ScanFile) -> None:
        if is_misdated(file.mtime_ns, time.time_ns(), self._config.max_future_s):
            self._misdated(file)
        else:
            self.intake.skipped(file)
        self.intake.backlog.drop(file)

    def _misdated(self, file: ScanFile) -> None:
        scan_log.misdated(file)
        self.intake.backlog.settle(file)

    def judged_bad(self, bad: BadFile) -> None:
        """The history found a file bad. Each is told once, whoever finds it."""
        self._bad(bad.file, bad.reason)

    def _bad(self, file: ScanFile, reason: str) -> None:
        if self.intake.backlog.is_settled(file):
            return
        self._metrics.bad += 1
        scan_log.bad(file, reason)
        self.intake.backlog.settle(file)
