"""One connection to Hazelcast: opened, asked and closed, each with a deadline; what goes wrong is one line.

It changes nothing for other clients in the same process: those are the strategy's own business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from hazelcast.config import Config, ReconnectMode
from hazelcast.lifecycle import LifecycleState

from bridge.cluster.hazelcast_client import CannotConnect, Client
from bridge.cluster.hazelcast_errors import one_line
from bridge.consumer.settings import Settings

T = TypeVar("T")

CLIENT_NAME = "scan-consumer"
SHUTDOWN_S = 1.0
# The loggers of the library's asyncio client. One trouble is up to a dozen lines there, with tracebacks.
_LOGGERS = (
    "hazelcast.lifecycle",
    *(
        f"hazelcast.internal.asyncio_{part}"
        for part in ("client", "cluster", "compact", "connection", "invocation", "listener", "partition", "reactor")
    ),
)


class Away(Exception):
    """The cluster did not do what was asked, or not in time. The message is one line for the log."""


class Session:
    """One connection to the cluster, from `open_session` to its loss."""

    def __init__(self, client: Client, call_timeout_s: float) -> None:
        self.client = client
        self._call_timeout_s = call_timeout_s
        self._lost = asyncio.Event()

    def lose(self) -> None:
        """It is of no use any more."""
        self._lost.set()

    async def wait(self, timeout_s: float) -> None:
        """Wait for so long.

        Raises:
            Away: the connection was lost meanwhile.
        """
        # Not `wait_for`: Python 3.11's forgets that we were cancelled if the connection is lost at that moment.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._lost.wait()
            raise Away("the connection was lost")

    async def call(self, answer: Coroutine[Any, Any, T], what: str) -> T:
        """Wait for an answer, but no longer than `call_timeout_s`.

        Raises:
            Away: it did not come, or was an error.
        """
        try:
            return await within(self._call_timeout_s, answer, what)
        except Away as error:
            if self._lost.is_set():  # the library gives it other names
                raise Away("the connection was lost") from error
            raise

    async def close(self) -> None:
        """Close the connection, at the latest after `SHUTDOWN_S`."""
        closing = asyncio.create_task(self.client.shutdown())
        await asyncio.wait({closing}, timeout=SHUTDOWN_S)
        _forget(closing)


async def open_session(settings: Settings) -> Session:
    """Connect.

    Raises:
        Away: no member answered within `connect_timeout_s`, or the cluster refused us.
    """
    client = Client(_config(settings), settings.connect_timeout_s, cleaning_s=settings.call_timeout_s / 4)
    session = Session(client, settings.call_timeout_s)

    def on_lifecycle(state: str) -> None:
        if state in (LifecycleState.DISCONNECTED, LifecycleState.SHUTTING_DOWN):
            session.lose()

    client.lifecycle_service.add_listener(on_lifecycle)
    starting = asyncio.create_task(client.start())
    try:
        await within(settings.connect_timeout_s * 2 + settings.call_timeout_s, starting, "connecting")
    except BaseException as error:
        await session.close()
        starting.cancel()  # it may wait for what nobody will send
        if isinstance(error.__cause__, CannotConnect):
            raise Away(str(error.__cause__)) from error.__cause__
        raise
    return session


async def within(timeout_s: float, answer: Coroutine[Any, Any, T] | asyncio.Task[T], what: str) -> T:
    """Wait for an answer with a deadline. Then it is abandoned, not cancelled: the library could not bear that.

    Raises:
        Away: it did not come, or was an error.
    """
    task = asyncio.ensure_future(answer)
    _forget(task)
    await asyncio.wait({task}, timeout=timeout_s)
    if not task.done():
        raise Away(f"{what}: no answer within {timeout_s:g} s")
    try:
        return task.result()
    except Exception as error:
        raise Away(f"{what}: {one_line(error)}") from error


def _config(settings: Settings) -> Config:
    config: Config = Config.from_dict(dict(settings.client_options))
    config.client_name = config.client_name or CLIENT_NAME
    config.cluster_name = settings.cluster_name
    config.cluster_members = list(settings.members)
    config.reconnect_mode = ReconnectMode.OFF
    config.heartbeat_timeout = settings.connect_timeout_s
    config.heartbeat_interval = settings.connect_timeout_s / 5
    config.invocation_timeout = settings.call_timeout_s
    return config


def _forget(task: asyncio.Future[Any]) -> None:
    """Let a task end by itself, and mark its exception as seen."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


class LibraryLog(logging.Filter):
    """Keeps what the library logs in the running thread out of the log. Use as a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let through what other threads log."""
        return record.thread != self._thread

    def __enter__(self) -> LibraryLog:
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)
        return self

    def __exit__(self, *_: object) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)
