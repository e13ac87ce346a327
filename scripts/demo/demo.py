"""What `make demo` does: a real Hazelcast, a simulated producer, the bridge, its health check and the dashboard.

Ends with one verdict line, and with exit status 0 only if the newest scan on disk is the one in Hazelcast, as a
plain Hazelcast client of its own reads it. With --fault something is broken and mended on the way, and it succeeds
only if everybody was also told of that once, rightly, and once that it is over. All files are in a temporary folder;
however it ends, it leaves no process and no file behind.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import story
from hazelcast.errors import HazelcastError
from pieces import DemoError
from rich.console import Console
from rich.live import Live
from stage import CLUSTER, SCAN_BRIDGE, Demo
from story import FAULTS, Fault, Steps
from view import View, panel, plain, plain_message

from bridge.config_file import ENV_PREFIX
from bridge.system import interrupt

CHECK_S = 5.0  # between two health checks
FAULT_CHECK_S = 2.0  # the same with a fault: one wants to see it soon
KEPT = 200  # scans on disk; older ones are removed, so that a demo left running does not fill the disk
TICK_S = 0.25  # between two looks
LINE_S = 1.0  # between two lines of a log
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def verdict(view: View, root: Path) -> tuple[bool, str]:
    """Whether the demo succeeded, and the line that says so."""
    if view.disk is None:
        return False, "FAILED: the producer has written no scan"
    path = view.disk[1]
    if not view.arrived or view.value is None:
        return False, f"FAILED: the newest scan on disk is {path}, in Hazelcast is {view.held and view.held[1]}"
    on_disk = pa.ipc.open_file((root / path).read_bytes()).read_all()
    if not pa.ipc.open_stream(view.value).read_all().equals(on_disk):
        return False, f"FAILED: {path} in Hazelcast is not what is on disk"
    return True, f"OK: the newest scan on disk is the one in Hazelcast: {path}"


class Screen:
    """Where it is shown: a table that is drawn anew on a terminal, lines of text elsewhere."""

    def __init__(self, demo: Demo, live: Live | None) -> None:
        self._demo = demo
        self._live = live
        self._next_line_s = 0.0
        self._said = 0
        self._received = 0

    def show(self, seconds: float) -> None:
        """Show what flows, and what the health check says of it."""
        demo = self._demo
        if self._live is None:
            self._write_news(seconds)
            if seconds >= self._next_line_s:
                print(plain(seconds, demo.look(), demo.health.report), flush=True)
                self._next_line_s = seconds + LINE_S
            return
        hints = f"http://{demo.dashboard}/\n{SCAN_BRIDGE} latest --config {demo.config}"
        table = panel(seconds, demo.look(), demo.health.report, demo.inbox, demo.said, hints)
        self._live.update(table, refresh=True)

    def _write_news(self, seconds: float) -> None:
        for message in self._demo.inbox.messages[self._received :]:
            print(plain_message(seconds, message), flush=True)
            self._received += 1
        for text in self._demo.said[self._said :]:
            print(f"{seconds:4.0f} s  >>> {text}", flush=True)
            self._said += 1


def show(demo: Demo, duration_s: float | None, steps: Steps | None, stopped: threading.Event) -> None:
    """Show what flows, until stopped, or `duration_s` is over, or the story has been told.

    Raises:
        DemoError: a piece ended by itself, or the story did not come to its end.
    """
    console = Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    screen = Screen(demo, live)
    began = time.monotonic()
    with live or contextlib.nullcontext():
        while True:
            demo.check()
            remove_old_scans(demo.root)
            over = steps is not None and next(steps, True)
            screen.show(time.monotonic() - began)
            rest = TICK_S
            if duration_s is not None:
                rest = min(rest, began + duration_s - time.monotonic())
            if over or rest <= 0:
                return
            if stopped.wait(rest):
                if steps is not None:
                    raise DemoError("stopped before the end")
                return


def remove_old_scans(root: Path) -> None:
    """Leave only the newest scans, as whoever looks after an archive does."""
    for file in sorted(root.glob("*/*.arrow"))[:-KEPT]:
        file.unlink()


def stop_at_signal() -> threading.Event:
    """An event that SIGINT, SIGTERM or SIGHUP sets; a second signal interrupts whatever is being waited for."""
    stopped = threading.Event()

    def handle(*_: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        interrupt.drop_unread_output()
        stopped.set()

    for number in SIGNALS:
        signal.signal(number, handle)
    return stopped


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--duration", type=float, metavar="S", help="end after S seconds (default: at Ctrl-C)")
    until.add_argument("--fault", choices=FAULTS, help="break this, show the alert and the recovery, and end")
    arguments = parser.parse_args()
    fault = FAULTS.get(arguments.fault)
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        del os.environ[name]  # they are for another bridge
    for logger in ("hazelcast", "healthcheck", "bridge"):  # the display says it in its own words
        logging.getLogger(logger).setLevel(logging.CRITICAL + 1)
    stopped = stop_at_signal()
    with contextlib.ExitStack() as stack:
        try:
            succeeded, line = play(stack, fault, arguments.duration, stopped)
        except (DemoError, HazelcastError) as error:
            succeeded, line = False, f"FAILED: {error}"
        except KeyboardInterrupt:
            succeeded, line = False, "FAILED: interrupted"
        finally:
            for number in SIGNALS:  # nothing may cut the clean-up short
                signal.signal(number, signal.SIG_IGN)
    for number in SIGNALS:  # nothing is left to clean up, and perhaps nobody reads the last line
        signal.signal(number, signal.SIG_DFL)
    print(line)
    return 0 if succeeded else 1


def play(
    stack: contextlib.ExitStack, fault: Fault | None, duration_s: float | None, stopped: threading.Event
) -> tuple[bool, str]:
    """Start everything, show it, and judge it; `stack` ends it all.

    Raises:
        DemoError: something did not start, ended by itself, or did not happen.
    """
    if fault and importlib.util.find_spec("apprise") is None:
        raise DemoError("the alerts need the package apprise, which comes with the extra `alerts`; run: make setup")
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scan-bridge-demo-")))
    print("starting Hazelcast, the bridge, a producer, the health check and its dashboard", flush=True)
    demo = Demo(folder, stack, stopped, FAULT_CHECK_S if fault else CHECK_S)
    print(f"running; for a consumer of your own: Hazelcast at {demo.address}, cluster {CLUSTER}", flush=True)
    print(f"dashboard, to be seen in a browser: http://{demo.dashboard}/", flush=True)
    show(demo, duration_s, story.tell(demo, fault) if fault else None, stopped)
    succeeded, line = verdict(demo.settle(), demo.root)
    if not fault or not succeeded:
        return succeeded, line
    if problem := story.wrong(demo.inbox, fault):
        return False, f"FAILED: {problem}"
    return True, f"{line}; told once, and once that it is over: {fault.title}"
