"""A scan in the form that goes into the map."""

from __future__ import annotations

import asyncio
import json

import pyarrow as pa
from hazelcast.core import HazelcastJsonValue
from support.arrow_samples import written

from bridge.arrow.scan import parse
from bridge.cluster.forms import Encoder
from bridge.model.provenance import Provenance


def provenance(sequence: int) -> Provenance:
    return Provenance("2026-03-24/a.arrow", 1, 2, sequence, 4, "bridge-1")


def test_json_is_made_of_a_scan_once_however_many_races_are_lost() -> None:
    content = bytearray(written([pa.record_batch({"x": [1, 2, 3]})], "file"))
    encoder = Encoder(parse(content, 1_000_000), "json")

    async def encoded(sequence: int) -> HazelcastJsonValue:
        value = await encoder.encode(provenance(sequence))
        assert isinstance(value, HazelcastJsonValue)
        return value

    for sequence in (1, 2):
        document = json.loads(asyncio.run(encoded(sequence)).to_string())
        assert document == {"scan_bridge": vars(provenance(sequence)), "columns": {"x": [1, 2, 3]}}
        content[:] = bytes(len(content))  # nothing is left to read again
