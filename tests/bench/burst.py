"""Catching up: many scans at once, and how long after the last of them that one is in the map."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from itertools import count

from bench.processes import Measured
from bench.scans import Template
from bench.sightings import Sightings


@dataclass
class Bursts:
    """Bursts of one length."""

    length: int
    landing_ms: list[float] = field(default_factory=list)  # from the first rename to the last
    catch_up_ms: list[float] = field(default_factory=list)  # from the last rename to the newest scan seen


def catch_up(
    process: Measured,
    sightings: Sightings,
    template: Template,
    numbers: count[int],
    lengths: tuple[int, ...],
    rounds: int,
) -> list[Bursts]:
    """Write whole scans aside, then rename all of them into the day folder as fast as possible; lengths in turn."""
    found = [Bursts(length) for length in lengths]
    for _ in range(rounds):
        for bursts in random.sample(found, len(found)):
            burst = [next(numbers) for _ in range(bursts.length)]
            for number in burst:
                process.folder.stage(number, template.numbered(number))
            first_ns = last_ns = 0
            for number in burst:
                last_ns = process.folder.land(number, time.monotonic_ns)
                first_ns = first_ns or last_ns
            bursts.landing_ms.append((last_ns - first_ns) / 1e6)
            bursts.catch_up_ms.append((sightings.wait(process.map, burst[-1]) - last_ns) / 1e6)
            process.folder.clear()
            time.sleep(0.5)
    return found
