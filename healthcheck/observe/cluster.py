"""Looks into the map once: can the cluster be reached, what does it hold, what does the bridge say? Never writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hazelcast.core import HazelcastJsonValue
from pydantic import ValidationError

from bridge.arrow import InvalidScan, read_metadata
from bridge.cluster.connection import Cluster, ClusterError
from bridge.config import Hazelcast, credential_path
from bridge.model.provenance import Provenance
from bridge.model.status import SCHEMA_VERSION, BridgeStatus
from healthcheck.model.observation import Answer, ClusterReach, Known, Unknown, value_of

CLIENT_NAME = "scan-bridge-health"

# The client logs each failed attempt with a traceback; that the cluster is away is told by the findings.
_client_log = logging.getLogger("hazelcast")
_client_log.addHandler(logging.NullHandler())
_client_log.propagate = False
POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class MapAnswers:
    """What one look at the map gives."""

    hazelcast: Answer[ClusterReach]
    entry: Answer[Provenance | None]
    status: Answer[BridgeStatus | None]


def look(config: Hazelcast, deadline_s: float) -> MapAnswers:
    """Connect, read the scan's metadata and the status, disconnect.

    Raises:
        OSError: a credential cannot be read: no fault of the cluster's.
    """
    tls = config.tls
    for file in (credential_path(config.password_file), tls.ca_file, tls.cert_file, tls.key_file):
        if file is not None:
            file.open("rb").close()
    return asyncio.run(_look(config, deadline_s))


def wait_for_status(
    config: Hazelcast, condition: Callable[[BridgeStatus], bool], deadline_s: float
) -> BridgeStatus | None:
    """The bridge's status once it meets the condition; None if it does not in time, or cannot be read."""
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
    away = Unknown("the cluster was not reached", how)
    try:
        async with asyncio.timeout(deadline_s):
            await cluster.connect()
            # The status first: it may be older than the scan, never newer than what is told of it.
            status_value = await _get(cluster, config.status_key)
            scan_value = await _get(cluster, config.scan_key)
    except ClusterError as error:
        return MapAnswers(Known(ClusterReach(False, str(error)), how), away, away)
    except TimeoutError:
        return MapAnswers(Known(ClusterReach(False, f"no answer within {deadline_s:g} s"), how), away, away)
    finally:
        await cluster.close()
    if isinstance(status_value, ClusterError) and isinstance(scan_value, ClusterError):
        return MapAnswers(Known(ClusterReach(False, str(scan_value)), how), away, away)
    where = f"{how}, map {config.map}"
    return MapAnswers(
        Known(ClusterReach(True, cluster.address), how),
        parse_entry(scan_value, f"{where}, key {config.scan_key}"),
        parse_status(status_value, f"{where}, key {config.status_key}"),
    )


async def _get(cluster: Cluster, key: str) -> Any:
    """The value, or the error in its place: one entry that cannot be read does not hide the other."""
    try:
        return await cluster.get(key)
    except ClusterError as error:
        return error


def parse_entry(value: Any, how: str) -> Answer[Provenance | None]:
    """The scan's metadata, from what the map holds under its key."""
    match value:
        case None:
            return Known(None, how)
        case ClusterError():
            return Unknown(str(value), how)
        case bytearray() | bytes():
            try:
                provenance = Provenance.from_metadata(read_metadata(value))
            except InvalidScan as error:
                return Unknown(f"the value is no scan: {error}", how)
            return Known(provenance, how) if provenance else Unknown("no bridge wrote the value", how)
        case _:
            return Unknown(f"the value is no scan but a {type(value).__name__}", how)


def parse_status(value: Any, how: str) -> Answer[BridgeStatus | None]:
    """The bridge's status, from what the map holds under its key."""
    match value:
        case None:
            return Known(None, how)
        case ClusterError():
            return Unknown(str(value), how)
        case HazelcastJsonValue():
            try:
                status = BridgeStatus.model_validate_json(value.to_string())
            except ValidationError as error:
                return Unknown(f"the status cannot be read: {error.error_count()} fields are wrong", how)
            if status.schema_version != SCHEMA_VERSION:
                return Unknown(f"the status has schema {status.schema_version}, known is {SCHEMA_VERSION}", how)
            return Known(status, how)
        case _:
            return Unknown(f"the status is no JSON value but a {type(value).__name__}", how)
