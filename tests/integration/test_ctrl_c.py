"""Ctrl-C ends each command at once: while it is imported or connects, while nobody reads what it writes, and where
SIGINT was ignored: so each is started, as a shell starts background jobs.
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


# Stands for any module, and takes as long as one wants.
IMPORTED = """
import os
print("importing", flush=True)
input()
print("went on", flush=True)
os._exit(0)
"""


@pytest.fixture
def start_importing(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}

    def start(module: str, *command: str | Path) -> Started:
        """Start a command and wait until it imports this module."""
        (tmp_path / "modules").mkdir()
        (tmp_path / "modules" / f"{module}.py").write_text(IMPORTED)
        environment = process.environment(PYTHONPATH=str(tmp_path / "modules"))
        started.append(process.start(command, env=environment, **pipes))
        assert started[-1].stdout.readline() == "importing\n"
        return started[-1]

    yield start
    for child in started:
        process.kill(child)


@pytest.mark.parametrize("ignored", [(), ("env", "--ignore-signal=INT")], ids=["", "ignored"])
@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("argparse", "scan-bridge run"),
        ("pyarrow", "scan-bridge run"),
        ("pydantic", "scan-bridge check-config"),
        ("pydantic", "scan-bridge status"),
        ("pydantic", "scan-bridge latest"),
        ("pydantic", "scan-bridge history"),
        ("argparse", "scan-bridge simulate"),
        ("argparse", "scan-bridge replay"),
        ("argparse", "scan-bridge-health check"),
        ("prefect", "scan-bridge-health serve"),
        ("pydantic", "scan-bridge-health check"),
        ("pydantic", "scan-bridge-health mute 1h --why moving"),
        ("pydantic", "scan-bridge-health dashboard"),
    ],
)
def test_while_it_is_imported(
    start_importing: Callable[..., Started], config: Path, module: str, command: str, ignored: tuple[str, ...]
) -> None:
    name, *arguments = command.split()
    child = start_importing(module, *ignored, BIN / name, *arguments, "--config", config)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=LIMIT_S)[0] == ""
    assert child.returncode == -signal.SIGINT


def test_the_process_of_the_history_leaves_it_to_the_bridge(start_importing: Callable[..., Started]) -> None:
    child = start_importing("asyncio", sys.executable, "-m", "bridge.history")
    child.send_signal(signal.SIGINT)
    assert child.communicate("\n", LIMIT_S)[0] == "went on\n"


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
