"""A clock that does not step: what the age of a scan is counted by once it was received."""

from __future__ import annotations

import time

# Goes on while the machine is suspended, unlike CLOCK_MONOTONIC. Only Linux has it.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_s() -> float:
    """Seconds since some moment in the past; setting the clock does not change it."""
    return time.clock_gettime(_CLOCK)
