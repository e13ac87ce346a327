"""Ctrl-C ends each command at once: while it connects, while nobody reads what it writes, and where SIGINT was ignored.

Each is started with SIGINT ignored, as a shell starts background jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from support import process
from support.bridge_process import eventually
from support.hazelcast_member import free_port

BIN = Path(sys.executable).parent
WRITES = ("wait_woken", "pipe_write", "anon_pipe_write")  # where the kernel lets a writer to a terminal or pipe wait
START_S = 120.0  # for Python to import everything on a busy machine
LIMIT_S = 20.0  # a connection attempt to the silent server would take minutes
TERMINAL_BYTES = 4095  # that the kernel keeps for a reader; one less than N_TTY_BUF_SIZE
INTERRUPTED = (0, -signal.SIGINT)

Started = subprocess.Popen[Any]


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that lets everybody connect and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def config(tmp_path: Path, silent: socket.socket) -> Path:
    """A configuration that names the silent server."""
    (tmp_path / "state").mkdir()
    file = tmp_path / "config.toml"
    file.write_text(
        f'[source]\nroot = "{tmp_path}/scans"\n'
        f'[hazelcast]\nmembers = ["127.0.0.1:{silent.getsockname()[1]}"]\nconnect_timeout_s = 300\n'
        f"[history]\nkeep_s = 3600\n"
        f'[health]\nunit = "no-such-unit-anywhere.service"\nstate_dir = "{tmp_path}/state"\nprobe_timeout_s = 100\n'
        f'[health.dashboard]\nlisten = "127.0.0.1:{free_port()}"\n'
    )
    return file


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    started: list[Started] = []
    environment = process.environment(TERM="xterm")

    def start(*command: str | Path, output: int | IO[Any] = subprocess.DEVNULL) -> Started:
        started.append(process.start(["env", "--ignore-signal=INT", *command], stdout=output, env=environment))
        return started[-1]

    yield start
    for child in started:
        process.kill(child)


def interrupt(child: Started) -> None:
    child.send_signal(signal.SIGINT)
    assert child.wait(LIMIT_S) in INTERRUPTED


def has_connected(server: socket.socket) -> bool:
    try:
        server.accept()[0].detach()  # stays open
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    "command",
    [
        "scan-bridge status",
        "scan-bridge status --watch",
        "scan-bridge latest",
        "scan-bridge history",
        "scan-bridge-health check",
        "scan-bridge-health dashboard",
    ],
)
def test_while_it_connects(start: Callable[..., Started], config: Path, silent: socket.socket, command: str) -> None:
    name, *arguments = command.split()
    child = start(BIN / name, *arguments, "--config", config)
    eventually(lambda: has_connected(silent), "it connects", START_S)
    interrupt(child)


def fill(output: int, reader: int) -> None:
    """Write until nothing more goes in.

    A terminal takes what is written into one buffer, and the kernel carries it into the one that is read from some
    time later: only when that is full, what was written makes no room any more.
    """
    os.set_blocking(output, False)
    before = -1
    while (waiting := readable(reader)) != before or (os.isatty(output) and waiting < TERMINAL_BYTES):
        before = waiting
        for size in (512, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(output, b"x" * size)
    os.set_blocking(output, True)


def readable(reader: int) -> int:
    """How many bytes wait to be read."""
    return int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder)


def waits_in_a_write(child: Started) -> bool:
    assert child.poll() is None
    tasks = Path(f"/proc/{child.pid}/task").iterdir()
    return any((task / "wchan").read_text() in WRITES for task in tasks)


def archive(folder: Path) -> Path:
    """An archive with a scan."""
    (folder / "archive" / "2026-03-24").mkdir(parents=True)
    (folder / "archive" / "2026-03-24" / "scan_0815.arrow").write_bytes(b"whatever it is")
    return folder / "archive"


TERMINAL, PIPE = pty.openpty, os.pipe


@pytest.mark.parametrize(
    ("opened", "command"),
    [
        (TERMINAL, "scan-bridge status --watch"),
        (TERMINAL, "scan-bridge run"),
        (PIPE, "scan-bridge run"),
        (TERMINAL, "scan-bridge check-config"),
        (PIPE, "scan-bridge check-config"),
        (TERMINAL, "scan-bridge simulate"),
        (PIPE, "scan-bridge simulate"),
        (TERMINAL, "scan-bridge replay"),
        (PIPE, "scan-bridge replay"),
        (TERMINAL, "scan-bridge-health dashboard"),
        (PIPE, "scan-bridge-health dashboard"),
    ],
)
def test_while_nobody_reads(
    start: Callable[..., Started],
    config: Path,
    tmp_path: Path,
    opened: Callable[[], tuple[int, int]],
    command: str,
) -> None:
    name, *arguments = command.split()
    arguments += {
        "simulate": [str(tmp_path / "out")],
        "replay": [str(archive(tmp_path)), "--into", str(tmp_path / "out")],
    }.get(arguments[0], ["--config", str(config)])
    ours, theirs = opened()
    try:
        fill(theirs, ours)
        child = start(BIN / name, *arguments, output=theirs)
        eventually(lambda: waits_in_a_write(child), "it waits for somebody to read", START_S)
        interrupt(child)
    finally:
        os.close(ours)
        os.close(theirs)
