"""How much is measured: everything (the figures in docs/performance.md), or a glance that ends within two minutes."""

from __future__ import annotations

from dataclasses import dataclass

KB, MB = 1_000, 1_000_000

# As fast as the producer can write.
FLAT_OUT = 0.0


@dataclass(frozen=True)
class Series:
    """Scans of one size at one rate.

    `rounds` blocks of `block_s` seconds for each measured process, one process after the other, or, `mixed`, all in
    turn within the same blocks. A process gets `rate_hz` scans a second while it is its turn.
    """

    size: int
    rate_hz: float
    block_s: float
    rounds: int
    mixed: bool


@dataclass(frozen=True)
class Plan:
    """The amounts. Sizes in bytes, durations in seconds."""

    name: str
    lag: tuple[Series, ...]
    warm_up_scans: int
    closed_scans: int  # written under their own name, lag counted from the close
    entry_time_scans: int  # for which the member's own clock is asked
    idle_s: float
    polling_s: float
    polling_files: int
    memory_scans: int
    memory_rate_hz: float
    peaks: tuple[int, ...]  # bytes of a scan
    consumer_scans: int
    history_backlog: int
    history_s: float  # shorter than what it takes to make that good
    history_rounds: int
    outage_s: float
    outage_rate_hz: float
    archives: tuple[int, ...]  # files
    full_day_files: int  # in the newest day folder alone; 0: not measured
    starts: int  # of each archive
    bursts: tuple[int, ...]
    burst_rounds: int
    checks: int  # of the health check, by the command
    prefect_checks: int  # by a real Prefect server; 0: neither that nor the dashboard is measured
    rest_s: float  # of that server and of the dashboard
    twenty_s: float  # of each measurement of twenty bridges; 0: none
    kills: int  # under a real systemd where that can be had, and under a shell loop


FULL = Plan(
    name="full",
    lag=(
        *(Series(size, 1.0, 60.0, 2, mixed=True) for size in (10 * KB, 100 * KB, MB)),
        Series(10 * MB, 1.0, 15.0, 7, mixed=False),
        Series(10 * KB, 10.0, 60.0, 1, mixed=True),
        Series(100 * KB, 5.0, 60.0, 2, mixed=True),
        Series(100 * KB, 10.0, 100.0, 3, mixed=True),
        Series(MB, 10.0, 60.0, 1, mixed=True),
        Series(10 * MB, 10.0, 5.0, 4, mixed=False),
        *(Series(size, FLAT_OUT, 2.0, 4, mixed=False) for size in (10 * KB, 100 * KB, MB, 10 * MB)),
    ),
    warm_up_scans=1000,
    closed_scans=500,
    entry_time_scans=300,
    idle_s=300.0,
    polling_s=60.0,
    polling_files=100_000,
    memory_scans=100_000,
    memory_rate_hz=250.0,
    peaks=(100 * KB, 10 * MB, 16 * MB, 40 * MB),
    consumer_scans=500,
    history_backlog=10_000,
    history_s=20.0,
    history_rounds=2,
    outage_s=600.0,
    outage_rate_hz=10.0,
    archives=(1_000, 100_000, 1_000_000),
    full_day_files=50_000,
    starts=10,
    bursts=(100, 1_000, 10_000),
    burst_rounds=5,
    checks=9,
    prefect_checks=9,
    rest_s=180.0,
    twenty_s=60.0,
    kills=10,
)

QUICK = Plan(
    name="quick",
    lag=(Series(100 * KB, 10.0, 10.0, 1, mixed=True),),
    warm_up_scans=200,
    closed_scans=0,
    entry_time_scans=0,
    idle_s=8.0,
    polling_s=0.0,
    polling_files=0,
    memory_scans=1_000,
    memory_rate_hz=250.0,
    peaks=(16 * MB,),
    consumer_scans=60,
    history_backlog=2_000,
    history_s=2.0,
    history_rounds=2,
    outage_s=2.0,
    outage_rate_hz=50.0,
    archives=(1_000, 20_000),
    full_day_files=0,
    starts=3,
    bursts=(100, 1_000),
    burst_rounds=1,
    checks=3,
    prefect_checks=0,
    rest_s=0.0,
    twenty_s=0.0,
    kills=0,
)
