"""The map of the history: which scans stand in it, and putting one there so that no two writers disturb each other."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from hazelcast.asyncio import Map
from hazelcast.predicate import between

from bridge.arrow.scan import ArrowScan
from bridge.cluster import forms
from bridge.cluster.connection import Cluster, ClusterError, serialized
from bridge.cluster.entries import UnreadableEntry, provenance_of
from bridge.cluster.hazelcast_client import MapValue, read_key
from bridge.cluster.hazelcast_wire import put_if_absent, replace_if_same
from bridge.config import Config
from bridge.history.inventory import SECOND_NS
from bridge.model.history import first_key, history_key
from bridge.model.order import ScanFile
from bridge.model.provenance import Provenance

# Keys asked for at once: some 5 MB, and far from the call's deadline.
MOST_KEYS = 20_000
LAST_KEY = "~"  # sorts after every digit
# Members count in whole seconds, rounded down: without this an entry would go before its time, and one with less than a
# millisecond left would stay for ever.
ROUNDING_S = 1.0


class HistoryStore:
    """The map, as one bridge writes it."""

    def __init__(self, cluster: Cluster, config: Config) -> None:
        self._cluster = cluster
        self._map_name = config.history.map
        self._keep_s = config.history.keep_s
        self._form = config.hazelcast.value
        self._instance = config.status.instance

    async def keys(self, since_ns: int, files: Sequence[ScanFile]) -> set[str]:
        """The keys of all scans from `since_ns` on. `files` (newest first) tell where to divide them.

        Raises:
            ClusterError: the cluster is away, too slow, or refuses.
        """
        found: set[str] = set()
        last = LAST_KEY
        for first in [*(first_key(file.mtime_ns) for file in files[MOST_KEYS::MOST_KEYS]), first_key(since_ns)]:
            found.update(await self._keys_between(first, last))
            last = first
        return found

    async def _keys_between(self, first: str, last: str) -> Iterable[str]:
        async def ask(history: Map[str, Any]) -> list[Any]:
            return await history.key_set(between("__key", first, last))

        found = await self._cluster.ask(self._map_name, ask)
        return [key for key in map(read_key, found) if key is not None]

    async def get(self, key: str) -> MapValue | None:
        """What stands there. Raises ClusterError."""

        async def ask(history: Map[str, Any]) -> MapValue | None:
            value: MapValue | None = await history.get(key)
            return value

        return await self._cluster.ask(self._map_name, ask)

    async def keep(self, file: ScanFile, scan: ArrowScan) -> None:
        """Put a scan there with its time to live; nothing, if it stands there already, whoever put it.

        If the file had other content once, its value is replaced.

        Raises:
            ClusterError: the cluster is away, too slow, or refuses. Whether the scan arrived is then unknown.
        """
        ttl_s = self._ttl_s(file)
        if ttl_s <= 0:
            return
        key = history_key(file.key)
        value = await forms.Encoder(scan, self._form).encode(self._provenance(file))
        size = forms.size_of(value)

        async def put(history: Map[str, Any]) -> MapValue | None:
            there: MapValue | None = await put_if_absent(history, key, serialized(value), ttl_s)
            return there

        there = await self._cluster.ask(self._map_name, put, size)
        if there is None:
            return

        async def correct(history: Map[str, Any]) -> bool:
            if not await _is_same(there, scan) and not await replace_if_same(
                history, key, serialized(there), serialized(value)
            ):
                return False
            # Replacing may have taken it away; and whoever died between the two is made good for here.
            await history.set_ttl(key, ttl_s)
            return True

        if not await self._cluster.ask(self._map_name, correct, 2 * size):
            raise ClusterError(f"{self._map_name}: lost a race against another writer")

    async def remove(self, key: str) -> None:
        """Take out what stands there. Raises ClusterError."""

        async def ask(history: Map[str, Any]) -> None:
            await history.delete(key)

        await self._cluster.ask(self._map_name, ask)

    def _ttl_s(self, file: ScanFile) -> float:
        """How long it has to stay, 0 for no longer; a date in the future does not prolong it."""
        rest_s = self._keep_s - max(0.0, (time.time_ns() - file.key.mtime_ns) / SECOND_NS)
        return rest_s + ROUNDING_S if rest_s > 0 else 0.0

    def _provenance(self, file: ScanFile) -> Provenance:
        # Of what was overtaken there is no number in the order of publishing, so there is none for any.
        return Provenance(file.path, file.key.mtime_ns, file.size, 0, time.time_ns(), self._instance)


async def _is_same(value: MapValue, scan: ArrowScan) -> bool:
    """Whether the value is this scan, whoever put it there and when."""
    try:
        provenance = provenance_of(value)
    except UnreadableEntry:
        return False
    return await forms.is_of(value, scan, provenance)
