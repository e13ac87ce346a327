"""Runs another program within a deadline and with bounded output. What cannot be ended is left, not waited for."""

from __future__ import annotations

import selectors
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from healthcheck.model.observation import LeftBehind

MOST_OUTPUT = 4 * 1024**2  # bytes; more is cut off
KILL_WAIT_S = 0.5


class CommandError(Exception):
    """The program could not be run, or gave no usable answer."""


class CommandTimeout(CommandError):
    """The program did not end in time. `left` is set if it could not even be killed: it hangs in the kernel."""

    def __init__(self, message: str, left: LeftBehind | None = None) -> None:
        super().__init__(message)
        self.left = left


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and what it wrote."""

    status: int
    out: str
    err: str


def run(command: Sequence[str], deadline_s: float) -> Ran:
    """Run a program, without a shell and without input. Returns or raises within the deadline, the killing included.

    Raises:
        CommandError: there is no such program, it wrote too much, or (`CommandTimeout`) it did not end in time.
    """
    name = command[0].rpartition("/")[2]
    try:
        process = subprocess.Popen(  # noqa: S603  # no shell; the arguments are ours or validated
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from error
    kill_wait_s = min(KILL_WAIT_S, deadline_s / 5)
    deadline = time.monotonic() + deadline_s - kill_wait_s
    try:
        out, err = _read(process, deadline)
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except (subprocess.TimeoutExpired, TimeoutError):
        raise CommandTimeout(f"{name}: no answer within {deadline_s:g} s", _end(process, kill_wait_s)) from None
    except OverflowError:
        _end(process, kill_wait_s)
        raise CommandError(f"{name}: more than {MOST_OUTPUT} bytes of output") from None
    finally:
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    return Ran(status, out.decode(errors="replace"), err.decode(errors="replace"))


def is_running(process: LeftBehind) -> bool:
    """Whether a process of ours that could not be ended is still there (a dead one not yet reaped is not)."""
    return _started(process.pid) == process.started


def _started(pid: int) -> int | None:
    """When a process was started, in clock ticks since the boot; None if it does not run."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Both outputs to their ends. Raises TimeoutError, OverflowError."""
    streams: dict[IO[bytes], bytearray] = {stream: bytearray() for stream in (process.stdout, process.stderr) if stream}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                stream = key.fileobj  # type: ignore[assignment]
                chunk = stream.read1(65_536)  # type: ignore[attr-defined]
                if not chunk:
                    selector.unregister(stream)
                streams[stream] += chunk
                if sum(map(len, streams.values())) > MOST_OUTPUT:
                    raise OverflowError
    out, err = streams.values()
    return bytes(out), bytes(err)


def _end(process: subprocess.Popen[bytes], wait_s: float) -> LeftBehind | None:
    """Kill; what is left behind if it does not even die of that (it hangs in the kernel)."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(wait_s)
        return None
    started = _started(process.pid)
    return None if started is None else LeftBehind(process.pid, started)
