"""The consumer: what a strategy holds. It only wires the parts together."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Self

from bridge.consumer.circumstances import Circumstances
from bridge.consumer.clock import steady_s
from bridge.consumer.connection import Connection
from bridge.consumer.errors import Closed, NoFreshScan
from bridge.consumer.follower import Follower
from bridge.consumer.guard import Callback, Guard
from bridge.consumer.history import History
from bridge.consumer.newest import Newest
from bridge.consumer.scan import Scan
from bridge.consumer.settings import Settings


class ScanConsumer:
    """Scans from Hazelcast, for any number of threads. Use it as a context manager, or call `close`.

    It connects by itself, and again whenever the connection is lost. Nothing here waits for Hazelcast without a
    deadline, and no method waits for it at all once there is a scan.

    Attributes:
        settings: as given.
        fresh: an event that is set while there is a scan that may be acted upon.
        stale: an event that is set while there is none. Neither is set until the first answer, or its deadline.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_scan: Callable[[Scan], object] | None = None,
        on_stale: Callable[[NoFreshScan], object] | None = None,
        on_fresh: Callable[[Scan], object] | None = None,
    ) -> None:
        """Start. Each callback runs in a thread of its own (`on_stale` and `on_fresh` share one), one call at a time.

        Args:
            settings: where scans come from, and from which age they are stale.
            on_scan: gets each newest fresh scan as it comes. One that is slow gets the newest when it returns, and
                `missed` says how many went by.
            on_stale: gets the reason when there is no fresh scan any more; also if there is none to begin with.
            on_fresh: gets the scan when there is a fresh one (again).
        """
        self.settings = settings
        circumstances = Circumstances()
        self._newest = Newest(settings, circumstances)
        self._connection = Connection(settings, self._newest, circumstances)
        guard = Guard(self._newest, _named("on_stale", on_stale), _named("on_fresh", on_fresh))
        self.fresh, self.stale = guard.fresh, guard.stale
        self._threads = [self._connection.thread, *guard.threads()]
        if callback := _named("on_scan", on_scan):
            call = threading.Thread(target=self._call, args=(callback,), name="scan-consumer-calls", daemon=True)
            self._threads.append(call)
        for thread in self._threads:
            thread.start()
        atexit.register(self.close)

    def newest(self) -> Scan:
        """The newest scan, if it is fresh.

        Answers at once, whatever Hazelcast does: the newest scan is always here already. Only at the start it waits,
        `connect_timeout_s` at most, for the first answer.

        Raises:
            NoScan: Hazelcast holds none.
            Stale: it is older than `max_age_s`.
            Unreachable: Hazelcast does not answer, and never gave a scan.
            Closed: the consumer was closed.
        """
        newest = self._newest
        newest.check_open()
        state = newest.state()
        if state is None:
            with newest.changed:
                while (state := newest.state()) is None:
                    newest.check_open()
                    newest.wait(state)
        if isinstance(state, Scan):
            return state
        raise state

    def follow(self) -> Follower:
        """Each newest scan from now on, beginning with the one that is there. Any number of these at a time."""
        self._newest.check_open()
        return Follower(self._newest)

    def history(self, since: datetime | int, *, follow: bool = False) -> History:
        """Every scan written since a moment, in rising order; with `follow` each further one, without a gap.

        Args:
            since: a moment with a time zone, or ns since 1970.
            follow: go on for ever.

        Raises:
            ValueError: `since` has no time zone.
        """
        if isinstance(since, datetime):
            if since.tzinfo is None:
                raise ValueError(f"since: {since} has no time zone")
            since = int(since.timestamp()) * 1_000_000_000 + since.microsecond * 1000
        self._newest.check_open()
        return History(self._newest, self._connection, self.settings, since, follow)

    def close(self, timeout_s: float = 2.0) -> None:
        """End all of it: iterators end, whoever waits gets `Closed`. From any thread, also in a callback, also twice.

        Returns after `timeout_s` at the latest: a callback may be still running then, and nothing else.
        """
        try:
            self._newest.check_open()
        except Closed:
            return
        atexit.unregister(self.close)
        self._newest.close()
        self._connection.close()
        deadline_s = steady_s() + timeout_s
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline_s - steady_s()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, callback: Callback) -> None:
        scans = self.follow()
        while True:
            try:
                scan = next(scans)
            except StopIteration:
                return
            except NoFreshScan:
                continue  # `on_stale` tells it
            callback(scan)


def _named(name: str, function: Callable[..., object] | None) -> Callback | None:
    return Callback(name, function) if function else None
