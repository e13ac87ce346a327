"""Reading what stands in the map, in both forms; and what no bridge wrote."""

from __future__ import annotations

import contextlib
import json

import pyarrow as pa
import pytest
from hazelcast.core import HazelcastJsonValue
from hypothesis import given
from hypothesis import strategies as st
from support.scan_values import arrow_value, provenance

from bridge.cluster.hazelcast_client import ByteArray
from bridge.consumer.value import NotAScan, Opened, open_value

OF = provenance("2026-03-24/b\udcff.arrow", sequence=9)
BODY = {"scan_bridge": vars(OF), "columns": {"asset": ["x", "y"], "eigenvalue": [1.5, None], "id": [2**62, 1]}}


def test_a_value_in_arrow_form_is_read_without_a_copy() -> None:
    value = ByteArray.of(arrow_value(OF, rows=1000))

    opened = open_value(value)
    table = opened.read()

    assert opened.provenance == OF
    assert table.num_rows == 1000
    begin = pa.py_buffer(value.content).address
    (buffer,) = [buffer for buffer in table.column(0).chunk(0).buffers() if buffer]
    assert begin <= buffer.address < begin + len(value.content)


def test_a_value_in_json_form_is_read_exactly_and_carries_its_provenance() -> None:
    opened = opened_value(HazelcastJsonValue(json.dumps(BODY)))
    table = opened.read()

    assert opened.provenance == OF
    assert table.to_pydict() == BODY["columns"]
    assert table.schema.metadata[b"scan_bridge.sequence"] == b"9"


@pytest.mark.parametrize("values", [[2**64 - 1, None, 0], [2**63], [2**63 - 1, -(2**63), None]])
def test_integers_of_64_bits_are_exact_with_and_without_a_sign(values: list[int | None]) -> None:
    table = opened_value(HazelcastJsonValue(json.dumps({**BODY, "columns": {"a": values}}))).read()
    assert table.to_pydict() == {"a": values}


def opened_value(value: object) -> Opened:
    return open_value(ByteArray.of(value) if isinstance(value, bytearray) else value)


def without(key: str) -> str:
    return json.dumps({name: part for name, part in BODY.items() if name != key})


@pytest.mark.parametrize(
    "value",
    [
        "text",
        {"a": 1},
        bytearray(),
        bytearray(b"no Arrow at all"),
        arrow_value(OF)[:100],
        HazelcastJsonValue("{"),
        HazelcastJsonValue("[1]"),
        HazelcastJsonValue("[" * 100_000),
        HazelcastJsonValue(without("scan_bridge")),
        HazelcastJsonValue(without("columns")),
        HazelcastJsonValue(json.dumps({**BODY, "scan_bridge": {**vars(OF), "mtime_ns": "soon"}})),
        HazelcastJsonValue(json.dumps({**BODY, "columns": {"a": [1], "b": [1, 2]}})),
        HazelcastJsonValue(json.dumps({**BODY, "columns": {"a": [1, "x"]}})),
        HazelcastJsonValue(json.dumps({**BODY, "columns": 7})),
    ],
)
def test_what_no_bridge_wrote_is_called_that_in_one_line(value: object) -> None:
    with pytest.raises(NotAScan) as raised:
        opened_value(value).read()

    assert str(raised.value)
    assert str(raised.value).isprintable()


def test_an_arrow_stream_without_provenance_is_no_scan() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([])):
        pass

    with pytest.raises(NotAScan, match="no bridge wrote"):
        opened_value(bytearray(sink.getvalue()))


@given(st.integers(0, len(arrow_value(OF)) - 1), st.integers(0, 7))
def test_a_damaged_value_is_refused_or_read_and_nothing_else(at: int, bit: int) -> None:
    value = arrow_value(OF)
    value[at] ^= 1 << bit

    with contextlib.suppress(NotAScan):
        opened_value(value).read()
