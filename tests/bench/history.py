"""The history: whether the newest scan is slower while thousands of others are made good, and how fast that goes."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any

from support.hazelcast_member import Member

from bench.lag import LagMeter
from bench.plan import KB, Series
from bench.processes import Bridge
from bench.quantiles import Quantiles, quantiles
from bench.scans import Template
from bench.sightings import Sightings

MAP = "history"
OLD_DAY = "2001-01-01"  # not watched, so that the backlog is no news to the bridge
RATE_HZ = 10.0
SOME = 100  # of the backlog, after which it is under way
# As docs/operations.md advises: a collector that does not stop the member to move what stays.
MEMBER_OPTIONS = ("-XX:-UseSerialGC", "-XX:+UseZGC", "-Xms4g", "-Xmx4g", "-XX:+AlwaysPreTouch")


@dataclass(frozen=True)
class Found:
    """What was measured."""

    without: Quantiles  # lags in ms, with the history off
    while_behind: Quantiles  # the same, with a history that catches up meanwhile
    per_s: float  # scans that it got a second meanwhile
    left: int  # of the backlog at the end of each round, the least; above 0, or it was not behind all the time

    def rows(self) -> list[dict[str, Any]]:
        """As a table."""
        return [
            {"history": "off", **asdict(self.without), "kept per s": 0, "left": 0},
            {"history": "behind", **asdict(self.while_behind), "kept per s": round(self.per_s), "left": self.left},
        ]

    def summary(self) -> dict[str, float]:
        """The goals are about these."""
        return {
            "history_p50_ratio": round(self.while_behind.p50 / self.without.p50, 3),
            "history_p99_ratio": round(self.while_behind.p99 / self.without.p99, 3),
            "history_per_s": round(self.per_s),
        }


@dataclass(frozen=True)
class _Round:
    lags_ms: list[float]
    per_s: float = 0.0
    left: int = 0


def measure(place: Path, backlog: int, block_s: float, rounds: int) -> Found:
    """A bridge without, and one with a history that lacks `backlog` scans of 100 kB, in turns of `block_s` seconds."""
    member = Member(java_options=MEMBER_OPTIONS).start()
    try:
        meter = _Meter(member, place, Template(100 * KB))
        off, behind = [], []
        for number in range(rounds):
            off.append(meter.without(f"without-{number}", block_s))
            behind.append(meter.behind(f"behind-{number}", backlog, block_s))
        return Found(
            quantiles([lag for one in off for lag in one.lags_ms]),
            quantiles([lag for one in behind for lag in one.lags_ms]),
            fmean(one.per_s for one in behind),
            min(one.left for one in behind),
        )
    finally:
        member.close()


class _Meter:
    def __init__(self, member: Member, place: Path, template: Template) -> None:
        self._member = member
        self._place = place
        self._template = template
        self._numbers = count(1)

    def without(self, name: str, block_s: float) -> _Round:
        with self._bridge(name, "") as (bridge, meter):
            return _Round(self._lags_ms(meter, bridge, block_s))

    def behind(self, name: str, backlog: int, block_s: float) -> _Round:
        with self._bridge(name, f'[history]\nkeep_s = 86400\nmap = "{MAP}"') as (bridge, meter):
            kept = self._member.client().get_map(MAP).blocking()
            base = kept.size()
            _put_aside(bridge.folder.root / OLD_DAY, self._template, backlog)
            while kept.size() < base + SOME:
                time.sleep(0.01)
            before, begin_s = kept.size(), time.monotonic()
            lags_ms = self._lags_ms(meter, bridge, block_s)
            now = kept.size()
            per_s, left = (now - before) / (time.monotonic() - begin_s), base + backlog - now
        kept.destroy()
        return _Round(lags_ms, per_s, left)

    @contextlib.contextmanager
    def _bridge(self, name: str, source: str) -> Iterator[tuple[Bridge, LagMeter]]:
        bridge = Bridge(self._member, self._place, name=name, source=source)
        with Sightings(self._member, bridge.map) as sightings:
            meter = LagMeter(sightings, self._numbers, seed=1)
            bridge.start()
            try:
                meter.warm_up([bridge], self._template, 200)
                yield bridge, meter
            finally:
                bridge.stop()

    def _lags_ms(self, meter: LagMeter, bridge: Bridge, block_s: float) -> list[float]:
        (result,) = meter.measure(Series(100 * KB, RATE_HZ, block_s, 1, mixed=True), [bridge], self._template)
        return result.lags_ms


def _put_aside(folder: Path, template: Template, scans: int) -> None:
    """Scans of the last hours, in a folder that appears at once."""
    hidden = folder.with_name("aside")
    hidden.mkdir()
    now_ns, content = time.time_ns(), template.numbered(0)  # older than any that is looked for
    for number in range(scans):
        file = hidden / f"old_{number}.arrow"
        file.write_bytes(content)
        os.utime(file, ns=(now_ns - (100 + number) * 1_000_000_000,) * 2)
    hidden.rename(folder)
