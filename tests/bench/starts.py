"""From the start of the process to the first published scan, with archives of different sizes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count

from bench.processes import Bridge
from bench.scans import Template
from bench.sightings import Sightings


def first_publish_ms(
    bridges: dict[str, Bridge],
    sightings: Sightings,
    template: Template,
    numbers: count[int],
    starts: int,
    forget: Callable[[Bridge], None],
) -> dict[str, list[float]]:
    """Start each of the bridges so many times, in turn and in a new order each time.

    A scan lies in the folder that is newer than all others, and nothing in the map (`forget` sees to that). Counted
    from just before the process is made, to the moment an independent client has the scan.
    """
    found: dict[str, list[float]] = {name: [] for name in bridges}
    for _ in range(starts):
        for name, bridge in random.sample(list(bridges.items()), len(bridges)):
            number = next(numbers)
            bridge.folder.stage(number, template.numbered(number))
            bridge.folder.land(number, time.monotonic_ns)
            forget(bridge)
            begin_ns = time.monotonic_ns()
            bridge.start()
            found[name].append((sightings.wait(bridge.map, number) - begin_ns) / 1e6)
            bridge.stop()
    return found
