"""The memory that the largest scans take is what the bridge promises, and what its unit's limits are made for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, land

from bridge.config import Config, Source
from bridge.service.memory_need import AT_REST_BYTES, COPIES, most_bytes

pytestmark = pytest.mark.hazelcast
SHIPPED = Config(source=Source(root=Path("/scans")))


def large_scan(size: int, compression: str | None = None) -> bytes:
    """A scan of about `size` bytes, or that expands to so many."""
    content = os.urandom(size) if compression is None else bytes(size)
    column = pa.Array.from_buffers(pa.int64(), size // 8, [None, pa.py_buffer(content)])
    sink = pa.BufferOutputStream()
    schema = pa.schema([("eigenvector", pa.int64())])
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(pa.record_batch([column], schema=schema))
    return sink.getvalue().to_pybytes()


def publish_in_a_row(bridge: BridgeProcess, consumer: Consumer, content: Callable[[], bytes]) -> int:
    """Four scans, each replacing the one before; what the bridge had resident at the most, in bytes."""
    for number in range(4):
        consumer.expect(land(bridge.root, f"{day()}/{number}.arrow", content()), 60)
    return bridge.memory_kb("VmHWM") * 1024


@pytest.mark.parametrize("size", [16_000_000, 40_000_000])
def test_large_scans_in_a_row_take_ninety_megabytes_and_six_times_the_scan(
    new_bridge: NewBridge, consumer: Consumer, size: int
) -> None:
    largest = size + 100_000
    bridge = new_bridge(source={"max_scan_bytes": largest}).start()
    peak = publish_in_a_row(bridge, consumer, lambda: large_scan(size))
    assert peak <= AT_REST_BYTES + COPIES * largest


def test_scans_that_expand_to_the_largest_that_is_allowed_stay_within_what_the_unit_is_made_for(
    new_bridge: NewBridge, consumer: Consumer
) -> None:
    bridge = new_bridge().start()
    peak = publish_in_a_row(bridge, consumer, lambda: large_scan(SHIPPED.source.max_decoded_bytes - 100_000, "zstd"))
    assert peak <= most_bytes(SHIPPED)
