"""Every scan since a moment, from the map of the last hours; then, if wanted, each further one. No gap, none twice.

What is wanted is compared with what was handed out, by key: by events, and by asking for all keys after each new
connection and now and then. So nothing depends on an event, nor on the order in which scans are put there.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, Self, TypeVar

from hazelcast.asyncio import Map
from hazelcast.predicate import greater_or_equal

from bridge.cluster.hazelcast_client import Client, read_key
from bridge.consumer.clock import steady_s
from bridge.consumer.connection import Connection, KeyListener
from bridge.consumer.errors import Closed, Unreachable
from bridge.consumer.newest import Newest
from bridge.consumer.scan import Scan, age_s
from bridge.consumer.settings import Settings
from bridge.consumer.value import NotAScan, open_value
from bridge.model.order import printable

log = logging.getLogger(__name__)

T = TypeVar("T")

# `{mtime_ns:020d} {path}`: keys sort as scans do.
_KEY = re.compile(r"\d{20} ", re.ASCII)
# Events can be lost, so all keys are asked for after so long. A key is some 50 bytes.
LOOK_S = 10.0
# Read ahead, as far as these bytes go.
AHEAD_BYTES = 8_000_000
MOST_AHEAD = 64
# Keys remembered, about 100 MB; older scans than these are not handed out any more, however late they come.
MOST_KNOWN = 1_000_000
RETRY_S = 0.2


class History(Iterator[Scan]):
    """An iterator over scans from the history, for one thread. Use it as a context manager, or call `close`.

    First all that are there, in rising order; then, with `follow`, each further one as it is put there. What is put
    there late comes late, and two that are put there in the same moment come in either order: look at `scan.key`.

    Without `follow` it raises `Unreachable` if Hazelcast does not answer; with it, what `Follower` raises, once nothing
    is left to hand out. Asked again, it goes on where it was.
    """

    def __init__(self, newest: Newest, connection: Connection, settings: Settings, since_ns: int, follow: bool) -> None:
        self._newest = newest
        self._connection = connection
        self._settings = settings
        self._floor = f"{max(0, since_ns):020d}"
        self._wanted: list[str] = []  # a heap
        self._known: set[str] = set()  # wanted or handed out
        self._read: deque[Scan] = deque()
        self._ahead = 1
        self._added: deque[str] = deque()
        self._looked_s: float | None = None
        self._told = False
        self._warned = False
        self._gone = 0
        self._ended = False
        self._listener = KeyListener(settings.history_map, self._on_added, self._on_connected) if follow else None
        if self._listener:
            connection.listen(self._listener)

    def __iter__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Follow no more: it ends, also for a thread that waits for the next one. From any thread."""
        self._ended = True
        if self._listener:
            self._connection.forget(self._listener)
        with self._newest.changed:
            self._newest.changed.notify_all()

    def __next__(self) -> Scan:
        try:
            return self._next()
        except Closed:
            if self._ended or self._newest.closing.is_set():
                raise StopIteration from None
            raise

    def _next(self) -> Scan:
        while True:
            self._check_open()
            if self._looked_s is None or (self._listener and steady_s() - self._looked_s > LOOK_S):
                self._look()
            while self._added:
                self._want(self._added.popleft())
            if not self._read and self._wanted:
                self._read_ahead()
            if self._read:
                return self._read.popleft()
            if not self._wanted:
                if not self._listener:
                    self._tell_gone()
                    break
                self._wait()
        raise StopIteration

    def _check_open(self) -> None:
        self._newest.check_open()
        if self._ended:
            raise Closed("this history was closed")

    def _on_added(self, key: str) -> None:
        self._added.append(key)
        with self._newest.changed:
            self._newest.changed.notify_all()

    def _on_connected(self) -> None:
        self._looked_s = None

    def _want(self, key: str) -> None:
        if _KEY.match(key) and key >= self._floor and key not in self._known:
            self._known.add(key)
            heappush(self._wanted, key)

    def _look(self) -> None:
        """Ask which scans there are."""
        self._looked_s = steady_s()  # before asking: a new connection meanwhile asks for another look

        async def keys(client: Client) -> list[Any]:
            history: Map[str, Any] = await client.open_map(self._settings.history_map)
            return await history.key_set(greater_or_equal("__key", self._floor))

        try:
            found = self._ask(keys, "the history's keys")
        except BaseException:
            self._looked_s = None
            raise
        for key in map(read_key, found):
            if key is not None:
                self._want(key)
        if not self._known and not self._warned and (names := self._newest.without_history()):
            self._warned = True
            log.warning("%s holds nothing: %s keeps no history (history.keep_s = 0)", self._settings.history_map, names)
        if len(self._known) > MOST_KNOWN:
            newest = sorted(self._known)[MOST_KNOWN // 2 :]
            self._floor, self._known = newest[0], {*newest, *self._wanted}

    def _read_ahead(self) -> None:
        """Get the next scans; those that have expired meanwhile are gone."""
        keys = [heappop(self._wanted) for _ in range(min(self._ahead, len(self._wanted)))]

        async def values(client: Client) -> dict[str | None, Any]:
            history: Map[str, Any] = await client.open_map(self._settings.history_map)
            return {read_key(key): value for key, value in (await history.get_all(keys)).items()}

        try:
            found = self._ask(values, "scans of the history")
        except BaseException:
            self._wanted += keys
            heapify(self._wanted)
            raise
        for key in keys:
            try:
                opened = open_value(found[key])
                table, now_ns = opened.read(), time.time_ns()
            except KeyError:  # expired, or lost: then it will be put there again
                self._known.discard(key)
                self._gone += 1
                continue
            except NotAScan as error:
                log.warning("%s, %s: %s; it is left out", self._settings.history_map, printable(key), error)
                continue
            self._read.append(Scan(table, opened.provenance, 0, steady_s(), age_s(opened.provenance, now_ns)))
            self._ahead = min(MOST_AHEAD, max(1, AHEAD_BYTES // max(1, table.nbytes)))

    def _tell_gone(self) -> None:
        """Say in the log how many scans there were that could not be had: who tries a strategy has to know."""
        if self._gone:
            log.warning("%s: %d scans were gone (expired, or lost) before they were read; they are left out",
                        self._settings.history_map, self._gone)  # fmt: skip
            self._gone = 0

    def _ask(self, ask: Callable[[Client], Coroutine[Any, Any, T]], what: str) -> T:
        """Ask until there is an answer, or a reason to tell that there is none."""
        give_up_s = steady_s() + self._settings.connect_timeout_s
        while True:
            self._check_open()
            try:
                return self._connection.call(ask, what)
            except Unreachable:
                if not self._listener and steady_s() > give_up_s:
                    raise
            if self._listener:
                self._tell()
            self._newest.closing.wait(RETRY_S)

    def _wait(self) -> None:
        """Until there may be more."""
        with self._newest.changed:
            if not self._added and self._looked_s is not None and not (self._ended or self._newest.closing.is_set()):
                self._tell()
                self._newest.wait(self._newest.state())

    def _tell(self) -> None:
        """Raise why there is no fresh scan, once."""
        state = self._newest.state()
        if isinstance(state, Scan):
            self._told = False
        elif state is not None and not self._told:
            self._told = True
            raise state
