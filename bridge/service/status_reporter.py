"""What the bridge says of itself: the status entry in Hazelcast and the one line in `systemctl status`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from hazelcast.core import HazelcastJsonValue

from bridge import __version__
from bridge.cluster.connection import Cluster, ClusterError
from bridge.config import Config
from bridge.model.order import printable
from bridge.model.status import (
    BridgeStatus,
    HistoryStatus,
    NewestStatus,
    PublishedStatus,
    RunState,
    SourceStatus,
    from_ns,
)
from bridge.service.discovery import Discovery
from bridge.service.history_process import HistoryProcess
from bridge.service.metrics import Metrics
from bridge.service.pipeline import Pipeline
from bridge.service.status_entry import StatusEntry
from bridge.system.backoff import Backoff
from bridge.system.host import host_id

log = logging.getLogger(__name__)

# At most five status writes a second, however fast scans come.
SHORTEST_PAUSE_S = 0.2
# For the last word of a bridge that ends: it has 2 s for all it does then.
LAST_WORD_S = 0.4


@dataclass(frozen=True)
class Stages:
    """What is reported on; only read, never changed here."""

    cluster: Cluster
    discovery: Discovery
    pipeline: Pipeline
    history: HistoryProcess
    metrics: Metrics


class StatusReporter:
    """Builds the status, and writes it after each publish and at every heartbeat."""

    def __init__(self, config: Config, stages: Stages) -> None:
        self._config = config
        self._cluster = stages.cluster
        self._discovery = stages.discovery
        self._pipeline = stages.pipeline
        self._history = stages.history
        self._metrics = stages.metrics
        self._entry = StatusEntry(config, stages.cluster)
        self._backoff = Backoff(log, "writing the status")
        self._host_id = host_id()
        self._written_s = float("-inf")

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration."""
        self._config = config
        self._entry.reconfigure(config)
        self._written_s = float("-inf")

    async def say_stopped(self) -> None:
        """The last word under this name, where it can be said in time: this bridge was told to end."""
        if self._cluster.connected:
            with contextlib.suppress(ClusterError, TimeoutError):
                async with asyncio.timeout(LAST_WORD_S):
                    status = self.status("stopped")
                    await self._entry.write(status, _as_json(status))

    async def step(self, longest_wait_s: float) -> None:
        """Write the status if it is time, else wait until it is."""
        now_s = time.monotonic()
        heartbeat_in_s = self._written_s + self._config.status.heartbeat_s - now_s
        if not self._cluster.connected:
            await asyncio.sleep(min(SHORTEST_PAUSE_S, longest_wait_s))
        elif self._pipeline.published.is_set() or heartbeat_in_s <= 0:
            await self._write()
            await asyncio.sleep(SHORTEST_PAUSE_S)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(heartbeat_in_s, longest_wait_s)):
                    await self._pipeline.published.wait()

    async def _write(self) -> None:
        self._pipeline.published.clear()
        status = self.status()
        value = _as_json(status)
        try:
            # As version 1.0 did, for its readers.
            await self._cluster.set(self._config.hazelcast.status_key, value)
            await self._entry.write(status, value)
        except ClusterError as error:
            await asyncio.sleep(self._backoff.failed(str(error)))
        else:
            self._written_s = time.monotonic()
            self._backoff.succeeded()

    def status(self, state: RunState = "running") -> BridgeStatus:
        """The status as of now."""
        now_s = time.monotonic()
        last, newest = self._pipeline.last, self._pipeline.intake.newest
        return BridgeStatus(
            instance=self._config.status.instance,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            started_at=STARTED_AT,
            heartbeat_at=datetime.now(UTC),
            heartbeat_s=self._config.status.heartbeat_s,
            source=SourceStatus(
                root=printable(str(self._config.source.root)),
                state=self._discovery.state,
                watch_mode=self._discovery.watch_mode,
                reason=printable(self._discovery.reason),
            ),
            published=None
            if last is None
            else PublishedStatus(
                path=last.provenance.source,
                mtime_ns=last.provenance.mtime_ns,
                sequence=last.provenance.sequence,
                published_at=from_ns(last.acknowledged_ns),
                rows=last.rows,
                bytes=last.bytes,
                lag_ms=last.lag_ms,
            ),
            newest=newest and NewestStatus(path=printable(newest.path), mtime_ns=newest.mtime_ns),
            counters=self._metrics.counters(),
            lag_ms=self._metrics.lag_quantiles(now_s),
            files_per_min_1m=self._metrics.files_per_min(now_s, 60),
            files_per_min_5m=self._metrics.files_per_min(now_s, 300),
            map=self._config.hazelcast.map,
            scan_key=self._config.hazelcast.scan_key,
            role="standby" if self._pipeline.is_standby else "active",
            state=state,
            history=self._history.status,
            host_id=self._host_id,
        )

    def line(self) -> str:
        """One line for people."""
        last = self._pipeline.last
        parts = [f"published {self._metrics.published}"]
        if last is not None:
            ago_s = (time.time_ns() - last.acknowledged_ns) / 1e9
            parts[0] += f" (last {last.provenance.source}, {ago_s:.1f} s ago, lag {last.lag_ms:.1f} ms)"
        if self._discovery.state != "ok":
            parts.append(f"waiting for scans: {self._discovery.reason}")
        elif self._discovery.reason:
            parts.append(f"cannot read all of the source: {self._discovery.reason}")
        parts.append(f"hazelcast {self._cluster.condition}")
        if (history := self._history.status) is not None:
            parts.append(f"history {_progress(history)}")
        if self._metrics.bad:
            parts.append(f"{self._metrics.bad} bad")
        return "; ".join(parts)


def _as_json(status: BridgeStatus) -> HazelcastJsonValue:
    return HazelcastJsonValue(status.model_dump_json())


def _progress(history: HistoryStatus) -> str:
    """How far the history is, for people."""
    if history.trouble:
        return f"behind: {history.trouble}"
    if history.missing is None:
        return "not compared yet"
    return f"lacks {history.missing}, {history.per_s:g}/s" if history.missing else "complete"


STARTED_AT = datetime.now(UTC)
