"""The stage that keeps the history's process running, hears how far it is, and tells it which files were closed.

It is a process of its own, so that neither its work nor a file that kills it can hold up the newest scan.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable

from bridge.config import Config
from bridge.model.history import BadFile, from_line
from bridge.model.status import HistoryStatus
from bridge.system.backoff import Backoff

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-P", "-m", "bridge.history")
# It reports each second; silent for so long, it hangs.
SILENT_S = 30.0
# What it has not read yet of what was closed. Beyond that it finds files by itself.
MOST_UNREAD_BYTES = 64_000
LINE_BYTES = 1_000_000
ENDING_S = 0.5


class HistoryProcess:
    """The process, and what it last said."""

    def __init__(self, config: Config, on_bad: Callable[[BadFile], None]) -> None:
        """`on_bad` hears of each file that the history found bad."""
        self._config = config
        self._on_bad = on_bad
        self._process: Process | None = None
        self._backoff = Backoff(log, "the history's process", first_wait_s=0.5, longest_wait_s=10.0)
        self._heard_s = 0.0
        self._behind_since_s: float | None = None
        self._told = HistoryStatus(trouble="not started yet")

    @property
    def status(self) -> HistoryStatus | None:
        """How far the history is; None if it is switched off."""
        if not self._config.history.keep_s:
            return None
        behind_s = 0.0 if self._behind_since_s is None else time.monotonic() - self._behind_since_s
        return self._told.model_copy(update={"behind_s": round(behind_s, 1)})

    def closed(self, path: str) -> None:
        """The writer of this file is done with it."""
        if self._process is not None and self._process.stdin is not None:
            pipe = self._process.stdin
            if not pipe.is_closing() and pipe.transport.get_write_buffer_size() < MOST_UNREAD_BYTES:
                pipe.write(json.dumps(path).encode() + b"\n")

    async def step(self, longest_wait_s: float) -> None:
        """Start it if it does not run, else hear what it says."""
        if not self._config.history.keep_s:
            await asyncio.sleep(longest_wait_s)
        elif self._process is None:
            await self._start()
        else:
            await self._hear(self._process, longest_wait_s)

    async def reconfigure(self, config: Config) -> None:
        """Go on with another configuration."""
        old, self._config = self._config, config
        if self._process is not None and _handed_over(old) != _handed_over(config):
            await self.close()

    async def close(self) -> None:
        """End it, and wait for a moment until it has."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # every step of it can be broken off
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ENDING_S):
                    await process.wait()

    async def _start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES, env=environment
            )
        except OSError as error:
            await self._failed(f"it cannot be started: {error.strerror}")
            return
        assert self._process.stdin is not None
        self._process.stdin.write(_handed_over(self._config))
        self._heard_s = time.monotonic()

    async def _hear(self, process: Process, longest_wait_s: float) -> None:
        assert process.stdout is not None
        begin_s = time.monotonic()
        try:
            async with asyncio.timeout(longest_wait_s):
                line = await process.stdout.readline()
        except TimeoutError:
            # Only what we waited for counts: nobody is silent while the whole machine stands still.
            self._heard_s = max(self._heard_s, begin_s - SILENT_S)
            if time.monotonic() - self._heard_s > SILENT_S:
                await self.close()
                await self._failed(f"it said nothing for {SILENT_S:g} s")
            return
        if not line:
            await process.wait()
            self._process = None
            await self._failed(f"it ended ({_how(process.returncode)})")
            return
        self._heard_s = time.monotonic()
        self._take(line)

    def _take(self, line: bytes) -> None:
        message = from_line(line)
        if isinstance(message, BadFile):
            self._on_bad(message)
            return
        self._backoff.succeeded()
        self._told = message
        since_s = time.monotonic() - message.behind_s
        if message.missing == 0:  # the map may lose scans all the same, as fast as they are put there
            self._behind_since_s = since_s if message.behind_s else None
        else:
            self._behind_since_s = since_s if self._behind_since_s is None else min(self._behind_since_s, since_s)

    async def _failed(self, reason: str) -> None:
        self._told = HistoryStatus(trouble=f"the history's process: {reason}")
        self._behind_since_s = self._behind_since_s or time.monotonic()
        await asyncio.sleep(self._backoff.failed(reason))


def _handed_over(config: Config) -> bytes:
    """The configuration as one line. It names files with secrets, and holds none."""
    return config.model_dump_json(exclude={"health", "metrics"}).encode() + b"\n"


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
