"""What a value in the map says: the provenance of a scan, the status of a bridge. Pure; never trusts who wrote it."""

from __future__ import annotations

from hazelcast.core import HazelcastJsonValue
from pydantic import ValidationError

from bridge.arrow.json_head import read_provenance
from bridge.arrow.metadata import InvalidScan, read_metadata
from bridge.cluster.hazelcast_client import ByteArray, Foreign, MapValue
from bridge.model.provenance import PREFIX, Provenance
from bridge.model.status import SCHEMA_VERSION, BridgeStatus


class UnreadableEntry(Exception):
    """The value is not what a bridge of this version writes there. The message says in one line what it is."""


def provenance_of(value: MapValue) -> Provenance:
    """Where a scan came from. Raises UnreadableEntry."""
    if isinstance(value, HazelcastJsonValue):
        return _provenance_in_json(value)
    if not isinstance(value, ByteArray):
        raise UnreadableEntry(f"the value is no scan but a {_type_name(value)}")
    try:
        provenance = Provenance.from_metadata(read_metadata(value.content))
    except InvalidScan as error:
        raise UnreadableEntry(f"the value is no scan: {error}") from error
    if provenance is None:
        raise UnreadableEntry("no bridge wrote the value")
    return provenance


def _provenance_in_json(value: HazelcastJsonValue) -> Provenance:
    given = read_provenance(value.to_string()) or {}
    provenance = Provenance.from_metadata({PREFIX + name: str(given[name]) for name in given})
    if provenance is None:
        raise UnreadableEntry("the value is JSON that no bridge wrote")
    return provenance


def status_of(value: MapValue) -> BridgeStatus:
    """A bridge's status. Raises UnreadableEntry."""
    if not isinstance(value, HazelcastJsonValue):
        raise UnreadableEntry(f"the status is no JSON value but a {_type_name(value)}")
    try:
        status = BridgeStatus.model_validate_json(value.to_string())
    except ValidationError as error:
        raise UnreadableEntry(f"the status cannot be read: {error.error_count()} fields are wrong") from error
    if status.schema_version != SCHEMA_VERSION:
        raise UnreadableEntry(f"the status has schema {status.schema_version}, known is {SCHEMA_VERSION}")
    return status


def _type_name(value: MapValue) -> str:
    return (
        value.type_name
        if isinstance(value, Foreign)
        else "JSON value"
        if isinstance(value, HazelcastJsonValue)
        else "byte array"
    )
