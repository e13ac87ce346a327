"""The map in which every bridge says how it is: one entry a bridge, under its name."""

from __future__ import annotations

import contextlib
from typing import Any

from hazelcast.core import HazelcastJsonValue

from bridge.cluster.connection import Cluster, ClusterRefused
from bridge.cluster.entries import UnreadableEntry, status_of
from bridge.cluster.hazelcast_client import MapValue, read_key
from bridge.config import Hazelcast
from bridge.model.status import BridgeStatus, Statuses


async def read_all(cluster: Cluster, config: Hazelcast) -> Statuses:
    """What all bridges of the status map say; and the one of version 1.0, which knows no such map.

    Raises:
        ClusterError: the cluster is away, too slow, or refuses.
    """
    old = await cluster.get(config.status_key)
    found: list[tuple[Any, MapValue]] = []
    with contextlib.suppress(ClusterRefused):  # a user may be let into one map only, as version 1.0 needed it
        found = await cluster.ask(config.statuses, lambda map_: map_.entry_set())
    entries = [(read_key(key) or str(key), value) for key, value in found]
    bridges, unreadable = _parsed(entries)
    of_old, unreadable_old = _parsed([] if old is None else [(config.status_key, old)])
    known = {status.instance for status in bridges.values()}
    bridges |= {status.instance: status for status in of_old.values() if status.instance not in known}
    if not bridges:
        unreadable |= unreadable_old
    return Statuses(dict(sorted(bridges.items())), unreadable)


async def read_one(cluster: Cluster, config: Hazelcast, key: str) -> BridgeStatus | None:
    """What stands under this key; None for nothing, or nothing readable. Raises ClusterError."""
    found = await cluster.ask(config.statuses, lambda map_: map_.get(key))
    return _readable(found)


async def write(cluster: Cluster, config: Hazelcast, key: str, value: HazelcastJsonValue) -> BridgeStatus | None:
    """Put a status under this key; what stood there, if it can be read. Raises ClusterError."""
    return _readable(await cluster.ask(config.statuses, lambda map_: map_.put(key, value)))


async def remove(cluster: Cluster, config: Hazelcast, key: str) -> None:
    """Take the entry away, if there is one, and what the same bridge left for readers of version 1.0.

    Raises:
        ClusterError: the cluster is away, too slow, or refuses.
    """
    await cluster.ask(config.statuses, lambda map_: map_.delete(key))
    old = _readable(await cluster.get(config.status_key))
    if old is not None and old.instance == key:
        await cluster.ask(config.map, lambda map_: map_.delete(config.status_key))


def _parsed(entries: list[tuple[str, MapValue]]) -> tuple[dict[str, BridgeStatus], dict[str, str]]:
    bridges: dict[str, BridgeStatus] = {}
    unreadable: dict[str, str] = {}
    for key, value in entries:
        try:
            bridges[key] = status_of(value)
        except UnreadableEntry as error:
            unreadable[key] = str(error)
    return bridges, unreadable


def _readable(value: MapValue | None) -> BridgeStatus | None:
    try:
        return None if value is None else status_of(value)
    except UnreadableEntry:
        return None
