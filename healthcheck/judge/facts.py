"""What follows from a snapshot and from what the last check saw, before any rule judges it. Pure; no I/O.

None always means "cannot be told", never "fine".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from bridge.model.order import Held, ScanFile, published_at_most, supersedes
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, SourceStatus
from healthcheck.config.rules import Rules
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.judge import expected_hours, previous_check
from healthcheck.judge.own_bridge import publishes_to
from healthcheck.judge.previous_check import PreviousCheck
from healthcheck.model.observation import DiskView, Known, Snapshot, UnitState, value_of

Heartbeat = Literal["fresh", "silent", "none", "unknown"]


# In the bridge's line for `systemctl status`: all it can say while it may not write its status into the map.
REFUSES = "hazelcast refuses "


@dataclass(frozen=True)
class Facts:
    """One check's snapshot in the light of the last one's."""

    snapshot: Snapshot
    previous: PreviousCheck | None
    config: HealthConfig

    @property
    def health(self) -> Health:
        """Section `[health]`."""
        return self.config.health

    @property
    def rules(self) -> Rules:
        """The rules' settings."""
        return self.config.health.rules

    @property
    def is_local(self) -> bool:
        """Whether the unit, its journal and the disk are looked at."""
        return self.snapshot.scope.is_local

    def ago(self, seconds: float) -> datetime:
        """The time so many seconds before this check."""
        return self.snapshot.at - timedelta(seconds=seconds)

    @property
    def unit(self) -> UnitState | None:
        """The unit's state, if known."""
        return value_of(self.snapshot.unit)

    @property
    def is_down(self) -> bool:
        """Whether the bridge is known not to run."""
        return self.unit is not None and not self.unit.is_running

    @property
    def status(self) -> BridgeStatus | None:
        """The bridge's own status, if the map holds one."""
        return value_of(self.snapshot.status)

    @property
    def entry(self) -> Provenance | None:
        """The scan in the map; while the cluster cannot be read, the last one seen there."""
        return value_of(self.snapshot.entry) or (self.previous.entry if self.previous and not self.no_entry else None)

    @property
    def no_entry(self) -> bool:
        """Whether the map is known to hold no scan."""
        return isinstance(self.snapshot.entry, Known) and self.snapshot.entry.value is None

    @property
    def disk(self) -> DiskView | None:
        """What lies on disk, if it could be looked at.

        A source that is not there for this check but is for the bridge, which is alive, is hidden from this check (by
        its sandbox, say): then nothing is known.
        """
        view = value_of(self.snapshot.disk)
        told = self.source_by_the_bridge
        hidden = view is not None and view.state in ("missing", "empty") and told is not None and told.state == "ok"
        return None if hidden else view

    @property
    def source_by_the_bridge(self) -> SourceStatus | None:
        """What the bridge says of its source, if it is heard."""
        return self.status.source if self.status and self.heartbeat == "fresh" else None

    @property
    def reachable(self) -> bool | None:
        """Whether this check reached the cluster."""
        reach = value_of(self.snapshot.hazelcast)
        return None if reach is None else reach.reachable

    @property
    def refusal(self) -> str | None:
        """Why the cluster answers with no: to this check or, by the bridge's own word, to the bridge; else None."""
        reach = value_of(self.snapshot.hazelcast)
        if reach is not None and reach.refused:
            return f"the cluster refuses this check: {reach.detail}"
        if self.unit is not None and self.unit.is_running and REFUSES in self.unit.status_text:
            return f"the cluster refuses the bridge, by its own word: {self.unit.status_text}"
        return None

    @cached_property
    def clock_step_s(self) -> float | None:
        """How far the wall clock jumped since the last check."""
        return previous_check.clock_step_s(self.previous, self.snapshot.clock)

    @property
    def clock_stepped(self) -> bool:
        """Whether the wall clock is known to have jumped since the last check."""
        step = self.clock_step_s
        return step is not None and abs(step) > self.rules.clock.tolerance_s

    @cached_property
    def age_s(self) -> float | None:
        """Age of the scan in the map. Without any, how long that has been so; at first sight, the bridge's uptime."""
        if not self.no_entry:
            return previous_check.entry_age_s(self.snapshot, self.previous, self.rules.clock.tolerance_s)
        if self.previous is None:
            return self.uptime_s
        elapsed = previous_check.elapsed_s(self.previous, self.snapshot.clock) or 0.0
        return 0.0 if self.previous.no_entry_s is None else self.previous.no_entry_s + elapsed

    @cached_property
    def expected_for_s(self) -> float | None:
        """For how long scans have been expected; None outside expected hours."""
        return expected_hours.expected_for_s(self.health.expected, self.snapshot.at)

    @property
    def uptime_s(self) -> float | None:
        """How long the bridge's process has run."""
        if self.unit is not None:
            return self.unit.uptime_s if self.unit.is_running else None
        if self.status is not None and self.heartbeat == "fresh":
            return (self.snapshot.at - self.status.started_at).total_seconds()
        return None

    @property
    def heartbeat_age_s(self) -> float | None:
        """Age of the status entry's heartbeat, by the wall clocks of the bridge's host and of this one."""
        return (self.snapshot.at - self.status.heartbeat_at).total_seconds() if self.status else None

    @cached_property
    def heartbeat(self) -> Heartbeat:
        """Whether the bridge is heard through the map. A heartbeat that stands still is silent, whatever its date."""
        if self.status is None or self.heartbeat_age_s is None:
            return "none" if isinstance(self.snapshot.status, Known) else "unknown"
        limit = self.rules.hazelcast.heartbeat_max_s
        elapsed = previous_check.elapsed_s(self.previous, self.snapshot.clock)
        if self.previous is not None and elapsed is not None and elapsed > limit:
            if self.previous.heartbeat_at == self.status.heartbeat_at:
                return "silent"
            if self.clock_stepped:
                return "unknown"
        if self.heartbeat_age_s > limit:
            return "unknown" if self.clock_stepped else "silent"
        return "fresh"

    @cached_property
    def others(self) -> Mapping[str, BridgeStatus] | None:
        """The other bridges that publish where the watched one does, by key, stopped ones included; None: unknown."""
        bridges = value_of(self.snapshot.bridges)
        if bridges is None:
            return None
        own = self.status
        return {
            key: one
            for key, one in bridges.items()
            if publishes_to(one, self.config)
            and (not one.is_same_process(own) if own else one.instance != self.config.status.instance)
        }

    def is_silent(self, key: str, other: BridgeStatus) -> bool:
        """Whether another bridge is not heard, though nobody stopped it.

        A heartbeat that came since the last check is one, whatever the clock of that host says.
        """
        if other.state == "stopped":
            return False
        limit = self.rules.hazelcast.heartbeat_max_s
        before = self.previous.heartbeats.get(key) if self.previous else None
        elapsed = previous_check.elapsed_s(self.previous, self.snapshot.clock)
        if before is not None and elapsed is not None and elapsed > limit:
            return before == other.heartbeat_at
        return (self.snapshot.at - other.heartbeat_at).total_seconds() > limit

    @cached_property
    def partners(self) -> Mapping[str, BridgeStatus]:
        """The other bridges that publish where the watched one does, and are heard."""
        others = self.others or {}
        return {key: one for key, one in others.items() if one.state == "running" and not self.is_silent(key, one)}

    @property
    def flows_through(self) -> str | None:
        """The other bridge by which the data is fresh; None if it is not, or by the watched one."""
        limits = (self.rules.stale_data.warning_s, self.rules.stale_data.critical_s)
        limit = min((limit for limit in limits if limit != "off"), default=None)
        if self.no_entry or self.entry is None or self.age_s is None or limit is None or self.age_s > limit:
            return None
        by = self.entry.bridge
        return by if any(one.instance == by for one in self.partners.values()) else None

    @cached_property
    def waiting(self) -> ScanFile | None:
        """A scan that has lain on disk long enough and is newer than the one in the map."""
        settled = self.disk.settled if self.disk else None
        if settled is None and self.previous and self.previous.newest:
            # So many new files that none of those kept is old enough: then the last check's newest is.
            elapsed = previous_check.elapsed_s(self.previous, self.snapshot.clock)
            if self.disk and self.disk.newest and elapsed is not None and elapsed > self.health.grace_s:
                settled = self.previous.newest
        return settled if settled and self._is_newer(settled) else None

    @property
    def arriving(self) -> ScanFile | None:
        """A scan on disk newer than the one in the map, however young."""
        newest = self.disk.newest if self.disk else None
        return newest if newest and self._is_newer(newest) else None

    @property
    def just_back(self) -> str | None:
        """Why the bridge may not have had the time to catch up; None if it has."""
        grace = self.health.grace_s
        if self.previous is not None and self.previous.hazelcast_reachable is False and self.reachable:
            return "the cluster was away at the last check"
        if self.previous is not None and self.previous.disk_state not in ("ok", None):
            return f"the source was {self.previous.disk_state} at the last check"
        # The last check may have been seconds ago: another manager's, or a person's.
        elapsed = previous_check.elapsed_s(self.previous, self.snapshot.clock)
        if self.previous is not None and self.previous.away_ago_s is not None and elapsed is not None:
            away_ago_s = self.previous.away_ago_s + elapsed
            if away_ago_s < grace:
                return f"the cluster or the source was away {away_ago_s:.0f} s ago"
        if self.uptime_s is not None and self.uptime_s < grace:
            return f"the bridge started {self.uptime_s:.0f} s ago"
        return None

    @property
    def all_bad(self) -> bool:
        """Whether the bridge is alive, knows of what waits on disk, and has found bad files only."""
        counted = previous_check.count(self.status, self.previous.counted if self.previous else None)
        if self.heartbeat != "fresh" or self.status is None or counted is None:
            return False
        knows = self.waiting is None or (
            self.status.newest is not None
            and (self.status.newest.mtime_ns, self.status.newest.path) >= self.waiting.key
        )
        return knows and counted.bad_since_published > 0

    def _is_newer(self, file: ScanFile) -> bool:
        entry = self.entry
        now_ns, max_future_s = int(self.snapshot.at.timestamp() * 1e9), self.config.source.max_future_s
        if entry is None:
            return supersedes(file, None, now_ns, max_future_s)
        published_ns = entry.published_ns
        if entry.bridge == (self.status or self.config.status).instance:
            # As the bridge sees it, which knows for how long it has run.
            published_ns = published_at_most(published_ns, now_ns, self.uptime_s or 0.0, max_future_s)
        return supersedes(file, Held(entry.held.key, published_ns), now_ns, max_future_s)
