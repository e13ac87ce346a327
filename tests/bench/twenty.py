"""`python -m bench.twenty [SECONDS]`: twenty bridges on one machine, what each costs and what they do to each other.

Memory is the proportional set (PSS): what several processes share counts once, divided among them. Prints one line of
JSON a measurement.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path

from support.hazelcast_member import Member

from bench.lag import LagMeter
from bench.plan import KB, Series
from bench.processes import Bridge, Measured
from bench.quantiles import quantiles
from bench.scans import Template
from bench.sightings import Sightings

BRIDGES = 20
SIZE = 100 * KB
RATE_HZ = 10.0
CRASH_EVERY_S = 0.5  # as systemd starts it again


def main() -> int:
    """Exit status 0."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    member = Member()
    member.start()
    with contextlib.closing(member), tempfile.TemporaryDirectory(prefix="scan-bridge-twenty-") as place:
        bridges = [Bridge(member, Path(place), name=f"bridge-{number}") for number in range(BRIDGES)]
        with Sightings(member, *(bridge.map for bridge in bridges)) as sightings:
            meter, template = LagMeter(sightings, count(1), seed=0), Template(SIZE)
            try:
                bridges[0].start()
                meter.warm_up(bridges[:1], template, 1)
                show("PSS, MB", alone=pss_mb(bridges[0]))
                for bridge in bridges[1:]:
                    bridge.start()
                meter.warm_up(list(bridges), template, 1)
                measure(bridges, meter, template, seconds)
            finally:
                for bridge in bridges:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(bridge.pid, signal.SIGCONT)
                    bridge.stop()
    return 0


def measure(bridges: list[Bridge], meter: LagMeter, template: Template, seconds: float) -> None:
    """With all of them up: memory and CPU of each, then the lag of the first while the last is in trouble."""
    watched, troubled = bridges[0], bridges[-1]
    before_ns = [bridge.cpu_ns() for bridge in bridges]
    time.sleep(seconds)
    percent = [(b.cpu_ns() - ns) / 1e7 / seconds for b, ns in zip(bridges, before_ns, strict=True)]
    show("PSS, MB", of_twenty=quantiles_of([pss_mb(bridge) for bridge in bridges]))
    show("idle CPU, % of a core", of_twenty=quantiles_of(percent))
    for trouble, happens in (("none", nothing), ("crashes again and again", crash_loop), ("hangs", hang)):
        with happens(troubled):
            (found,) = meter.measure(Series(SIZE, RATE_HZ, seconds, 1, mixed=True), [watched], template)
        show(f"lag of another, ms; one {trouble}", lag=asdict(quantiles(found.lags_ms)))


def pss_mb(process: Measured) -> float:
    """The process's proportional set now, in MB."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return int(rollup.split("\nPss:")[1].split()[0]) * 1024 / 1e6


def quantiles_of(values: list[float]) -> dict[str, float]:
    """Least, middle and most."""
    ordered = sorted(values)
    return {"min": round(ordered[0], 2), "p50": round(ordered[len(ordered) // 2], 2), "max": round(ordered[-1], 2)}


@contextlib.contextmanager
def nothing(_: Bridge) -> Iterator[None]:
    """All is well."""
    yield


@contextlib.contextmanager
def crash_loop(bridge: Bridge) -> Iterator[None]:
    """It is killed and started again, over and over."""

    def crash() -> None:
        bridge.stop()
        bridge.start()

    with repeated(crash):
        yield


@contextlib.contextmanager
def hang(bridge: Bridge) -> Iterator[None]:
    """It stands still, its connections open."""
    os.kill(bridge.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(bridge.pid, signal.SIGCONT)


@contextlib.contextmanager
def repeated(step: Callable[[], None]) -> Iterator[None]:
    """Do it every CRASH_EVERY_S in a thread."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(CRASH_EVERY_S):
            step()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def show(what: str, **figures: object) -> None:
    """One line."""
    print(json.dumps({"what": what, **figures}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
