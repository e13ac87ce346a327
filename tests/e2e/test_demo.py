"""`make demo`: it succeeds only if the newest scan is in Hazelcast and a fault was told rightly; it leaves nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import process, shared_classes
from support.bridge_process import eventually

pytestmark = pytest.mark.hazelcast

DEMO = Path(__file__).parents[2] / "scripts" / "demo"
DEADLINE_S = 240  # more than the sum of the waits of a demo that succeeds on a busy machine


def processes_in(folder: Path) -> dict[int, str]:
    """The processes that have `folder` as their place for temporary files, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


class Demo:
    """A running demo whose temporary folder is made in `folder`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        quickly = " ".join(shared_classes.java_options())
        environment = process.environment(TMPDIR=str(folder), JDK_JAVA_OPTIONS=quickly)
        command = (sys.executable, DEMO, *arguments)
        self.process = process.start(command, env=environment, stdout=subprocess.PIPE, stderr=None, text=True)
        self.output = ""

    def wait_for(self, text: str) -> None:
        """Read its output until `text` is in it, for at most DEADLINE_S."""
        assert self.process.stdout is not None
        deadline = threading.Timer(DEADLINE_S, self.process.kill)
        deadline.start()
        try:
            for line in self.process.stdout:
                self.output += line
                if text in line:
                    return
        finally:
            deadline.cancel()
        raise AssertionError(f"{text!r} is not in the output:\n{self.output}")

    def end(self) -> int:
        """Wait for its end; its exit status."""
        self.output += self.process.communicate(timeout=DEADLINE_S)[0]
        print(self.output)  # pytest shows it when the test fails
        return self.process.returncode

    def pids(self) -> dict[int, str]:
        """Its processes, itself included, with their command lines."""
        return processes_in(self.folder)

    def pid(self, command: str) -> int:
        """The process with `command` in its command line."""
        (pid,) = (pid for pid, line in self.pids().items() if command in line)
        return pid

    def has_left_nothing(self) -> bool:
        """Whether no process and no file remains; processes get a moment to be gone."""
        deadline = time.monotonic() + 5
        while self.pids() and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.pids() == {} and list(self.folder.iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for pid in processes_in(tmp_path):  # a failed test must not leave processes either
        os.kill(pid, signal.SIGKILL)


def test_a_demo_of_some_seconds_ends_with_success_and_one_verdict_line(folder: Path) -> None:
    demo = Demo(folder, "--duration", "2")
    assert demo.end() == 0
    assert demo.output.splitlines()[-1].startswith("OK: the newest scan on disk is the one in Hazelcast: ")
    assert demo.output.count("OK: ") == 1
    assert demo.has_left_nothing()


def test_a_signal_while_it_is_imported_ends_it_without_a_word(folder: Path) -> None:
    (folder / "pyarrow.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(100)\n")
    environment = process.environment(PYTHONPATH=str(folder))
    child = process.start([sys.executable, DEMO], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "importing\n"
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=DEADLINE_S)[0] == ""
        assert child.returncode == -signal.SIGINT
    finally:
        process.kill(child)


def test_a_signal_while_it_starts_ends_it_too(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("starting")
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 1
    assert demo.output.splitlines()[-1] == "FAILED: stopped before it was running"
    assert demo.has_left_nothing()


def test_a_signal_ends_it_also_when_nobody_reads_what_it_shows(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("in Hazelcast: the same")
    output = os.open(f"/proc/{demo.process.pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(output, b"\n" * 512)
    os.close(output)
    state = Path(f"/proc/{demo.process.pid}/wchan")
    eventually(lambda: "pipe_write" in state.read_text(), "it waits for somebody to read", DEADLINE_S)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(DEADLINE_S) == 0
    demo.end()
    assert demo.has_left_nothing()


def test_its_dashboard_shows_the_bridge_and_sigterm_ends_it_in_good_order(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("dashboard, to be seen in a browser: ")
    address = demo.output.split()[-1]

    def state() -> str:
        with urllib.request.urlopen(f"{address}api/state", timeout=10) as answer:
            return str(answer.read())

    assert b"<html" in urllib.request.urlopen(address, timeout=10).read()
    eventually(lambda: '"demo"' in state() and "scan_" in state(), "the dashboard has seen a scan", DEADLINE_S)
    demo.wait_for("in Hazelcast: the same")
    demo.process.send_signal(signal.SIGTERM)
    assert demo.end() == 0
    assert demo.output.splitlines()[-1].startswith("OK: ")
    assert demo.has_left_nothing()


def test_a_bridge_that_hangs_fails_it_when_it_is_ended(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("in Hazelcast: the same")
    os.kill(demo.pid("scan-bridge run"), signal.SIGSTOP)
    demo.wait_for("in Hazelcast: 20")  # another than on disk
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 1
    assert demo.output.splitlines()[-1].startswith("FAILED: the newest scan on disk is ")
    assert demo.has_left_nothing()


def test_while_hazelcast_hangs_the_first_signal_says_what_is_waited_for_and_the_second_ends_it(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("in Hazelcast: the same")
    os.kill(demo.pid("HazelcastMemberStarter"), signal.SIGSTOP)
    demo.wait_for("in Hazelcast: nothing")
    demo.process.send_signal(signal.SIGINT)
    demo.wait_for("waiting 20 s at most for the last scan to arrive; Ctrl-C ends it now")
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 1
    assert demo.output.splitlines()[-1] == "FAILED: interrupted"
    assert demo.has_left_nothing()


def test_a_piece_that_dies_fails_it_and_shows_its_log(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("in Hazelcast: the same")
    os.kill(demo.pid("scan-bridge run"), signal.SIGKILL)
    assert demo.end() == 1
    assert "FAILED: bridge ended by itself, exit status -9\n  bridge: " in demo.output
    assert demo.has_left_nothing()


def test_killed_itself_it_leaves_no_process(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("in Hazelcast: the same")
    assert demo.pid("scan-bridge run")
    assert demo.pid("scan-bridge simulate")
    assert demo.pid("HazelcastMemberStarter")
    demo.process.kill()
    demo.end()
    demo.has_left_nothing()  # waits for the processes; the files of a killed demo remain
    assert demo.pids() == {}


@pytest.mark.prefect  # its alerts are sent by Apprise, which comes with Prefect
@pytest.mark.parametrize(
    ("fault", "alert"),
    [("hazelcast", "hazelcast (Hazelcast away)"), ("crash", "hazelcast (bridge silent)")],
)
def test_a_fault_is_told_to_everybody_once_and_mended_and_its_end_told_once(
    folder: Path, fault: str, alert: str
) -> None:
    demo = Demo(folder, "--fault", fault)
    assert demo.end() == 0
    for group in ("ops", "trading"):
        assert demo.output.count(f"told to {group}: [scan-bridge demo] CRITICAL: {alert}\n") == 1
        assert demo.output.count(f"told to {group}: [scan-bridge demo] RESOLVED: hazelcast ") == 1
    assert demo.output.index("BREAK: ") < demo.output.index("CRITICAL: ") < demo.output.index("MEND: ")
    assert demo.output.splitlines()[-1].startswith("OK: the newest scan on disk is the one in Hazelcast: ")
    assert demo.output.splitlines()[-1].endswith(f"; told once, and once that it is over: {alert}")
    assert demo.has_left_nothing()


@pytest.mark.prefect
def test_a_fault_that_is_not_mended_fails_it(folder: Path) -> None:
    demo = Demo(folder, "--fault", "producer")
    demo.wait_for("BREAK: ")
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 1
    assert demo.output.splitlines()[-1] == "FAILED: stopped before the end"
    assert demo.has_left_nothing()


def test_it_shows_what_the_health_check_says_and_sighup_ends_it_in_good_order(folder: Path) -> None:
    demo = Demo(folder)
    demo.wait_for("health: Healthy")
    bridge = demo.pid("scan-bridge run")
    os.kill(bridge, signal.SIGSTOP)
    demo.wait_for("hazelcast (bridge silent)")
    os.kill(bridge, signal.SIGCONT)
    demo.wait_for("health: Healthy")
    demo.process.send_signal(signal.SIGHUP)
    assert demo.end() == 0
    assert demo.output.splitlines()[-1].startswith("OK: ")
    assert demo.has_left_nothing()


def test_without_hazelcast_it_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    demo = Demo(folder)
    assert demo.end() == 1
    assert "run: make setup" in demo.output
    assert demo.has_left_nothing()
