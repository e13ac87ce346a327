"""A scan as a consumer gets it, and which of two is the newer one. Pure; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from bridge.consumer.clock import steady_s
from bridge.model.order import OrderKey, is_misdated
from bridge.model.provenance import Provenance

# Clocks may differ by so much: a date further ahead is wrong, and says nothing. The bridge's own default.
MAX_FUTURE_S = 5.0


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan.

    Attributes:
        table: the scan, its provenance in the schema's metadata as well. It points into the bytes that Hazelcast
            sent: nothing was copied.
        provenance: which file it was, when it was written, who published it when.
        missed: values that came between the one this iterator handed out before and this one.
        received_s: when it was received, by `clock.steady_s`.
        received_age_s: how old it was then, by the wall clocks of its producer and of this host.
    """

    table: pa.Table
    provenance: Provenance
    missed: int
    received_s: float
    received_age_s: float

    @property
    def key(self) -> OrderKey:
        """Its place in the order of all scans: time of writing, then path."""
        return self.provenance.held.key

    @property
    def age_s(self) -> float:
        """How old it is now. No step of a clock since it was received changes that."""
        return self.received_age_s + steady_s() - self.received_s


def age_s(provenance: Provenance, now_ns: int) -> float:
    """How old a scan is by the wall clock, at least 0.

    An impossible date (before 1970, in the future) says nothing; then the time of publishing is the best that is known.
    """
    written_ns = provenance.mtime_ns
    if is_misdated(written_ns, now_ns, MAX_FUTURE_S):
        written_ns = provenance.published_ns
    return max(0.0, (now_ns - written_ns) / 1e9)


def replaces(new: Provenance, held: Provenance | None, now_ns: int) -> bool:
    """Whether `new` is newer than `held`; the same rule by which the bridge writes, seen from the other end.

    Events and answers can overtake each other, so what comes later may be older. An impossible date counts for
    nothing: between a scan with such a date and one without, the one that was published later is the newer one.
    """
    if held is None:
        return True
    if new.held.key == held.held.key:
        return False
    if (new.source, new.size, new.bridge) == (held.source, held.size, held.bridge):
        if new.mtime_ns < held.mtime_ns and new.sequence > held.sequence:
            return True  # the bridge corrected it: its producer had set the time late
        if new.sequence < held.sequence and new.published_ns < held.published_ns:
            return False  # the wrong time again, in an event that was overtaken
    if is_misdated(new.mtime_ns, now_ns, MAX_FUTURE_S) != is_misdated(held.mtime_ns, now_ns, MAX_FUTURE_S):
        return new.sequence > held.sequence or new.published_ns > held.published_ns
    return new.held.key > held.held.key


def missed_between(earlier: Provenance | None, later: Provenance) -> int:
    """How many values lay between two. A lower sequence began anew at 1, in a cluster that had lost its data."""
    if earlier is None:
        return 0
    return later.sequence - 1 - (earlier.sequence if later.sequence > earlier.sequence else 0)
