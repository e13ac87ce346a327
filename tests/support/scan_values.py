"""Values as a bridge puts them into the map, made by hand: to try a reader with what seldom happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import hazelcast
import pyarrow as pa

from bridge.consumer import ScanConsumer
from bridge.model.provenance import Provenance

NewConsumer = Callable[..., ScanConsumer]  # see the fixture `consume`
SECOND_NS = 1_000_000_000
SCAN_KEY = "latest_eigen_scan"


def provenance(source: str = "2026-03-24/a.arrow", mtime_ns: int | None = None, sequence: int = 1) -> Provenance:
    """Of a scan that was written now, if not told otherwise, and is published now."""
    now_ns = time.time_ns()
    return Provenance(source, now_ns if mtime_ns is None else mtime_ns, 1234, sequence, now_ns, "bridge-1")


def arrow_value(of: Provenance, rows: int = 3) -> bytearray:
    """An IPC stream with this provenance."""
    metadata = {name: text.encode(errors="surrogateescape") for name, text in of.to_metadata().items()}
    table = pa.table({"eigenvalue": [float(row) for row in range(rows)]}).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytearray(sink.getvalue())


def history_key(of: Provenance) -> str:
    """Where a scan stands in the history."""
    return f"{of.mtime_ns:020d} {of.source}"


class Writer:
    """Writes to the maps of one test, with rising sequence."""

    def __init__(self, client: hazelcast.HazelcastClient, map_name: str) -> None:
        self.map_name = map_name
        self.scans = client.get_map(map_name).blocking()
        self.history = client.get_map(f"{map_name}_history").blocking()
        self.statuses = client.get_map(f"{map_name}_status").blocking()
        self._sequence = 0

    def publish(self, name: str, *, age_s: float = 0.0, rows: int = 3) -> Provenance:
        """Make this the newest scan."""
        self._sequence += 1
        published = provenance(f"2026-03-24/{name}.arrow", time.time_ns() - int(age_s * SECOND_NS), self._sequence)
        self.put(arrow_value(published, rows))
        return published

    def put(self, value: Any) -> None:
        """Put any value in the newest scan's place."""
        self.scans.set(SCAN_KEY, value)

    def keep(self, name: str, mtime_ns: int) -> Provenance:
        """Put a scan into the history."""
        kept = provenance(f"2026-03-24/{name}.arrow", mtime_ns)
        self.history.put_if_absent(history_key(kept), arrow_value(kept))
        return kept

    def close(self) -> None:
        """Remove the maps."""
        for map_ in (self.scans, self.history, self.statuses):
            map_.destroy()
