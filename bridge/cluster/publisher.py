"""Putting a scan into the map so that the map never goes back.

Every write is a compare-and-set against the very bytes this bridge last saw there. So neither a second bridge nor a
call of ours that was given up and arrives late can put an older scan over a newer one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace

from bridge.arrow.scan import ArrowScan
from bridge.cluster import forms
from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.entries import UnreadableEntry, provenance_of
from bridge.cluster.hazelcast_client import MapValue
from bridge.config import Hazelcast
from bridge.model.order import Held, ScanFile, published_at_most, supersedes
from bridge.model.provenance import Provenance

log = logging.getLogger(__name__)

# Lost races in a row before giving up; each means that somebody else published meanwhile.
MOST_RACES = 10


@dataclass(frozen=True)
class Published:
    """A scan as it went into the map."""

    file: ScanFile
    provenance: Provenance
    rows: int
    bytes: int
    acknowledged_ns: int
    lag_ms: float  # from the file's landing to the cluster's acknowledgement
    redated_from_ns: int | None = None  # it was there already, under this later time


class Publisher:
    """The entry of the newest scan, and what it held when we last looked."""

    def __init__(self, cluster: Cluster, config: Hazelcast, instance: str, max_future_s: float) -> None:
        """`instance` names this bridge in each value."""
        self._cluster = cluster
        self._key = config.scan_key
        self._form = config.value
        self._instance = instance
        self._max_future_s = max_future_s
        self._began_s = time.monotonic()
        self._value: MapValue | None = None
        self._known = False
        self._provenance: Provenance | None = None
        self._in_doubt: Published | None = None  # sent, but not acknowledged in time

    def reconfigure(self, config: Hazelcast, instance: str, max_future_s: float) -> None:
        """Go on with another configuration."""
        self._key, self._form = config.scan_key, config.value
        self._instance, self._max_future_s = instance, max_future_s
        self.forget()

    @property
    def known(self) -> bool:
        """Whether we know what the map holds."""
        return self._known

    @property
    def held(self) -> Held | None:
        """The place in the order of what the map holds, as far as known."""
        if self._provenance is None:
            return None
        held = self._provenance.held
        if not self.published_by_us:
            return held  # if that lies ahead, their clock and ours differ: not that ours was stepped back
        running_s = time.monotonic() - self._began_s
        return Held(held.key, published_at_most(held.published_ns, time.time_ns(), running_s, self._max_future_s))

    @property
    def provenance(self) -> Provenance | None:
        """Where what the map holds came from, as far as known."""
        return self._provenance

    @property
    def published_by_us(self) -> bool:
        """Whether this bridge published what the map holds, as far as known."""
        return self._provenance is not None and self._provenance.bridge == self._instance

    def forget(self) -> None:
        """The map may hold something else by now (the connection was lost): ask before the next write."""
        self._known = False

    async def refresh(self) -> Published | None:
        """Ask the map what it holds; returns our last scan if it turns out that it did arrive.

        Raises:
            ClusterError: the cluster is away or too slow.
        """
        value = await self._cluster.get(self._key)
        provenance = _provenance(value)
        if value is not None and provenance is None:
            log.warning("%s holds a value that no bridge wrote; the next scan will replace it", self._key)
        self._value, self._provenance, self._known = value, provenance, True
        in_doubt, self._in_doubt = self._in_doubt, None
        if in_doubt is not None and in_doubt.provenance == provenance:
            return _acknowledged(in_doubt)
        return None

    async def publish(self, file: ScanFile, scan: ArrowScan) -> Published | None:
        """Put a scan into the map; None if what the map holds is newer.

        Raises:
            ClusterError: the cluster is away or too slow; whether the scan arrived is then unknown.
        """
        encoder = forms.Encoder(scan, self._form)
        for _ in range(MOST_RACES):
            if not self._known and (arrived := await self.refresh()) and arrived.file == file:
                return arrived
            if not supersedes(file, self.held, time.time_ns(), self._max_future_s):
                return None
            if published := await self._put(file, scan.rows, encoder):
                return published
        raise ClusterError(f"{self._key}: lost {MOST_RACES} races in a row against other writers")

    async def holds(self, scan: ArrowScan) -> bool:
        """Whether the map holds this very scan, whatever its date there, as far as known."""
        return self._provenance is not None and await forms.is_of(self._value, scan, self._provenance)

    async def redate(self, file: ScanFile, scan: ArrowScan) -> Published | None:
        """Give the held scan the earlier time that its file has by now; None if that is not ours to do.

        It has to be the same scan, and one that this bridge published: two bridges whose copies of the folder differ
        in their times would correct each other for ever.

        Raises:
            ClusterError: the cluster is away or too slow; whether the correction arrived is then unknown.
        """
        held = self._provenance
        if held is None or (held.source, held.bridge) != (file.path, self._instance):
            return None
        if not 0 <= file.mtime_ns < held.mtime_ns or not await self.holds(scan):
            return None
        return await self._put(file, scan.rows, forms.Encoder(scan, self._form), redated_from_ns=held.mtime_ns)

    async def _put(
        self, file: ScanFile, rows: int, encoder: forms.Encoder, redated_from_ns: int | None = None
    ) -> Published | None:
        """Write the scan if the map still holds what it held when we last looked; None if not."""
        provenance = self._next_provenance(file)
        value = await encoder.encode(provenance)
        sent_ns = provenance.published_ns
        published = Published(file, provenance, rows, forms.size_of(value), sent_ns, 0.0, redated_from_ns)
        self._known, self._in_doubt = False, published
        stored = await self._write(value)
        self._in_doubt = None
        if not stored:
            await self._refresh_after_lost_race()
            return None
        self._value, self._provenance, self._known = value, provenance, True
        return _acknowledged(published)

    def _next_provenance(self, file: ScanFile) -> Provenance:
        return Provenance(
            source=file.path,
            mtime_ns=file.key.mtime_ns,
            size=file.size,
            sequence=self._provenance.sequence + 1 if self._provenance else 1,
            published_ns=time.time_ns(),
            bridge=self._instance,
        )

    async def _write(self, value: forms.ScanValue) -> bool:
        if self._value is None:
            return await self._cluster.put_if_absent(self._key, value)
        return await self._cluster.replace_if_same(self._key, self._value, value)

    async def _refresh_after_lost_race(self) -> None:
        expected = self._value
        await self.refresh()
        if expected is not None and self._value == expected:
            raise ClusterError(
                f"{self._key}: the cluster says that an unchanged value changed; "
                "its map must keep in-memory-format BINARY (with OBJECT, byte arrays cannot be compared)"
            )


def _acknowledged(published: Published) -> Published:
    now_ns = time.time_ns()
    return replace(published, acknowledged_ns=now_ns, lag_ms=max(0.0, (now_ns - published.file.ctime_ns) / 1e6))


def _provenance(value: MapValue | None) -> Provenance | None:
    try:
        return None if value is None else provenance_of(value)
    except UnreadableEntry:
        return None
