"""`make demo`: a real Hazelcast, a simulated producer and the bridge, in a temporary folder, live on the terminal.

Ends with one verdict line, and with exit status 0 only if the newest scan on disk is the one in Hazelcast, as a
plain Hazelcast client of its own reads it. However it ends, it leaves no process and no file behind.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from hazelcast.client import HazelcastClient
from hazelcast.errors import HazelcastError
from pieces import DemoError, Piece
from rich.console import Console
from rich.live import Live
from view import View, newest_on_disk, panel, plain, source_of

from bridge.status import BridgeStatus

SCRIPTS = Path(__file__).resolve().parent.parent
SCAN_BRIDGE = Path(sys.executable).with_name("scan-bridge")
CLUSTER = "scan-bridge-demo"
RATE = "2"  # scans a second
START_S = 60.0  # deadline for each piece to be ready; three seconds for all on an idle machine
KEPT = 200  # scans on disk; older ones are removed, so that a demo left running does not fill the disk
SETTLE_S = 10.0  # deadline for the last scan to arrive after the producer was stopped
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

CONFIG = """\
state_dir = "{folder}/state"
[source]
root = "{folder}/scans"
[hazelcast]
members = ["{address}"]
cluster_name = "{cluster}"
"""


class Demo:
    """The pieces, and a plain Hazelcast client to look at what they do."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, stopped: threading.Event) -> None:
        self.folder = folder
        self.root = folder / "scans"
        self.config = folder / "config.toml"
        self._stack = stack
        self._stopped = stopped
        self.pieces: list[Piece] = []
        self.root.mkdir()

        member = self.start("hazelcast", SCRIPTS / "hazelcast-local", "--cluster", CLUSTER)
        self.wait_for(lambda: "is STARTED" in member.log(), f"{member.name} is not ready")
        port = re.findall(r":(\d+) is STARTED", member.log())[0]
        self.address = f"127.0.0.1:{port}"
        self.config.write_text(CONFIG.format(folder=folder, address=self.address, cluster=CLUSTER))
        client = HazelcastClient(
            cluster_members=[self.address], cluster_name=CLUSTER, cluster_connect_timeout=10, invocation_timeout=2
        )
        stack.callback(client.shutdown)
        self._map: Any = client.get_map("scan_bridge").blocking()
        self.bridge = self.start("bridge", SCAN_BRIDGE, "run", "--config", self.config)
        self.wait_for(lambda: self.look().status is not None, "the bridge has not reported to Hazelcast")
        self.producer = self.start("producer", SCAN_BRIDGE, "simulate", self.root, "--rate", RATE)
        self.wait_for(lambda: self.look().held is not None, "no scan has arrived in Hazelcast")

    def start(self, name: str, *command: str | Path) -> Piece:
        """Start a piece that is stopped when the demo ends."""
        piece = Piece(name, self.folder, *command)
        self._stack.callback(piece.stop)
        self.pieces.append(piece)
        return piece

    def check(self) -> None:
        """Raise DemoError if a piece has ended by itself."""
        for piece in self.pieces:
            piece.check()

    def wait_for(self, condition: Callable[[], bool], problem: str) -> None:
        """Wait until `condition` holds.

        Raises:
            DemoError: a piece ended, the time is over, or the demo was stopped.
        """
        deadline = time.monotonic() + START_S
        while not condition():
            self.check()
            if self._stopped.wait(0.05):
                raise DemoError("stopped before it was running")
            if time.monotonic() > deadline:
                raise DemoError("\n".join([f"{problem} after {START_S:g} s", *(p.tail() for p in self.pieces)]))

    def look(self) -> View:
        """What is on disk and in Hazelcast now."""
        disk = newest_on_disk(self.root)
        try:
            value, status = self._map.get("latest_eigen_scan"), self._map.get("bridge_status")
        except HazelcastError:
            return View(disk, None, None, None)
        return View(
            disk,
            held=source_of(value) if value else None,
            value=value,
            status=BridgeStatus.model_validate_json(status.to_string()) if status else None,
        )

    def settle(self) -> View:
        """Stop the producer and wait until its last scan has arrived, or should have."""
        self.producer.stop()
        self.pieces.remove(self.producer)
        deadline = time.monotonic() + SETTLE_S
        while not (view := self.look()).arrived and time.monotonic() < deadline:
            self.check()
            time.sleep(0.05)
        return view


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


def show(demo: Demo, duration_s: float | None, stopped: threading.Event) -> None:
    """Show what flows, until stopped or `duration_s` is over."""
    console = Console()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    began = time.monotonic()
    with live or contextlib.nullcontext():
        while True:
            demo.check()
            remove_old_scans(demo.root)
            seconds, view = time.monotonic() - began, demo.look()
            if live:
                live.update(panel(seconds, view, f"{SCAN_BRIDGE} latest --config {demo.config}"), refresh=True)
            else:
                print(plain(seconds, view), flush=True)
            rest = 0.25 if live else 1.0
            if duration_s is not None:
                rest = min(rest, began + duration_s - time.monotonic())
            if rest <= 0 or stopped.wait(rest):
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
        stopped.set()

    for number in SIGNALS:
        signal.signal(number, handle)
    return stopped


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, metavar="S", help="end after S seconds (default: at Ctrl-C)")
    arguments = parser.parse_args()
    logging.getLogger("hazelcast").setLevel(logging.CRITICAL)  # the display says it in its own words
    stopped = stop_at_signal()
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scan-bridge-demo-")))
            print("starting Hazelcast, the bridge and a producer", flush=True)
            demo = Demo(folder, stack, stopped)
            show(demo, arguments.duration, stopped)
            succeeded, line = verdict(demo.settle(), demo.root)
        except (DemoError, HazelcastError) as error:
            succeeded, line = False, f"FAILED: {error}"
        except KeyboardInterrupt:
            succeeded, line = False, "FAILED: interrupted"
        finally:
            for number in SIGNALS:  # nothing may cut the clean-up short
                signal.signal(number, signal.SIG_IGN)
    print(line)
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
