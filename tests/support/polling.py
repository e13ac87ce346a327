"""Asking until something is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 1.0
LONGEST_PAUSE_IF_CHEAP_S = 0.05


def poll(condition: Callable[[], T], deadline_s: float) -> T:
    """What `condition` gives as soon as that is true, or at the deadline what it gives then.

    The longer it takes, the later it is asked again; and all the later if asking takes long: a command in a machine, or
    a question to Prefect's server, takes as much CPU time as what is waited for.
    """
    start = time.monotonic()
    while True:
        asked = time.monotonic()
        value = condition()
        now = time.monotonic()
        if value or now - start > deadline_s:
            return value
        least_s, most_s = max(FIRST_PAUSE_S, 4 * (now - asked)), max(LONGEST_PAUSE_IF_CHEAP_S, 19 * (now - asked))
        time.sleep(min(LONGEST_PAUSE_S, max(least_s, min(most_s, (now - start) / 2))))
