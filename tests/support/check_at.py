"""Runs the installed health check with its wall clock moved, as a step of the clock would. For tests only.

usage: check_at.py SECONDS SCAN-BRIDGE-HEALTH-ARGUMENTS…
A container shares its clock with the host, so a real step cannot be had.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta

from healthcheck import cli
from healthcheck.model.observation import ClockReading
from healthcheck.observe import probes

_read_clocks = probes.read_clocks


def moved() -> ClockReading:
    """What the clocks say, the wall clock moved."""
    reading = _read_clocks()
    return replace(reading, wall=reading.wall + timedelta(seconds=float(sys.argv[1])))


if __name__ == "__main__":
    probes.read_clocks = moved
    sys.exit(cli.main(sys.argv[2:]))
