"""Resident memory: after the start, along many scans, at its peak, along an outage of Hazelcast with scans arriving."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

from support.hazelcast_member import Member

from bench.processes import Measured
from bench.scans import Template
from bench.sightings import Sightings

SAMPLES = 20
IN_A_ROW = 4
BACK_S = 60.0


def along_scans(
    process: Measured, template: Template, numbers: count[int], scans: int, rate_hz: float
) -> list[tuple[int, float]]:
    """Land scans at a steady rate, all into one day folder; (scans so far, MB resident) from 0 to all of them."""
    samples = [(0, process.rss_mb())]
    begin = time.monotonic()
    for done in range(1, scans + 1):
        number = next(numbers)
        process.folder.stage(number, template.numbered(number))
        time.sleep(max(0.0, begin + done / rate_hz - time.monotonic()))
        process.folder.land(number, time.monotonic_ns)
        if done % max(1, scans // SAMPLES) == 0:
            samples.append((done, process.rss_mb()))
    return samples


def land_one_by_one(process: Measured, template: Template, numbers: count[int], sightings: Sightings) -> None:
    """Land a few scans, each once the one before it was seen in the map: each replaces one of its size."""
    for _ in range(IN_A_ROW):
        number = next(numbers)
        process.folder.stage(number, template.numbered(number))
        process.folder.land(number, time.monotonic_ns)
        sightings.wait(process.map, number)


def along_outage(
    process: Measured,
    member: Member,
    template: Template,
    numbers: count[int],
    seconds: float,
    rate_hz: float,
    is_published: Callable[[int], bool],
) -> tuple[list[tuple[int, float]], float]:
    """As `along_scans`, with `member` killed; and how many seconds after it is back the newest scan is published."""
    member.kill()
    samples = along_scans(process, template, numbers, int(seconds * rate_hz), rate_hz)
    last = next(numbers) - 1
    member.start()
    ready = time.monotonic()
    while not is_published(last):
        if time.monotonic() > ready + BACK_S:
            raise TimeoutError(f"the bridge did not come back; {process.plight()}")
        time.sleep(0.01)
    return [*samples, (int(seconds * rate_hz), process.rss_mb())], time.monotonic() - ready
