"""What the bridge costs while nothing happens, and while it polls a large archive."""

from __future__ import annotations

import time

from bench.processes import Measured


def cpu_percent(process: Measured, seconds: float) -> float:
    """CPU time of all its threads, in percent of one core, over `seconds`."""
    begin_ns, begin_cpu_ns = time.monotonic_ns(), process.cpu_ns()
    time.sleep(seconds)
    return 100 * (process.cpu_ns() - begin_cpu_ns) / (time.monotonic_ns() - begin_ns)
