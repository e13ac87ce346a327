"""Resident memory: after the start, along many scans, and along an outage of Hazelcast with scans arriving."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

from bench.processes import Measured
from bench.scans import Template

SAMPLES = 20


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


def along_outage(
    process: Measured,
    template: Template,
    numbers: count[int],
    seconds: float,
    rate_hz: float,
    end: Callable[[], None],
    begin: Callable[[], None],
    is_published: Callable[[int], bool],
) -> tuple[list[tuple[int, float]], float]:
    """As `along_scans`, between `end` and `begin` of the member; and how many seconds after `begin` the newest is there.

    `begin` returns when the member is ready for clients.
    """
    end()
    samples = along_scans(process, template, numbers, int(seconds * rate_hz), rate_hz)
    last = next(numbers) - 1
    begin()
    ready = time.monotonic()
    while not is_published(last):
        if time.monotonic() > ready + 60:
            raise TimeoutError(f"the bridge did not come back; see {process.log_path}")
        time.sleep(0.01)
    return [*samples, (int(seconds * rate_hz), process.rss_mb())], time.monotonic() - ready
