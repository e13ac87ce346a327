"""What the demo is made of: Hazelcast, the bridge, a producer, the health check, its dashboard, and a client that looks
at it all.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hazelcast.client import HazelcastClient
from hazelcast.config import ReconnectMode
from hazelcast.errors import HazelcastError
from health import CONFIG as HEALTH
from health import HealthCheck, Inbox, prepare
from pieces import DemoError, Piece
from view import View, newest_on_disk, source_of

from bridge.model.status import BridgeStatus

SCRIPTS = Path(__file__).resolve().parent.parent
SCAN_BRIDGE = Path(sys.executable).with_name("scan-bridge")
SCAN_BRIDGE_HEALTH = Path(sys.executable).with_name("scan-bridge-health")
CLUSTER = f"scan-bridge-demo-{os.getpid()}"
RATE = "2"  # scans a second
START_S = 60.0  # deadline for each piece to be ready; three seconds for all on an idle machine
SETTLE_S = 20.0  # deadline for the last scan to arrive after the producer was stopped
TELL_S = 1.0  # of it, after which people are told what is waited for

CONFIG = """\
state_dir = "{folder}/state"
[source]
root = "{folder}/scans"
[hazelcast]
members = ["{address}"]
cluster_name = "{cluster}"
[status]
heartbeat_s = 1.0
instance = "demo"
[health.dashboard]
listen = "{dashboard}"
"""


def free_port() -> int:
    """A port of the loopback that nobody has: several demos may run at once.

    Taken below the kernel's range for outgoing connections (32768 and up by default): a member that is away for a
    moment would find its port taken by somebody's connection, even by that of a client that looks for the member.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Demo:
    """The pieces, a plain Hazelcast client to look at what they do, and the health check."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, stopped: threading.Event, check_s: float) -> None:
        self.folder = folder
        self.root = folder / "scans"
        self.config = folder / "config.toml"
        self.said: list[str] = []
        self._stack = stack
        self._stopped = stopped
        self.pieces: list[Piece] = []
        self.root.mkdir()

        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.start_member()
        self.wait_for(lambda: "is STARTED" in self.member.log(), f"{self.member.name} is not ready")
        self.dashboard = f"127.0.0.1:{free_port()}"
        ours = CONFIG.format(folder=folder, address=self.address, cluster=CLUSTER, dashboard=self.dashboard)
        self.config.write_text(ours + HEALTH.format(folder=folder))
        # Without a connection every call fails at once, and with one to a member that answers nothing soon.
        self._client = HazelcastClient(
            cluster_members=[self.address],
            cluster_name=CLUSTER,
            async_start=True,
            reconnect_mode=ReconnectMode.ASYNC,
            retry_max_backoff=1,
            invocation_timeout=2,
            heartbeat_interval=1,
            heartbeat_timeout=4,
        )
        stack.callback(self._client.shutdown)
        self.start_bridge()
        self.wait_for(lambda: self.look().status is not None, "the bridge has not reported to Hazelcast")
        self.start_producer()
        self.wait_for(lambda: self.look().held is not None, "no scan has arrived in Hazelcast")
        self.inbox = Inbox()
        stack.callback(self.inbox.close)
        self.health = HealthCheck(prepare(folder, self.config, self.inbox), check_s)
        stack.callback(self.health.stop)
        page = self.start("dashboard", SCAN_BRIDGE_HEALTH, "dashboard", "--config", self.config)
        self.wait_for(lambda: "dashboard at" in page.log(), "the dashboard is not ready")

    def start_member(self) -> None:
        """Start Hazelcast, each time on the same port."""
        port = str(self._port)
        self.member = self.start("hazelcast", SCRIPTS / "hazelcast-local", "--cluster", CLUSTER, "--port", port)

    def start_bridge(self) -> None:
        """Start the bridge."""
        self.bridge = self.start("bridge", SCAN_BRIDGE, "run", "--config", self.config)

    def start_producer(self) -> None:
        """Start the producer."""
        self.producer = self.start("producer", SCAN_BRIDGE, "simulate", self.root, "--rate", RATE)

    def end(self, piece: Piece, *, kill: bool = False) -> None:
        """End a piece that is meant to end; with `kill` without a chance to clean up."""
        self.pieces.remove(piece)
        piece.kill() if kill else piece.stop()

    def say(self, text: str) -> None:
        """Tell the audience."""
        self.said.append(text)

    def start(self, name: str, *command: str | Path) -> Piece:
        """Start a piece that is stopped when the demo ends."""
        piece = Piece(name, self.folder, *command)
        self._stack.callback(piece.stop)
        self.pieces.append(piece)
        return piece

    def check(self) -> None:
        """Raise DemoError if a piece, or the health check, has ended by itself."""
        for piece in self.pieces:
            piece.check()
        self.health.check()

    def wait_for(self, condition: Callable[[], bool], problem: str) -> None:
        """Wait until `condition` holds.

        Raises:
            DemoError: a piece ended, the time is over, or the demo was stopped.
        """
        deadline = time.monotonic() + START_S
        while not condition():
            for piece in self.pieces:
                piece.check()
            if self._stopped.wait(0.05):
                raise DemoError("stopped before it was running")
            if time.monotonic() > deadline:
                raise DemoError("\n".join([f"{problem} after {START_S:g} s", *(p.tail() for p in self.pieces)]))

    def look(self) -> View:
        """What is on disk and in Hazelcast now."""
        disk = newest_on_disk(self.root)
        try:
            map_: Any = self._client.get_map("scan_bridge").blocking()
            value, status = map_.get("latest_eigen_scan"), map_.get("bridge_status")
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
        self.end(self.producer)
        told, began = False, time.monotonic()
        while not (view := self.look()).arrived and time.monotonic() < began + SETTLE_S:
            self.check()
            if not told and time.monotonic() > began + TELL_S:
                print(f"waiting {SETTLE_S:g} s at most for the last scan to arrive; Ctrl-C ends it now", flush=True)
                told = True
            time.sleep(0.05)
        return view
