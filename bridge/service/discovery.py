"""Discovery of scans: arms inotify where it works, and lists ROOT by itself where or when that does not.

Listing happens in a thread, since a network file system may hang; everything else on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

from bridge.config import Source as SourceConfig
from bridge.folder.file_system import remote
from bridge.folder.inotify import Hints, Watcher
from bridge.folder.listing import Folder, Listing, ScanRoot
from bridge.model.order import OrderKey
from bridge.model.status import SourceState, WatchMode
from bridge.service.intake import Intake
from bridge.service.metrics import Metrics

log = logging.getLogger(__name__)

# While ROOT is not there, it is looked for so often.
ABSENT_S = 0.5
# A look that has got nowhere for so many seconds is told of: who serves ROOT does not answer.
NO_ANSWER_S = 5
# Known files are looked at anew (a rewrite in place whose event was lost) no more often than this, and so seldom
# that it takes no more than one part in FORGET_SHARE of the time.
FORGET_S = 60.0
FORGET_SHARE = 1000


class Discovery:
    """Feeds the intake with what is in the folder."""

    def __init__(
        self,
        config: SourceConfig,
        intake: Intake,
        metrics: Metrics,
        progress: Callable[[], None],
    ) -> None:
        """`progress` is called, from a thread, as long as a listing gets on."""
        self._config = config
        self._progress = progress
        self._gets_on = False  # the look has got on since last asked
        self._root = ScanRoot(config.root, config.scan_days, self._got_on)
        self._intake = intake
        self._metrics = metrics
        self._watcher: Watcher | None = None
        self._requested = asyncio.Event()
        self._requested.set()
        self._at_start = True
        self._forget = True
        self._newer_than: OrderKey | None = None  # of the last listing
        self._forget_at_s = 0.0
        self._stepped_back = False
        self._root_folder: Folder | None = None
        self._next_listing_s = 0.0
        self._listing: asyncio.Task[Listing] | None = None
        self.state: SourceState = "missing"
        self.reason = "not looked at yet"
        self.watch_mode: WatchMode = "polling"
        self.ready = asyncio.Event()  # set once the watcher is armed, or there is nothing yet to arm it on

    def list_soon(self, *, forget: bool = False) -> None:
        """List ROOT at once; with `forget`, take every file for new."""
        self._forget = self._forget or forget
        self._requested.set()

    def drains(self) -> bool:
        """Whether no event waits to be read: proof that this stage makes progress."""
        return self._watcher is None or self._watcher.unread_bytes() == 0

    async def step(self, longest_wait_s: float) -> None:
        """List ROOT if it is time, else wait until it is."""
        wait_s = min(self._next_listing_s - time.monotonic(), longest_wait_s)
        if wait_s > 0 and not self._requested.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._requested.wait()
            return
        self._requested.clear()
        listing = await self._list()
        self._tell(listing)
        if self._mode_changes(listing) and self._arm(listing):
            self._forget = True
            listing = await self._list()  # what came between the listing and the watch
        self.ready.set()
        period_s = self._config.rescan_s if self._watcher else self._config.poll_s
        self._next_listing_s = time.monotonic() + (period_s if listing.state == "ok" else min(ABSENT_S, period_s))

    def reconfigure(self, config: SourceConfig) -> None:
        """Go on with another configuration; what is known of an unchanged ROOT stays known."""
        old, self._config = self._config, config
        if (old.root, old.scan_days) != (config.root, config.scan_days):
            self._root = ScanRoot(config.root, config.scan_days, self._got_on)
        if (old.root, old.watch_mode) != (config.root, config.watch_mode):
            self._root_folder = None  # as if it had been mounted just now
            self.ready.clear()
        if old != config:
            self.list_soon(forget=old.root != config.root)

    def close(self) -> None:
        """Stop watching."""
        if self._watcher is not None:
            asyncio.get_running_loop().remove_reader(self._watcher.fileno())
            self._watcher.close()
            self._watcher = None

    async def _list(self) -> Listing:
        intake, begin_s = self._intake, time.monotonic()
        newer_than, before = intake.newer_than, self._newer_than
        if intake.knows_the_map:  # else a scan is just on its way there
            self._newer_than = newer_than
        # What was left out as old may be new again: the map went back, as when the held scan's time was corrected.
        went_back = before is not None and (self._newer_than is None or self._newer_than < before)
        forget, self._forget = self._forget or went_back or begin_s >= self._forget_at_s, False
        if self._listing is not None:  # a reload came in the midst of it, and a thread cannot be cancelled
            await asyncio.wait({self._listing})
        again = intake.held_path if self._watcher else intake.to_stat_again  # events tell of other changes
        list_newest = partial(self._root.list_newest, newer_than, again, forget=forget)
        self._listing = asyncio.create_task(asyncio.to_thread(list_newest))
        listing = await self._answer(self._listing)
        self._listing = None
        if forget:
            took_s = time.monotonic() - begin_s
            self._forget_at_s = time.monotonic() + max(FORGET_S, took_s * FORGET_SHARE)
        intake.found(listing, at_start=self._at_start)
        self._at_start = self._at_start and listing.state != "ok"
        return listing

    async def _answer(self, listing: asyncio.Task[Listing]) -> Listing:
        """What the look finds. While it hangs in the kernel, that is told; the rest is up to the proof of progress."""
        silent_s = 0  # counted, not measured: a paused process has not waited
        while not (await asyncio.wait({listing}, timeout=1))[0]:
            silent_s = 0 if self._gets_on else silent_s + 1
            self._gets_on = False
            if silent_s == NO_ANSWER_S:
                self._tell(Listing("unreadable", f"{self._config.root}: no answer for {NO_ANSWER_S} s"))
                self.ready.set()  # nor is a start held up
        return listing.result()

    def _got_on(self) -> None:
        self._gets_on = True
        self._progress()

    def _tell(self, listing: Listing) -> None:
        if (listing.state, listing.reason) != (self.state, self.reason):
            if listing.state != "ok" or listing.reason:
                log.warning("source %s: %s", listing.state, listing.reason)
            elif self.state != "ok":
                log.info("source ok: watching %s", self._config.root)
        self.state, self.reason = listing.state, listing.reason
        if listing.state == "ok" and bool(listing.stepped_back_s) != self._stepped_back:  # else nothing is known
            self._stepped_back = not self._stepped_back
            if self._stepped_back:
                log.warning(
                    "the clock was stepped back: %s changed last %.0f s later than now; until then only what lands "
                    "from now on counts as new (timedatectl, chronyc tracking)",
                    self._config.root, listing.stepped_back_s,
                )  # fmt: skip
            else:
                log.info("the clock has caught up with what it had dated")

    def _mode_changes(self, listing: Listing) -> bool:
        """Choose inotify or polling when ROOT is (re)mounted or recreated; whether there is something to arm."""
        root = listing.folders[0] if listing.folders else None
        if root != self._root_folder:
            self._root_folder = root
            self.close()
            if root is not None:
                self._watcher = self._open_watcher()
        self.watch_mode = "inotify" if self._watcher else "polling"
        self._intake.read_in_thread = self._watcher is None
        return self._watcher is not None

    def _open_watcher(self) -> Watcher | None:
        if self._config.watch_mode == "polling":
            return None
        try:
            kind = remote(self._config.root) if self._config.watch_mode == "auto" else None
            if kind is not None:
                log.info("watching by polling every %g s: %s gives no events", self._config.poll_s, kind.name)
                return None
            hints = Hints(
                completed=self._intake.completed,
                created=self._intake.created,
                touched=self._intake.touched,
                list_again=lambda _reason: self.list_soon(),
                day=self._day_appeared,
                overflow=self._overflow,
            )
            watcher = Watcher(self._config.root, hints)
        except OSError as error:
            log.warning("no inotify (%s); watching by polling every %g s", error, self._config.poll_s)
            return None
        asyncio.get_running_loop().add_reader(watcher.fileno(), watcher.read)
        log.info("watching %s by inotify", self._config.root)
        return watcher

    def _arm(self, listing: Listing) -> bool:
        assert self._watcher is not None
        try:
            return self._watcher.arm(listing.folders)
        except OSError as error:
            log.warning(
                "inotify: %s; watching by polling; raise fs.inotify.max_user_watches and restart the bridge", error
            )
            self.close()
            return False

    def _day_appeared(self, day: str) -> None:
        self._root.include(day)
        self.list_soon()

    def _overflow(self) -> None:
        self._metrics.overflows += 1
        log.warning("inotify queue overflowed, events were lost; looking at the folder instead")
        self.list_soon(forget=True)
