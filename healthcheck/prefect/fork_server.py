"""Processes that begin with everything imported: a server that was forked off while there was one thread only.

To import Prefect takes seconds of CPU, to fork takes milliseconds. What a run does to itself, the next one does not
see: each is forked from the same server, which runs nothing itself. Knows nothing of Prefect.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

Request: TypeAlias = dict[str, Any]  # what JSON can carry

START_S = 10.0  # for the server to fork
KILL_S = 5.0  # for a process that was killed to be gone


class ForkServerError(Exception):
    """The server is gone, or forked nothing in time."""


class ForkServer:
    """Forks processes that call `target` with a request, one at a time.

    To be made while the process has one thread. In each forked process the constructor does not return: `SystemExit`
    rises through its caller, so that the process ends as any other, with all that is registered for its exit.
    """

    def __init__(self, target: Callable[[Request], None]) -> None:
        """Fork the server.

        Raises:
            RuntimeError: there are threads, whose locks a forked process would inherit for ever.
        """
        if threading.active_count() > 1:
            raise RuntimeError("a fork server is made before any thread")
        self._ours, theirs = socket.socketpair()
        self._requests = 0
        self._running: ForkedProcess | None = None
        gc.collect()
        gc.freeze()  # what the collector does not touch stays shared
        self._pid = os.fork()
        if self._pid == 0:
            self._ours.close()
            _serve(theirs, target)
        theirs.close()
        self._unread = b""
        self._ending = threading.RLock()  # who asks and who waits may both find out that the server has ended

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        with self._ending:
            if self._pid:
                with contextlib.suppress(ChildProcessError):
                    if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                        return True
                self._pid = 0
            return False

    @property
    def is_idle(self) -> bool:
        """Whether it can fork a process at once: it is alive, and the one before has ended."""
        return (self._running is None or self._running.exitcode is not None) and self.is_alive

    def start(self, request: Request, deadline_s: float) -> ForkedProcess:
        """Fork a process that calls `target`, and is killed once it has run for `deadline_s`.

        Raises:
            ForkServerError: the server is gone, or still waits for the process before.
        """
        self._requests += 1
        process = ForkedProcess(self, self._requests, deadline_s)
        try:
            self._ours.settimeout(START_S)
            self._ours.sendall(json.dumps({"number": process.number, "request": request}).encode() + b"\n")
            process.pid = self.reply("forked", process.number, START_S)
        except OSError as error:
            self.stop()  # whatever it would answer later, nobody would understand
            raise ForkServerError(f"no process was forked: {error or type(error).__name__}") from error
        self._running = process
        return process

    def reply(self, kind: str, number: int, wait_s: float) -> int:
        """The number that a reply carries; replies to requests that were given up are passed over. Raises OSError."""
        deadline = time.monotonic() + wait_s
        while True:
            line, complete, rest = self._unread.partition(b"\n")
            if not complete:
                self._ours.settimeout(max(0.001, deadline - time.monotonic()))
                received = self._ours.recv(4096)
                if not received:
                    raise ConnectionResetError("the fork server has ended")
                self._unread += received
                continue
            self._unread = rest
            reply = json.loads(line)
            if (reply["kind"], reply["number"]) == (kind, number):
                return int(reply["value"])

    def stop(self) -> None:
        """End the server, and the process that it forked last, if that still runs."""
        with self._ending:
            if self._running:
                self._running.kill()
            if self.is_alive:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                self._pid = 0
            self._ours.close()


class ForkedProcess:
    """One forked process, by the names that `multiprocessing` has for one of its own."""

    def __init__(self, server: ForkServer, number: int, deadline_s: float) -> None:
        self.number = number
        self.pid: int | None = None
        self.exitcode: int | None = None  # minus the signal's number where that ended it
        self._server = server
        self._deadline_s = deadline_s

    def join(self) -> None:
        """Wait until it has ended; kill it at its deadline. Returns within that and KILL_S, even if it never ends."""
        try:
            try:
                status = self._server.reply("ended", self.number, self._deadline_s)
            except TimeoutError:
                self.kill()
                status = self._server.reply("ended", self.number, KILL_S)
            self.exitcode = os.waitstatus_to_exitcode(status)
        except OSError:
            self.kill()
            self.exitcode = -signal.SIGKILL
            self._server.stop()

    def kill(self) -> None:
        """Kill it, if it still runs."""
        if self.pid and self.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _serve(requests: socket.socket, target: Callable[[Request], None]) -> NoReturn:
    """The server: forks, waits, answers; ends when nobody can ask any more."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: who asks decides
        with requests.makefile("rb") as lines:
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    break
                _answer(requests, "forked", asked["number"], pid)
                _answer(requests, "ended", asked["number"], os.waitpid(pid, 0)[1])
            else:
                os._exit(0)
    except BaseException:  # noqa: BLE001  # nothing may escape into what this process was forked from
        os._exit(1)
    requests.close()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _call(target, asked["request"])


def _answer(requests: socket.socket, kind: str, number: int, value: int) -> None:
    requests.sendall(json.dumps({"kind": kind, "number": number, "value": value}).encode() + b"\n")


def _call(target: Callable[[Request], None], request: Request) -> NoReturn:
    try:
        target(request)
    except Exception:  # noqa: BLE001  # as at the end of any process
        traceback.print_exc()
        sys.exit(1)
    sys.exit(0)
