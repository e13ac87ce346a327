"""Keeps the history complete: looks at the folder, compares with the map, puts there what it lacks.

It reads and decodes in a thread and sends a few scans ahead; the newest scan's way knows nothing of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable

from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import ArrowScan, parse
from bridge.cluster.connection import Cluster, ClusterError
from bridge.config import Config
from bridge.folder import reader
from bridge.folder.listing import stat_scan
from bridge.history.checked import Checked
from bridge.history.inventory import SECOND_NS, list_young
from bridge.history.ledger import Ledger, Wanted
from bridge.history.pace import Pace
from bridge.history.store import HistoryStore
from bridge.model.history import BadFile, HistoryMessage
from bridge.model.order import ScanFile
from bridge.model.status import HistoryStatus
from bridge.service.quarantine import Quarantine
from bridge.system.backoff import Backoff

log = logging.getLogger(__name__)

# Looks and comparisons take no more than one part in so many of the time.
LOOK_SHARE = 50
COMPARE_S = 60.0
SHORTEST_PAUSE_S = 1.0
# On their way at once; of large scans, one.
MOST_ON_THE_WAY = 3
LARGE_BYTES = 1_000_000
RATE_S = 10.0
LONGEST_WAIT_S = 1.0


class Keeper:
    """The history of one folder in one map."""

    def __init__(self, config: Config, cluster: Cluster, tell: Callable[[HistoryMessage], None]) -> None:
        """`tell` takes what the bridge has to hear."""
        self._config = config
        self._cluster = cluster
        self._tell = tell
        self._store = HistoryStore(cluster, config)
        self._quarantine = Quarantine(config.state_dir / "history")
        self._checked = Checked(config.state_dir / "history", config.history.keep_s)
        self._ledger = Ledger(config.source.quiet_s, config.source.settle_s, self._checked.ns)
        self._away = Backoff(log, f"history: connecting to Hazelcast {cluster.address}", longest_wait_s=5.0)
        self._refused = Backoff(log, "history: it does not get on", longest_wait_s=5.0)
        self._resume_s = 0.0
        self._pace = Pace()
        self._on_the_way: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._look_s = 0.0  # when the next look is due
        self._compare_s = 0.0
        self._compare_pause_s = SHORTEST_PAUSE_S
        self._compared = False
        self._times_s: deque[float] = deque(maxlen=100_000)  # of those kept lately
        self._trouble = ""
        self._no_source = ""
        for file in self._quarantine.set_aside:
            self._ledger.bad(file)
        if (killer := self._quarantine.killer) is not None:
            tell(BadFile(killer, "the history's process died twice in a row with it in hand"))

    # ---- the connection

    async def connect(self) -> None:
        """Keep a connection, for ever."""
        while True:
            try:
                await self._cluster.connect()
            except ClusterError as error:
                self._trouble = str(error)
                await asyncio.sleep(self._away.failed(str(error)))
                continue
            self._away.succeeded()
            self._compare_s = self._look_s = self._resume_s = 0.0
            self._wake.set()
            await self._cluster.lost.wait()
            self._trouble = "connection lost"

    # ---- the work

    async def run(self) -> None:
        """Keep the history complete, for ever."""
        while True:
            self._wake.clear()
            now_s = time.monotonic()
            if now_s >= self._look_s or (self._cluster.connected and now_s >= self._compare_s):
                await self._look()
            wanted = self._ledger.take(now_s) if self._may_write(now_s) else None
            if wanted is None:
                await self._wait()
            else:
                self._pace.took(wanted.file.size, now_s)
                await self._handle(wanted)

    def closed(self, path: str) -> None:
        """The writer of this file is done with it."""
        with contextlib.suppress(OSError):  # gone again
            file = stat_scan(self._config.source.root, path)
            if file.mtime_ns >= self._since_ns():
                self._ledger.closed(file, time.monotonic())
                self._wake.set()

    def status(self) -> HistoryStatus:
        """How far it is."""
        now_s = time.monotonic()
        while self._times_s and now_s - self._times_s[0] > RATE_S:
            self._times_s.popleft()
        return HistoryStatus(
            missing=self._ledger.missing if self._compared else None,
            per_s=round(len(self._times_s) / RATE_S, 1),
            behind_s=round(self._ledger.behind_s(now_s), 1),
            trouble=self._trouble or self._no_source or self._loss(),
        )

    def _loss(self) -> str:
        if not (lost := self._ledger.lost_again):
            return ""
        why = "does it evict, or has another bridge a lower keep_s?"
        return f"{self._config.history.map} loses scans again and again, {lost} since the last look: {why}"

    def _since_ns(self) -> int:
        return time.time_ns() - int(self._config.history.keep_s * SECOND_NS)

    def _may_write(self, now_s: float) -> bool:
        return self._cluster.connected and self._compared and now_s >= max(self._resume_s, self._pace.next_s)

    async def _wait(self) -> None:
        now_s = time.monotonic()
        due_in_s = self._ledger.due_in_s(now_s) if self._may_write(now_s) else None
        waits_s = [LONGEST_WAIT_S, self._look_s - now_s]
        waits_s += [due_in_s] if due_in_s is not None else []
        waits_s += [start_s - now_s for start_s in (self._resume_s, self._pace.next_s) if start_s > now_s]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.001, min(waits_s))):
                await self._wake.wait()

    async def _look(self) -> None:
        begin_s = time.monotonic()
        since_ns = self._since_ns()
        try:
            files = await asyncio.to_thread(list_young, self._config.source.root, since_ns)
        except OSError as error:
            self._no_source = f"{self._config.source.root}: {error.strerror}"
            self._look_s = time.monotonic() + LONGEST_WAIT_S
            return
        self._no_source = ""
        took_s = time.monotonic() - begin_s
        self._look_s = time.monotonic() + max(self._config.source.rescan_s, took_s * LOOK_SHARE)
        if self._cluster.connected and begin_s >= self._compare_s:
            try:
                await self._compare(files, since_ns)
            except ClusterError as error:
                self._failed(error)
                self._compare_s = max(self._resume_s, time.monotonic() + self._compare_pause_s)
        self._ledger.found(files, begin_s)
        self._checked.save(self._ledger.checked_ns)

    async def _compare(self, files: list[ScanFile], since_ns: int) -> None:
        begin_s = time.monotonic()
        if self._on_the_way:
            await asyncio.wait(self._on_the_way)
        keys = await self._store.keys(since_ns, files)
        self._ledger.compared(files, keys, begin_s, since_ns + int(COMPARE_S * SECOND_NS))
        for key, file in self._ledger.outdated(files, keys).items():
            with contextlib.suppress(OSError):  # gone meanwhile
                if stat_scan(self._config.source.root, file.path) == file:
                    await self._store.remove(key)
        if not self._compared:
            log.info("history: %d scans of the last %g s lie on disk, %d in the map", len(files),
                     self._config.history.keep_s, len(keys))  # fmt: skip
        self._compared = True
        self._succeeded()
        now_s = time.monotonic()
        self._compare_pause_s = max(SHORTEST_PAUSE_S, (now_s - begin_s) * LOOK_SHARE)
        self._compare_s = now_s + max(COMPARE_S, self._compare_pause_s)

    async def _handle(self, wanted: Wanted) -> None:
        file, ledger = wanted.file, self._ledger
        try:
            scan = await asyncio.to_thread(self._open, file)
        except reader.Changed as change:
            if change.file == file:
                self._not_yet(wanted, "its content does not have the size that the file system says")
            else:
                ledger.changed(change.file, time.monotonic())
        except reader.Vanished:
            ledger.drop(file)
        except reader.NeverReadable as error:
            ledger.bad(file)
            self._tell(BadFile(file, str(error)))
        except reader.NoAnswer as error:
            self._no_source = f"{file.path}: {error}"
            ledger.retry_at(wanted, time.monotonic() + LONGEST_WAIT_S)
        except (reader.NotReadable, InvalidScan) as error:
            self._not_yet(wanted, str(error))
        else:
            await self._send(wanted, scan)

    def _open(self, file: ScanFile) -> ArrowScan:
        source = self._config.source
        with self._quarantine.in_hand(file):
            return parse(reader.read(source.root, file, source.max_scan_bytes), source.max_decoded_bytes)

    def _not_yet(self, wanted: Wanted, reason: str) -> None:
        if not self._ledger.retry_later(wanted, time.monotonic()):
            self._tell(BadFile(wanted.file, reason))

    async def _send(self, wanted: Wanted, scan: ArrowScan) -> None:
        task = asyncio.create_task(self._put(wanted, scan))
        self._on_the_way.add(task)
        task.add_done_callback(self._on_the_way.discard)
        if wanted.file.size > LARGE_BYTES:
            await asyncio.wait(self._on_the_way)
        elif len(self._on_the_way) >= MOST_ON_THE_WAY:
            await asyncio.wait(self._on_the_way, return_when=asyncio.FIRST_COMPLETED)

    async def _put(self, wanted: Wanted, scan: ArrowScan) -> None:
        try:
            await self._store.keep(wanted.file, scan)
        except ClusterError as error:
            self._ledger.retry_at(wanted, time.monotonic())
            self._failed(error)
        else:
            if self._ledger.kept(wanted.file):
                self._compare_s = min(self._compare_s, time.monotonic() + self._compare_pause_s)
            self._times_s.append(time.monotonic())
            self._succeeded()

    def _failed(self, error: ClusterError) -> None:
        self._trouble = str(error)
        now_s = time.monotonic()
        if self._cluster.connected and now_s >= self._resume_s:  # else the connection's own backoff tells
            self._resume_s = now_s + self._refused.failed(str(error))

    def _succeeded(self) -> None:
        self._trouble = ""
        self._refused.succeeded()
