"""What the independent client saw, and when: this process's end of listener.py."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from bisect import bisect_left
from types import TracebackType
from typing import Self

from support import process
from support.hazelcast_member import Member

READY_S = 30.0


class Sightings:
    """The values seen in these maps. Use as a context manager; scans are known by their numbers, which only rise."""

    def __init__(self, member: Member, *maps: str) -> None:
        self._command = [sys.executable, "-P", "-m", "bench.listener", member.address, member.cluster_name, *maps]
        self._numbers: dict[str, list[int]] = {name: [] for name in maps}
        self._times_ns: dict[str, list[int]] = {name: [] for name in maps}
        self._ready = threading.Event()
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._process = process.start(self._command, env=os.environ, stdout=subprocess.PIPE, stderr=None)
        threading.Thread(target=self._follow, daemon=True).start()
        if not self._ready.wait(READY_S) or self._process.poll() is not None:
            raise TimeoutError(f"the listening client was not ready in {READY_S:g} s (exit: {self._process.poll()})")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self, map_name: str, number: int, timeout_s: float = 60.0) -> int:
        """When (monotonic ns) the scan of this number, or a later one, was first seen.

        Raises:
            TimeoutError: it was not, in time.
        """
        with self._news:
            if not self._news.wait_for(lambda: self.latest(map_name) >= number, timeout_s):
                newest = {name: self.latest(name) for name in self._numbers}
                raise TimeoutError(
                    f"{map_name}: scan {number} not seen in {timeout_s:g} s; the newest seen: {newest}; "
                    f"the listening client {'runs' if self._process.poll() is None else 'has ended'}"
                )
            return self._times_ns[map_name][bisect_left(self._numbers[map_name], number)]

    def latest(self, map_name: str) -> int:
        """The number of the newest scan seen; 0 if there was none."""
        numbers = self._numbers[map_name]
        return numbers[-1] if numbers else 0

    def count(self, map_name: str, first: int, last: int) -> int:
        """How many of the scans numbered `first` to `last` were seen; the others were overtaken."""
        numbers = self._numbers[map_name]
        return bisect_left(numbers, last + 1) - bisect_left(numbers, first)

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, number, at_ns = line.split()
            if name == b"ready":
                self._ready.set()
                continue
            with self._news:
                if int(number) > self.latest(name.decode()):
                    self._numbers[name.decode()].append(int(number))
                    self._times_ns[name.decode()].append(int(at_ns))
                    self._news.notify_all()
        self._ready.set()  # it ended; nobody must wait for it
