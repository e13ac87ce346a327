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


class Encoder:
    """A scan in one form, for as many provenances as it takes to publish it; what takes long is done once."""

    def __init__(self, scan: ArrowScan, form: Form) -> None:
        self._scan = scan
        self._form = form
        self._columns: str | None = None

    async def encode(self, provenance: Provenance) -> ScanValue:
        """The scan as it goes into the map.

        Raises:
            InvalidScan: it cannot be told in this form.
        """
        if self._form == "arrow":
            return ByteArray.of(*self._scan.with_metadata(provenance.to_metadata()))
        from bridge.arrow import json_form

        if self._columns is None:
            self._columns = await asyncio.to_thread(json_form.columns, self._scan)
        return HazelcastJsonValue(json_form.document(self._columns, vars(provenance)))


async def is_of(value: object, scan: ArrowScan, provenance: Provenance) -> bool:
    """Whether the value, of either form, is this scan with this provenance."""
    if isinstance(value, ByteArray):
        return value.consists_of(*scan.with_metadata(provenance.to_metadata()))
    if isinstance(value, HazelcastJsonValue):
        return bool(value == await Encoder(scan, "json").encode(provenance))
    return False


def size_of(value: ScanValue) -> int:
    """Bytes of the scan in this form."""
    return len(value.content) if isinstance(value, ByteArray) else len(value.to_string())
