"""Runs another program within a deadline and with bounded output. What cannot be ended is left, not waited for."""

from __future__ import annotations

import selectors
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

MOST_OUTPUT = 4 * 1024**2  # bytes; more is cut off
KILL_WAIT_S = 0.5


class CommandError(Exception):
    """The program could not be run, or gave no usable answer."""


class CommandTimeout(CommandError):
    """The program did not end in time. `pid` is set if it could not even be killed: it hangs in the kernel."""

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and what it wrote."""

    status: int
    out: str
    err: str


def run(command: Sequence[str], deadline_s: float) -> Ran:
    """Run a program, without a shell and without input.

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
    deadline = time.monotonic() + deadline_s
    try:
        out, err = _read(process, deadline)
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except (subprocess.TimeoutExpired, TimeoutError):
        raise CommandTimeout(f"{name}: no answer within {deadline_s:g} s", _end(process)) from None
    except OverflowError:
        _end(process)
        raise CommandError(f"{name}: more than {MOST_OUTPUT} bytes of output") from None
    finally:
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    return Ran(status, out.decode(errors="replace"), err.decode(errors="replace"))


def is_running(pid: int) -> bool:
    """Whether a process of ours that could not be ended is still there (a dead one not yet reaped is not)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


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


def _end(process: subprocess.Popen[bytes]) -> int | None:
    """Kill; the process id if it does not even die of that (it hangs in the kernel)."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(KILL_WAIT_S)
        return None
    return process.pid
