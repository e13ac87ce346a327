"""The two forms of a scan in the map (`hazelcast.value`): one Arrow IPC stream, or one JSON document."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from hazelcast.core import HazelcastJsonValue

from bridge.arrow.scan import ArrowScan
from bridge.cluster.hazelcast_client import ByteArray
from bridge.model.provenance import Provenance

Form: TypeAlias = Literal["arrow", "json"]
ScanValue: TypeAlias = ByteArray | HazelcastJsonValue


async def encode(scan: ArrowScan, provenance: Provenance, form: Form) -> ScanValue:
    """The scan as it goes into the map.

    Raises:
        InvalidScan: it cannot be told in this form.
    """
    if form == "arrow":
        return ByteArray.of(*scan.with_metadata(provenance.to_metadata()))
    from bridge.arrow import json_form

    return HazelcastJsonValue(await asyncio.to_thread(json_form.text, scan, vars(provenance)))


async def is_of(value: object, scan: ArrowScan, provenance: Provenance) -> bool:
    """Whether the value, of either form, is this scan with this provenance."""
    if isinstance(value, ByteArray):
        return value.consists_of(*scan.with_metadata(provenance.to_metadata()))
    if isinstance(value, HazelcastJsonValue):
        return bool(value == await encode(scan, provenance, "json"))
    return False


def size_of(value: ScanValue) -> int:
    """Bytes of the scan in this form."""
    return len(value.content) if isinstance(value, ByteArray) else len(value.to_string())
