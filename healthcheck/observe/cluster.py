"""Looks into the map once: can the cluster be reached, what does it hold, what does the bridge say? Never writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bridge.cluster.connection import Cluster, ClusterError, ClusterRefused
from bridge.cluster.entries import UnreadableEntry, provenance_of, status_of
from bridge.cluster.hazelcast_client import MapValue
from bridge.config import Hazelcast
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus
from bridge.system import journal
from healthcheck.model.observation import Answer, ClusterReach, Known, Unknown, value_of

T = TypeVar("T")

CLIENT_NAME = "scan-bridge-health"
POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class MapAnswers:
    """What one look at the map gives."""

    hazelcast: Answer[ClusterReach]
    entry: Answer[Provenance | None]
    status: Answer[BridgeStatus | None]


def read_map(config: Hazelcast, deadline_s: float) -> MapAnswers:
    """Connect, read the scan's metadata and the status, disconnect.

    Raises:
        OSError: a credential cannot be read: no fault of the cluster's.
    """
    for file in config.credential_files:
        file.open("rb").close()
    journal.quiet_hazelcast()
    return asyncio.run(_look(config, deadline_s))


def wait_for_status(
    config: Hazelcast, condition: Callable[[BridgeStatus], bool], deadline_s: float
) -> BridgeStatus | None:
    """The bridge's status once it meets the condition; None if it does not in time, or cannot be read."""
    journal.quiet_hazelcast()
    return asyncio.run(_wait_for_status(config, condition, deadline_s))


async def _wait_for_status(
    config: Hazelcast, condition: Callable[[BridgeStatus], bool], deadline_s: float
) -> BridgeStatus | None:
    cluster = Cluster(config, CLIENT_NAME)
    try:
        async with asyncio.timeout(deadline_s):
            await cluster.connect()
            while True:
                status = value_of(parse_status(await cluster.get(config.status_key), ""))
                if status is not None and condition(status):
                    return status
                await asyncio.sleep(POLL_S)
    except (ClusterError, TimeoutError):
        return None
    finally:
        await cluster.close()


async def _look(config: Hazelcast, deadline_s: float) -> MapAnswers:
    cluster = Cluster(config, CLIENT_NAME)
    how = f"Hazelcast client to {cluster.address}"
    away = Unknown("the map was not read", how)
    try:
        async with asyncio.timeout(deadline_s):
            await cluster.connect()
            # The status first: it may be older than the scan, never newer than what is told of it.
            status_value = await _get(cluster, config.status_key)
            scan_value = await _get(cluster, config.scan_key)
    except ClusterError as error:
        return MapAnswers(Known(_unread(error), how), away, away)
    except TimeoutError:
        return MapAnswers(Known(ClusterReach(False, f"no answer within {deadline_s:g} s"), how), away, away)
    finally:
        await cluster.close()
    if isinstance(status_value, ClusterError) and isinstance(scan_value, ClusterError):
        return MapAnswers(Known(_unread(scan_value), how), away, away)
    where = f"{how}, map {config.map}"
    return MapAnswers(
        Known(ClusterReach(True, cluster.address), how),
        parse_entry(scan_value, f"{where}, key {config.scan_key}"),
        parse_status(status_value, f"{where}, key {config.status_key}"),
    )


def _unread(error: ClusterError) -> ClusterReach:
    return ClusterReach(False, str(error), refused=isinstance(error, ClusterRefused))


async def _get(cluster: Cluster, key: str) -> MapValue | ClusterError | None:
    """The value, or the error in its place: one entry that cannot be read does not hide the other."""
    try:
        return await cluster.get(key)
    except ClusterError as error:
        return error


def parse_entry(value: MapValue | ClusterError | None, how: str) -> Answer[Provenance | None]:
    """The scan's metadata, from what the map holds under its key."""
    return _parsed(value, provenance_of, how)


def parse_status(value: MapValue | ClusterError | None, how: str) -> Answer[BridgeStatus | None]:
    """The bridge's status, from what the map holds under its key."""
    return _parsed(value, status_of, how)


def _parsed(value: MapValue | ClusterError | None, read: Callable[[MapValue], T], how: str) -> Answer[T | None]:
    if value is None:
        return Known(None, how)
    if isinstance(value, ClusterError):
        return Unknown(str(value), how)
    try:
        return Known(read(value), how)
    except UnreadableEntry as error:
        return Unknown(str(error), how)
