"""What the history costs the cluster: rate × size × keep_s × (1 + backups). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.history.inventory import SECOND_NS
from bridge.model.order import ScanFile

# What Hazelcast needs for an entry beside its value: key, record, time to live. Measured on 5.6.0, rounded up.
ENTRY_BYTES = 500
BACKUPS = 1  # Hazelcast's default
# As JSON a scan is so many times as large as its file; measured with numbers that are not compressed.
JSON_TIMES = 2.5
# Of a span shorter than this no rate can be told.
SHORTEST_S = 60.0


@dataclass(frozen=True)
class Cost:
    """An estimate from what lies on disk."""

    per_s: float  # scans a second
    bytes: float  # of a scan
    keep_s: float

    @property
    def total_bytes(self) -> float:
        """Memory of all members together, with one backup."""
        return self.per_s * (self.bytes + ENTRY_BYTES) * self.keep_s * (1 + BACKUPS)

    def __str__(self) -> str:
        return (
            f"the history needs about {self.total_bytes / 1e9:.2g} GB of the cluster's memory: {self.per_s:.3g} scans "
            f"a second × {self.bytes / 1000:.3g} kB × {self.keep_s:g} s × {1 + BACKUPS} (with {BACKUPS} backup)"
        )


def estimate(files: Sequence[ScanFile], keep_s: float, now_ns: int, form: str = "arrow") -> Cost | None:
    """From the files of the last `keep_s` seconds, newest first; None if there are too few to tell. `form` as in
    `hazelcast.value`.
    """
    if not files:
        return None
    span_s = min(keep_s, (now_ns - files[-1].mtime_ns) / SECOND_NS)
    if span_s < min(SHORTEST_S, keep_s):
        return None
    times = JSON_TIMES if form == "json" else 1.0
    return Cost(len(files) / span_s, times * sum(file.size for file in files) / len(files), keep_s)
