"""The thread that talks to Hazelcast: it connects, listens, asks, and connects again, until it is closed.

It never calls code of the strategy's, and nobody waits for it without a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from hazelcast.asyncio import Map
from hazelcast.core import HazelcastJsonValue

from bridge.cluster.hazelcast_client import Client, read_key
from bridge.consumer.circumstances import Circumstances, parse_report
from bridge.consumer.clock import steady_s
from bridge.consumer.errors import Closed, Unreachable
from bridge.consumer.newest import Newest
from bridge.consumer.session import Away, LibraryLog, Session, open_session
from bridge.consumer.settings import Settings
from bridge.system.backoff import Backoff

log = logging.getLogger(__name__)

T = TypeVar("T")

# Where bridges up to 1.0 say how they are: an entry beside the newest scan.
_OLD_STATUS_KEY = "bridge_status"
# What a call of another thread may take longer than the call itself.
_HANDING_OVER_S = 1.0


@dataclass(frozen=True)
class KeyListener:
    """Wants to hear of each entry that is added to a map: `added` gets its key; both run in the connection's thread."""

    map: str
    added: Callable[[str], None]
    connected: Callable[[], None]  # entries may have been added unheard until now


class Connection:
    """Keeps `newest` and `circumstances` up to date."""

    def __init__(self, settings: Settings, newest: Newest, circumstances: Circumstances) -> None:
        self._settings = settings
        self._newest = newest
        self._circumstances = circumstances
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda *_: None)  # of tasks that the library started, and forgot
        self._task = self._loop.create_task(self._keep_connected())
        self._session: Session | None = None
        self._listeners: list[KeyListener] = []
        self._heard_s = 0.0
        self.thread = threading.Thread(target=self._run, name="scan-consumer", daemon=True)

    def close(self) -> None:
        """Ask the thread to end. From any other thread."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._task.cancel)

    def call(self, ask: Callable[[Client], Coroutine[Any, Any, T]], what: str) -> T:
        """Ask Hazelcast something, and wait for the answer. From any other thread.

        Raises:
            Unreachable: no answer in time.
            Closed: the consumer was closed.
        """

        async def answer() -> T:
            if self._session is None:
                raise Away(self._circumstances.away(steady_s()) or "not connected")
            return await self._session.call(ask(self._session.client), what)

        future = self._hand_over(answer())
        try:
            return future.result(self._settings.call_timeout_s + _HANDING_OVER_S)
        except CancelledError as error:
            raise Closed("the consumer was closed") from error
        except (Away, TimeoutError) as error:
            raise Unreachable(f"Hazelcast {self._settings.address}: {error or 'no answer'}") from error

    def listen(self, listener: KeyListener) -> None:
        """Tell `listener` from now on, whatever becomes of the connection. From any other thread."""

        async def add() -> None:
            self._listeners.append(listener)
            if (session := self._session) is not None:
                try:
                    await self._add(listener, session)
                except Away:
                    session.lose()  # the next one tells it

        self._hand_over(add())

    def forget(self, listener: KeyListener) -> None:
        """Tell it no more. (Hazelcast goes on sending until the connection ends.) From any other thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._listeners.remove, listener)

    def _hand_over(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:  # the loop is closed
            coroutine.close()
            raise Closed("the consumer was closed") from error

    def _run(self) -> None:
        loop = self._loop
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(self._task)
        for task in asyncio.all_tasks(loop):  # those who wait for an answer learn that there will be none
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def _keep_connected(self) -> None:
        backoff = Backoff(log, f"Hazelcast {self._settings.address} away")
        with LibraryLog():
            while True:
                try:
                    session = self._session = await open_session(self._settings)
                    await self._serve(session, backoff)
                except Exception as error:  # noqa: BLE001  # whatever it is, the remedy is a new connection
                    reason = str(error) if isinstance(error, Away) else f"{type(error).__name__}: {error}"
                    self._circumstances.is_away(reason)
                    wait_s = backoff.failed(reason)
                finally:
                    if (open_one := self._session) is not None:
                        self._session = None
                        await open_one.close()
                await asyncio.sleep(wait_s)

    async def _serve(self, session: Session, backoff: Backoff) -> NoReturn:
        """Keep everything up to date until the connection is lost, or Hazelcast leaves a question unanswered.

        Raises:
            Away: one of these.
        """
        settings = self._settings
        scans: Map[str, Any] = await session.call(session.client.open_map(settings.map), f"opening map {settings.map}")
        listening = scans.add_entry_listener(
            include_value=True, key=settings.scan_key, added_func=self._on_event, updated_func=self._on_event
        )
        await session.call(listening, f"listening to {settings.scan_key}")
        for listener in self._listeners:
            await self._add(listener, session)
        await self._look(session, scans)
        backoff.succeeded()
        while True:
            silent_s = steady_s() - self._heard_s
            await session.wait(settings.look_s - silent_s)
            if steady_s() - self._heard_s >= settings.look_s:
                await self._look(session, scans)

    def _on_event(self, event: Any) -> None:
        self._heard_s = steady_s()
        self._newest.offer(event.value)

    async def _look(self, session: Session, scans: Map[str, Any]) -> None:
        """Ask for the newest scan, and for how the bridges are."""
        settings = self._settings
        asked_s = steady_s()
        value = await self._ask(session, scans.get(settings.scan_key), f"get {settings.scan_key}")
        self._circumstances.is_there()
        self._newest.offer(value, asked_s)
        self._newest.looked()
        self._heard_s = steady_s()
        opening = f"opening map {settings.status_map}"
        statuses: Map[str, Any] = await self._ask(session, session.client.open_map(settings.status_map), opening)
        entries = [
            await self._ask(session, scans.get(_OLD_STATUS_KEY), f"get {_OLD_STATUS_KEY}"),
            *await self._ask(session, statuses.values(), f"values of {settings.status_map}"),
        ]
        texts = [entry.to_string() for entry in entries if isinstance(entry, HazelcastJsonValue)]
        reports = [parse_report(text, settings.map, settings.scan_key) for text in texts]
        self._circumstances.told(filter(None, reports), (steady_s(), time.time_ns()))
        self._newest.looked()

    async def _ask(self, session: Session, answer: Coroutine[Any, Any, T], what: str) -> T:
        """As `Session.call`, and how long an answer is outstanding is known to who wonders about it meanwhile."""
        self._circumstances.asked(steady_s())
        found = await session.call(answer, what)
        self._circumstances.answered()
        return found

    async def _add(self, listener: KeyListener, session: Session) -> None:
        def on_added(event: Any) -> None:
            key = read_key(event.key)
            if key is not None and listener in self._listeners:
                listener.added(key)

        keys: Map[str, Any] = await session.call(session.client.open_map(listener.map), f"opening map {listener.map}")
        await session.call(keys.add_entry_listener(added_func=on_added), f"listening to {listener.map}")
        listener.connected()
