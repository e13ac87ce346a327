"""The lag: from just before the rename of a scan to the moment an independent client has it, or a later one.

A scan that was overtaken counts too, with the time until the scan that overtook it was seen: how old the map's
content is, is what matters, and nothing is left out of the distribution.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count

from hazelcast.proxy.map import Map

from bench.plan import FLAT_OUT, Series
from bench.processes import KEY, Measured
from bench.scans import Template
from bench.sightings import Sightings
from bridge.arrow.metadata import read_metadata
from bridge.model.provenance import Provenance

# As fast as possible: a block ends when so much was written, so that the disk is not what is measured.
MOST_BLOCK_BYTES = 1_000_000_000
START_S = 30.0
WARM_UP_RATE_HZ = 100.0
WARM_UP_BYTES_PER_S = 50_000_000
GUARD = 0.1  # share of a turn that is kept clear, so that turns do not overlap


@dataclass
class Lags:
    """What one process did with one series."""

    process: str
    size: int
    rate_hz: float
    lags_ms: list[float] = field(default_factory=list)
    landed: int = 0
    seen: int = 0
    landing_s: float = 0.0
    cpu_ns: int = 0


class LagMeter:
    """Lands scans for processes, and looks up when they were seen."""

    def __init__(self, sightings: Sightings, numbers: count[int], seed: int) -> None:
        self._sightings = sightings
        self._numbers = numbers
        self._random = random.Random(seed)

    def warm_up(self, processes: list[Measured], template: Template, scans: int) -> None:
        """Wait until each works, then let it, and the member's compiler, run in."""
        # No faster than the listening client can take it.
        pause_s = max(1 / WARM_UP_RATE_HZ, len(template) * len(processes) / WARM_UP_BYTES_PER_S)
        scans = max(1, min(scans, MOST_BLOCK_BYTES // len(template)))
        for process in processes:
            deadline = time.monotonic() + START_S
            while not self._sightings.latest(process.map):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"nothing was published; {process.plight()}")
                self._stage_and_land(process, template)
                time.sleep(0.02)
        for _ in range(scans):
            last = {process.map: self._stage_and_land(process, template) for process in processes}
            time.sleep(pause_s)
        for process in processes:
            self._sightings.wait(process.map, last[process.map])
            process.folder.clear()

    def measure(self, series: Series, processes: list[Measured], template: Template) -> list[Lags]:
        """Measure a series, one result for each process."""
        results = {p.name: Lags(p.name, len(template), series.rate_hz) for p in processes}
        for _ in range(series.rounds):
            if series.mixed:
                self._block(processes, series, template, results)
            else:
                for process in processes:
                    self._block([process], series, template, results)
        return list(results.values())

    def measure_closes(self, process: Measured, template: Template, scans: int, pause_s: float) -> Lags:
        """The same for scans written under their own name; the lag counts from just before the close."""
        result = Lags(f"{process.name}, from close", len(template), 1 / pause_s)
        landed, begin, cpu_ns = {}, time.monotonic(), process.cpu_ns()
        for _ in range(scans):
            number = next(self._numbers)
            landed[number] = process.folder.write(number, template.numbered(number), time.monotonic_ns)
            time.sleep(pause_s)
        result.landing_s = time.monotonic() - begin
        self._look_up(process, landed, result)
        result.cpu_ns = process.cpu_ns() - cpu_ns
        process.folder.clear()
        return result

    def _block(self, processes: list[Measured], series: Series, template: Template, results: dict[str, Lags]) -> None:
        """Land for `block_s`, then look up what was seen."""
        landed: dict[str, dict[int, int]] = {process.name: {} for process in processes}
        cpu_ns = {process.name: process.cpu_ns() for process in processes}
        begin = time.monotonic()
        if series.rate_hz == FLAT_OUT:
            (process,) = processes
            most = MOST_BLOCK_BYTES // len(template)
            while time.monotonic() < begin + series.block_s and len(landed[process.name]) < most:
                number = next(self._numbers)
                process.folder.stage(number, template.numbered(number))
                landed[process.name][number] = process.folder.land(number, time.monotonic_ns)
        else:
            for due_s, process in self._turns(processes, series):
                number = next(self._numbers)
                process.folder.stage(number, template.numbered(number))
                time.sleep(max(0.0, begin + due_s - time.monotonic()))
                landed[process.name][number] = process.folder.land(number, time.monotonic_ns)
        landing_s = time.monotonic() - begin
        for process in processes:
            result = results[process.name]
            self._look_up(process, landed[process.name], result)
            result.landing_s += landing_s
            result.cpu_ns += process.cpu_ns() - cpu_ns[process.name]
            process.folder.clear()

    def _turns(self, processes: list[Measured], series: Series) -> Iterable[tuple[float, Measured]]:
        """When (s since the begin) whose scan lands: all in a new order in each period, at a random moment of the turn.

        So no process is always the one after another, and no polling loop meets scans at its own beat.
        """
        period_s = 1 / series.rate_hz
        turn_s = period_s / len(processes)
        for period in range(round(series.block_s * series.rate_hz)):
            for turn, process in enumerate(self._random.sample(processes, len(processes))):
                yield period * period_s + (turn + self._random.uniform(GUARD, 1 - GUARD)) * turn_s, process

    def _look_up(self, process: Measured, landed: dict[int, int], result: Lags) -> None:
        first, last = min(landed), max(landed)
        try:
            self._sightings.wait(process.map, last)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; {process.plight()}") from error
        for number, landed_ns in landed.items():
            result.lags_ms.append((self._sightings.wait(process.map, number) - landed_ns) / 1e6)
        result.landed += len(landed)
        result.seen += self._sightings.count(process.map, first, last)

    def _stage_and_land(self, process: Measured, template: Template) -> int:
        number = next(self._numbers)
        process.folder.stage(number, template.numbered(number))
        process.folder.land(number, time.monotonic_ns)
        return number


def entry_times_ms(
    process: Measured, sightings: Sightings, template: Template, numbers: count[int], scans: int, entry: Map
) -> tuple[list[float], list[float]]:
    """The entry's own times, each since the rename: the bridge's in the value, and the member's of the last update."""
    published_ms, updated_ms = [], []
    for _ in range(scans):
        number = next(numbers)
        process.folder.stage(number, template.numbered(number))
        landed_ms = process.folder.land(number, time.time_ns) / 1e6
        sightings.wait(process.map, number)
        view = entry.get_entry_view(KEY).result()
        provenance = Provenance.from_metadata(read_metadata(view.value))
        assert provenance is not None
        published_ms.append(provenance.published_ns / 1e6 - landed_ms)
        updated_ms.append(view.last_update_time - landed_ms)
    process.folder.clear()
    return published_ms, updated_ms
