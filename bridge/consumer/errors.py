"""Why there is no scan to act upon: each reason a class of its own, each message one line for the log."""

from __future__ import annotations

from enum import StrEnum

from bridge.consumer.scan import Scan
from bridge.model.order import printable


class ConsumerError(Exception):
    """Base of everything that this package raises on purpose."""


class Closed(ConsumerError):
    """The consumer was closed, or it belongs to the process that this one was forked from."""


class NoFreshScan(ConsumerError):
    """There is no scan that may be acted upon now. Base of `NoScan`, `Stale` and `Unreachable`."""


class NoScan(NoFreshScan):
    """Hazelcast answers, and holds no scan."""


class Unreachable(NoFreshScan):
    """Hazelcast does not answer (in time), and gave no scan before that could be too old."""


class StaleCause(StrEnum):
    """Why the newest scan is stale, as far as it is known."""

    HAZELCAST_AWAY = "Hazelcast does not answer"
    NO_BRIDGE_ALIVE = "no bridge is alive"
    SOURCE_UNREADABLE = "the bridge cannot read its folder"
    BRIDGE_BEHIND = "newer files are on disk, but not published"
    PRODUCER_STOPPED = "the producer has stopped"
    COMES_LATE = "scans come, but are too old when they do: clocks differ, or somebody is behind"


class Stale(NoFreshScan):
    """The newest scan is too old.

    Attributes:
        scan: the newest scan.
        age_s: how old it was when this was raised.
        cause: why, as far as it is known.
    """

    def __init__(self, scan: Scan, cause: StaleCause, detail: str = "") -> None:
        """`detail` is what was seen of the cause: which bridge, since when."""
        self.scan = scan
        self.age_s = scan.age_s
        self.cause = cause
        more = f" ({detail})" if detail else ""
        super().__init__(f"{printable(scan.provenance.source)} is {self.age_s:.1f} s old: {cause}{more}")
