"""What the publisher does before it has a cluster; all else is tested against a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa
import pytest
from hazelcast.core import HazelcastJsonValue
from hazelcast.serialization.data import Data

from bridge.arrow.scan import ArrowScan, parse
from bridge.cluster.connection import Cluster, ClusterError, _size, call_deadline_s
from bridge.cluster.hazelcast_client import ByteArray, Foreign, MapValue
from bridge.cluster.publisher import Publisher, _provenance
from bridge.config import Hazelcast
from bridge.model.order import ScanFile, supersedes
from bridge.model.provenance import Provenance

FILE = ScanFile(1774339200123456789, "2026-03-24/a.arrow", 100, 1774339200123456790)
PROVENANCE = Provenance(FILE.path, FILE.mtime_ns, FILE.size, 1, 1774339200125000000, "bridge-1")


@pytest.fixture
def publisher() -> Publisher:
    return Publisher(Cluster(Hazelcast(), "test"), Hazelcast(), "bridge-1", 5.0)


def scan() -> bytes:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"value": [1.0, 2.0]})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


class NeverEncoded(ArrowScan):
    """A scan that must not be encoded for a map that nobody asked."""

    def with_metadata(self, metadata: Mapping[str, str]) -> list[bytes | bytearray | memoryview]:
        raise AssertionError("encoded")


def never() -> ArrowScan:
    known = parse(scan(), 1024**2)
    return NeverEncoded(known.rows, known._schema, known._messages)


def test_at_first_what_the_map_holds_is_unknown(publisher: Publisher) -> None:
    assert not publisher.known
    assert publisher.held is None


@pytest.mark.parametrize(
    "act", [lambda publisher: publisher.refresh(), lambda publisher: publisher.publish(FILE, never())]
)
def test_without_a_connection_nothing_is_encoded_and_nothing_becomes_known(
    publisher: Publisher, act: Callable[[Publisher], object]
) -> None:
    with pytest.raises(ClusterError, match="not connected"):
        asyncio.run(act(publisher))  # type: ignore[arg-type]
    assert not publisher.known


def test_what_was_published_in_the_future_gives_way_to_what_landed_since_the_start(publisher: Publisher) -> None:
    """Whatever step the clock made: the start counts by the clock as it goes now."""
    begin_ns = time.time_ns()
    ahead_ns = begin_ns + 3600 * 10**9
    publisher._provenance = replace(PROVENANCE, mtime_ns=ahead_ns, published_ns=ahead_ns)
    held = publisher.held
    assert held is not None
    assert begin_ns - 60 * 10**9 < held.published_ns <= time.time_ns()
    landed = FILE._replace(mtime_ns=begin_ns)
    now_ns = time.time_ns()
    assert supersedes(landed._replace(ctime_ns=time.time_ns()), held, now_ns, 5.0)
    assert not supersedes(landed._replace(ctime_ns=begin_ns - 60 * 10**9), held, now_ns, 5.0)


def test_what_another_bridge_published_by_a_clock_ahead_of_ours_does_not_give_way_to_an_older_scan(
    publisher: Publisher,
) -> None:
    """Its host's clock is right, say, and ours six seconds slow: all of its newest are in our future."""
    now_ns = time.time_ns()
    theirs_ns = now_ns + 6 * 10**9
    publisher._provenance = replace(PROVENANCE, bridge="bridge-2", mtime_ns=theirs_ns, published_ns=theirs_ns)
    older = FILE._replace(mtime_ns=theirs_ns - 2 * 10**9, ctime_ns=theirs_ns - 2 * 10**9)
    assert not supersedes(older, publisher.held, now_ns, 5.0)
    newer = FILE._replace(mtime_ns=theirs_ns + 1, ctime_ns=theirs_ns + 1)
    assert supersedes(newer, publisher.held, now_ns, 5.0), "and if that bridge is no more, ours goes on"


def test_a_value_tells_where_it_came_from() -> None:
    assert _provenance(ByteArray.of(*parse(scan(), 1024**2).with_metadata(PROVENANCE.to_metadata()))) == PROVENANCE


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="nothing"),
        pytest.param(Foreign(Data(bytes(8))), id="what cannot be read here"),
        pytest.param("text", id="a string"),
        pytest.param(scan(), id="bytes, which were a pickle"),
        pytest.param(ByteArray.of(), id="empty"),
        pytest.param(ByteArray.of(b"garbage"), id="garbage"),
        pytest.param(ByteArray.of(b"\xff" * 1000), id="hostile"),
        pytest.param(ByteArray.of(scan()), id="a scan that no bridge wrote"),
    ],
)
def test_what_no_bridge_wrote_has_no_place_in_the_order(value: MapValue | None) -> None:
    assert _provenance(value) is None


@pytest.mark.parametrize(("size", "deadline_s"), [(0, 2.0), (100_000, 2.0), (10_000_000, 3.0), (33_554_432, 5.3)])
def test_a_call_that_carries_a_large_scan_may_take_longer(size: int, deadline_s: float) -> None:
    assert call_deadline_s(2.0, size) == pytest.approx(deadline_s)


def test_the_size_of_a_document_counts_like_that_of_bytes() -> None:
    assert _size(HazelcastJsonValue("x" * 10_000_000)) == 10_000_000
    assert _size(ByteArray.of(bytes(10_000_000)).data) >= 10_000_000
