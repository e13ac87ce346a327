"""The processes that are measured: started and stopped, and what they cost in CPU time and memory.

The bridge is the real `scan-bridge run`. Children die with this process, even if it is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from support import process
from support.hazelcast_member import Member, free_port

from bench.scans import Folder

KEY = "latest_eigen_scan"
COMMAND = (sys.executable, "-P", str(Path(sys.executable).with_name("scan-bridge")))


class Measured:
    """One process with a folder of its own to watch and a map of its own to write to."""

    def __init__(self, name: str, member: Member, place: Path) -> None:
        self.name = name
        self.map = name
        self.folder = Folder(place / name)
        self._member = member
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_path(self) -> Path:
        """What it writes to stderr."""
        return self._place / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def start(self) -> None:
        """Start; it works once it has published a scan."""
        with self.log_path.open("ab") as log:
            environment = {name: value for name, value in os.environ.items() if not name.startswith("SCAN_BRIDGE_")}
            self._process = process.start(self.command(), env=environment, stdout=log)

    def stop(self, by: signal.Signals = signal.SIGKILL) -> None:
        """End it and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(20)
            self._process = None

    def plight(self) -> str:
        """Whether it runs and what it said last, for the message of a measurement that failed."""
        ended = self._process.poll() if self._process else None
        said = self.log_path.read_text(errors="replace")[-1000:]
        return f"{self.name} {'runs' if ended is None else f'ended with {ended}'}; it said last:\n{said}"

    def command(self) -> list[str]:
        """What is executed."""
        raise NotImplementedError

    def cpu_ns(self) -> int:
        """CPU time of all its threads so far. A thread that has ended is not in it; the bridge's never end."""
        return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{self.pid}/task").glob("*/schedstat"))

    def rss_mb(self) -> float:
        """Resident memory now, in MB (1e6 bytes, as the health check counts)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6

    def peak_mb(self) -> float:
        """The most that was ever resident, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6

    def _client_arguments(self) -> list[str]:
        return [self._member.address, self._member.cluster_name, self.map, KEY, str(self.folder.day)]


class Bridge(Measured):
    """`scan-bridge run` with the shipped defaults, its metrics (on a port of its own) included."""

    def __init__(
        self, member: Member, place: Path, *, name: str = "bridge", source: str = "", root: Path | None = None
    ) -> None:
        """`source` is more TOML for that section; `root` another folder than its own."""
        super().__init__(name, member, place)
        self.config_path = place / f"{name}.toml"
        self.config_path.write_text(
            f'state_dir = "{place / name / "state"}"\n'
            f'[source]\nroot = "{root or self.folder.root}"\n{source}\n'
            f'[hazelcast]\nmembers = ["{member.address}"]\ncluster_name = "{member.cluster_name}"\n'
            f'map = "{self.map}"\nscan_key = "{KEY}"\n'
            f'[metrics]\nlisten = "127.0.0.1:{free_port()}"\n'
        )

    def command(self) -> list[str]:
        """As the unit does it."""
        return [*COMMAND, "run", "--config", str(self.config_path)]


class Floor(Measured):
    """See floor.py."""

    def __init__(self, member: Member, place: Path, size: int, *, swaps: bool = False) -> None:
        """`swaps`: by compare-and-set."""
        super().__init__("floor-swap" if swaps else "floor", member, place)
        self._size = size
        self._call = "replace" if swaps else "set"

    def command(self) -> list[str]:
        """The child process."""
        return [sys.executable, "-P", "-m", "bench.floor", *self._client_arguments(), str(self._size), self._call]


class PollingLoop(Measured):
    """See polling_loop.py."""

    def __init__(self, member: Member, place: Path, period_s: float) -> None:
        super().__init__(f"loop-{period_s:g}s", member, place)
        self._period_s = period_s

    def command(self) -> list[str]:
        """The child process."""
        return [sys.executable, "-P", "-m", "bench.polling_loop", *self._client_arguments(), str(self._period_s)]
