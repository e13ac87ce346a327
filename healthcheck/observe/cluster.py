"""Looks into the map once: can the cluster be reached, what does it hold, what does the bridge say? Never writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from bridge.cluster import status_map
from bridge.cluster.connection import Cluster, ClusterError, ClusterRefused
from bridge.cluster.entries import UnreadableEntry, provenance_of
from bridge.cluster.hazelcast_client import MapValue
from bridge.config import Hazelcast
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, Statuses
from bridge.system import journal
from healthcheck.model.observation import Answer, ClusterReach, Known, Unknown

T = TypeVar("T")

CLIENT_NAME = "scan-bridge-health"
POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class MapAnswers:
    """What one look at the map gives."""

    hazelcast: Answer[ClusterReach]
    entry: Answer[Provenance | None]
    statuses: Answer[Statuses]


def read_map(config: Hazelcast, deadline_s: float) -> MapAnswers:
    """Connect, read the scan's metadata and what all bridges say, disconnect.

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
    """The status of a bridge that meets the condition, once there is one; None if there is none in time."""
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
                statuses = await status_map.read_all(cluster, config)
                if found := next(filter(condition, statuses.bridges.values()), None):
                    return found
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
            statuses = await _answer(status_map.read_all(cluster, config))
            scan_value = await _answer(cluster.get(config.scan_key))
    except ClusterError as error:
        return MapAnswers(Known(_unread(error), how), away, away)
    except TimeoutError:
        return MapAnswers(Known(ClusterReach(False, f"no answer within {deadline_s:g} s"), how), away, away)
    finally:
        await cluster.close()
    if isinstance(statuses, ClusterError) and isinstance(scan_value, ClusterError):
        return MapAnswers(Known(_unread(scan_value), how), away, away)
    where, of_statuses = f"{how}, map {config.map}", f"{how}, map {config.statuses}"
    return MapAnswers(
        Known(ClusterReach(True, cluster.address), how),
        parse_entry(scan_value, f"{where}, key {config.scan_key}"),
        Unknown(str(statuses), of_statuses) if isinstance(statuses, ClusterError) else Known(statuses, of_statuses),
    )


def _unread(error: ClusterError) -> ClusterReach:
    return ClusterReach(False, str(error), refused=isinstance(error, ClusterRefused))


async def _answer(question: Coroutine[Any, Any, T]) -> T | ClusterError:
    """The answer, or the error in its place: one entry that cannot be read does not hide the other."""
    try:
        return await question
    except ClusterError as error:
        return error


def parse_entry(value: MapValue | ClusterError | None, how: str) -> Answer[Provenance | None]:
    """The scan's metadata, from what the map holds under its key."""
    if value is None:
        return Known(None, how)
    if isinstance(value, ClusterError):
        return Unknown(str(value), how)
    try:
        return Known(provenance_of(value), how)
    except UnreadableEntry as error:
        return Unknown(str(error), how)
