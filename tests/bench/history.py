"""The history: whether the newest scan is slower while thousands of others are made good, and how fast that goes."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
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
MEMBER_OPTIONS = ("-Xmx3g",)


@dataclass(frozen=True)
class Found:
    """What was measured."""

    without: Quantiles  # lags in ms, with the history off
    while_behind: Quantiles  # the same, with a history that catches up meanwhile
    per_s: float  # scans that it got a second meanwhile
    left: int  # of the backlog at the end of it; above 0, or it was not behind all the time

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


def measure(place: Path, backlog: int, block_s: float) -> Found:
    """One bridge without, then one with a history that lacks `backlog` scans of 100 kB; `block_s` seconds each."""
    template, numbers = Template(100 * KB), count(1)
    member = Member(java_options=MEMBER_OPTIONS).start()
    try:
        lags: dict[str, Quantiles] = {}
        per_s, left, base = 0.0, 0, 0
        for name, source in (("without", ""), ("behind", f'[history]\nkeep_s = 86400\nmap = "{MAP}"')):
            bridge = Bridge(member, place, name=name, source=source)
            kept = member.client().get_map(MAP).blocking()
            with Sightings(member, bridge.map) as sightings:
                meter = LagMeter(sightings, numbers, seed=1)
                bridge.start()
                try:
                    meter.warm_up([bridge], template, 200)
                    if source:  # only now, so that both are warm
                        base = kept.size()
                        _put_aside(bridge.folder.root / OLD_DAY, template, backlog)
                        while kept.size() < base + SOME:
                            time.sleep(0.01)
                    before, begin_s = kept.size(), time.monotonic()
                    (result,) = meter.measure(Series(100 * KB, RATE_HZ, block_s, 1, mixed=True), [bridge], template)
                    if source:
                        per_s = (kept.size() - before) / (time.monotonic() - begin_s)
                        left = base + backlog - kept.size()
                finally:
                    bridge.stop()
            lags[name] = quantiles(result.lags_ms)
        return Found(lags["without"], lags["behind"], per_s, left)
    finally:
        member.close()


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
