"""`python -m bench.twenty [SECONDS]`: twenty bridges on one machine, what each costs and what they do to each other.

Memory is the proportional set (PSS): what several processes share counts once, divided among them. Prints one line of
JSON a table.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from support.hazelcast_member import Member
from support.repeat import repeated

from bench.lag import LagMeter
from bench.plan import KB, Series
from bench.processes import Bridge, Measured
from bench.quantiles import quantiles
from bench.scans import Template
from bench.sightings import Sightings

BRIDGES = 20
SIZE = 100 * KB
RATE_HZ = 10.0
CRASH_EVERY_S = 4.0  # the most that the unit allows: five starts in 20 s

Row = dict[str, Any]


def main() -> int:
    """Exit status 0."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    member = Member()
    member.start()
    with contextlib.closing(member), tempfile.TemporaryDirectory(prefix="scan-bridge-twenty-") as place:
        for title, rows in tables(member, Path(place), seconds).items():
            print(json.dumps({title: rows}), flush=True)
    return 0


def tables(member: Member, place: Path, seconds: float) -> dict[str, list[Row]]:
    """All that is measured, each for so long; `place` is an empty folder."""
    bridges = [Bridge(member, place, name=f"bridge-{number}") for number in range(BRIDGES)]
    with Sightings(member, *(bridge.map for bridge in bridges)) as sightings:
        meter, template = LagMeter(sightings, count(1), seed=0), Template(SIZE)
        try:
            _start(bridges[0], meter, template)
            alone = _idle(bridges[:1], seconds)
            for bridge in bridges[1:]:
                _start(bridge, meter, template)  # one by one, or they would wait for each other's imports
            return {
                "bridges at rest: each one's memory (PSS) and CPU": [alone, _idle(bridges, seconds)],
                f"lag of one of {BRIDGES} bridges beside another's trouble (ms)": list(
                    _beside_trouble(bridges, meter, template, seconds)
                ),
            }
        finally:
            for bridge in bridges:
                bridge.stop()


def _beside_trouble(bridges: list[Bridge], meter: LagMeter, template: Template, seconds: float) -> Iterator[Row]:
    for trouble, happens in (
        ("is well", contextlib.nullcontext()),
        ("is killed and started again, as often as its unit allows", _crash_loop(bridges[-1])),
        ("hangs", _hang(bridges[-1])),
    ):
        with happens:
            (found,) = meter.measure(Series(SIZE, RATE_HZ, seconds, 1, mixed=True), bridges[:1], template)
        yield {"the other": trouble, **asdict(quantiles(found.lags_ms))}


def pss_mb(process: Measured) -> float:
    """The process's proportional set now, in MB."""
    rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return int(rollup.split("\nPss:")[1].split()[0]) * 1024 / 1e6


def _start(bridge: Bridge, meter: LagMeter, template: Template) -> None:
    bridge.start()
    meter.warm_up([bridge], template, 1)


def _idle(bridges: list[Bridge], seconds: float) -> Row:
    before_ns = [bridge.cpu_ns() for bridge in bridges]
    time.sleep(seconds)
    percent = [(bridge.cpu_ns() - ns) / 1e7 / seconds for bridge, ns in zip(bridges, before_ns, strict=True)]
    mb = [pss_mb(bridge) for bridge in bridges]
    return {
        "bridges": len(bridges),
        "PSS MB, mean": sum(mb) / len(mb),
        "PSS MB, most": max(mb),
        "PSS MB, all": sum(mb),
        "CPU % of a core, mean": sum(percent) / len(percent),
        "CPU %, most": max(percent),
    }


@contextlib.contextmanager
def _crash_loop(bridge: Bridge) -> Iterator[None]:
    """It is killed and started again, over and over."""

    def crash() -> None:
        bridge.stop()
        bridge.start()

    with repeated(crash, CRASH_EVERY_S):
        yield


@contextlib.contextmanager
def _hang(bridge: Bridge) -> Iterator[None]:
    """It stands still, its connections open."""
    os.kill(bridge.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(bridge.pid, signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main())
