"""The status entry: what the bridge says of itself in Hazelcast, and how anyone reads it back.

The shape is versioned. Readers must accept a status written by an older or newer bridge of the same
`schema_version`; unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, PlainSerializer

SCHEMA_VERSION = 1


def iso_utc(moment: datetime) -> str:
    """UTC ISO-8601 with microseconds, always: `2026-03-24T08:15:00.000000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_ns(time_ns: int) -> datetime:
    """A `time.time_ns()` or `st_mtime_ns` as an aware datetime, cut to microseconds."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).replace(microsecond=time_ns // 1000 % 1_000_000)


Timestamp = Annotated[datetime, PlainSerializer(iso_utc, when_used="json")]
SourceState = Literal["ok", "empty", "missing", "unreadable"]
WatchMode = Literal["inotify", "polling"]
Role = Literal["active", "standby"]
RunState = Literal["running", "stopped"]

# Missing so many heartbeats in a row, a bridge counts as dead.
HEARTBEATS_MISSED = 3


class _Part(BaseModel):
    # Built when the first one is made: the first scan after a start does not wait for it.
    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class SourceStatus(_Part):
    """The folder: `empty` has no day folder (an unmounted mount point looks like this), `missing` is not there."""

    root: str
    state: SourceState
    watch_mode: WatchMode
    reason: str = ""  # why it is not ok, or what in it cannot be read


class PublishedStatus(_Part):
    """The last scan this bridge put into the map."""

    path: str
    mtime_ns: int
    sequence: int
    published_at: Timestamp
    rows: int
    bytes: int
    lag_ms: float


class NewestStatus(_Part):
    """The newest scan file seen on disk, complete or not."""

    path: str
    mtime_ns: int


class Counters(_Part):
    """Counts since the process started."""

    published: int = 0
    skipped: int = 0
    bad: int = 0
    retries: int = 0
    reconnects: int = 0
    overflows: int = 0


class LagQuantiles(_Part):
    """File-to-Hazelcast lag over the last 5 minutes, in milliseconds; null when nothing was published."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


class HistoryStatus(_Part):
    """The map with every scan of the last hours."""

    missing: int | None = None  # scans that lie on disk and are not in it yet; null: not compared yet
    per_s: float = 0.0  # scans that went into it, over the last 10 seconds
    behind_s: float = 0.0  # for how long it has not been complete
    trouble: str = ""  # why it does not get on


class BridgeStatus(_Part):
    """The whole status entry."""

    schema_version: int = SCHEMA_VERSION
    instance: str
    host: str
    pid: int
    version: str
    started_at: Timestamp
    heartbeat_at: Timestamp
    heartbeat_s: float
    source: SourceStatus
    published: PublishedStatus | None = None
    newest: NewestStatus | None = None
    counters: Counters = Counters()
    lag_ms: LagQuantiles = LagQuantiles()
    files_per_min_1m: float = 0.0
    files_per_min_5m: float = 0.0
    map: str = ""  # where it publishes; version 1.0 does not say
    scan_key: str = ""
    role: Role = "active"  # standby: it leaves each scan to another bridge first
    state: RunState = "running"  # stopped: the last word of a bridge that was told to end
    history: HistoryStatus | None = None  # null: switched off
    host_id: str = ""  # tells hosts of one name apart; empty: not known, or said by an earlier version

    def is_alive(self, now: datetime) -> bool:
        """Whether it runs and is heard, by the clocks of its host and of the reader's."""
        silent_s = (now - self.heartbeat_at).total_seconds()
        return self.state == "running" and silent_s <= self.heartbeat_s * HEARTBEATS_MISSED

    def may_be_on(self, host_id: str) -> bool:
        """Whether nothing speaks against its being on the host with this id; an id that is not known does not."""
        return not self.host_id or not host_id or self.host_id == host_id

    def is_same_process(self, other: BridgeStatus) -> bool:
        """Whether one process said both."""
        return (self.host, self.pid, self.started_at) == (other.host, other.pid, other.started_at)


@dataclass(frozen=True)
class Statuses:
    """What all bridges of a map say, by key, in the order of the keys; and why other entries cannot be read."""

    bridges: Mapping[str, BridgeStatus]
    unreadable: Mapping[str, str] = field(default_factory=dict)
