"""`scan-bridge latest`: the newest scan in the map, in one of several forms."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pyarrow as pa
from hazelcast.core import HazelcastJsonValue
from rich.text import Text

from bridge.cluster.connection import ClusterError
from bridge.cluster.entries import UnreadableEntry, provenance_of
from bridge.cluster.forms import ScanValue, size_of
from bridge.cluster.hazelcast_client import ByteArray, Foreign
from bridge.commands import ask, render
from bridge.config import Config
from bridge.consumer.value import NotAScan, open_value
from bridge.model.order import printable
from bridge.model.provenance import Provenance
from bridge.model.status import from_ns, iso_utc


def latest(config: Config, format: str, output: Path | None) -> int:
    """Show the newest scan; 0 if there is one, 1 if not, 69 if Hazelcast is away."""
    try:
        value = asyncio.run(ask.fetch(config, config.hazelcast.scan_key))
    except ClusterError as error:
        return ask.fail_unavailable(config, error)
    where = f"{config.hazelcast.map}/{config.hazelcast.scan_key}"
    if value is None:
        return ask.fail(f"{where}: no scan yet; is the bridge running? try: scan-bridge status")
    try:
        provenance = provenance_of(value)
    except UnreadableEntry as error:
        return ask.fail(f"{where}: {error}")
    assert not isinstance(value, Foreign)  # else it had no provenance
    if isinstance(value, HazelcastJsonValue) and format == "json":
        return _put_out(f"{value.to_string()}\n".encode(), output)
    if format == "arrow" and output is None and sys.stdout.isatty():
        return ask.fail("binary output to a terminal; use -o FILE or a pipe")
    try:
        content = _render(format, value, provenance)
    except (pa.ArrowException, OSError, ValueError, OverflowError, NotAScan) as error:
        as_it_is = "json" if isinstance(value, HazelcastJsonValue) else "arrow"
        return ask.fail(
            f"{where}: cannot be shown as {format}: {' '.join(str(error).split())}; try: --format {as_it_is}"
        )
    return _put_out(content, output)


def _put_out(content: bytes, output: Path | None) -> int:
    try:
        if output is not None:
            output.write_bytes(content)
        else:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        return ask.fail(f"{output or 'standard output'}: {error.strerror}")
    return 0


def _render(format: str, value: ScanValue, provenance: Provenance) -> bytes:
    if format == "arrow" and isinstance(value, ByteArray):
        return bytes(value.content)
    scan = open_value(value).read()
    if format == "arrow":
        return _stream(scan)
    if format == "json":
        return b"".join(render.json_lines(scan))
    if format == "csv":
        return render.csv(scan)
    console = ask.console()
    with console.capture() as capture:
        console.print(Text.assemble((printable(provenance.source), "bold"), f"  {ask.age(provenance.mtime_ns)}"))
        console.print(
            f"sequence {provenance.sequence}, {scan.num_rows} rows, {size_of(value):,} bytes, "
            f"published {iso_utc(from_ns(provenance.published_ns))} by {printable(provenance.bridge)}",
            markup=False,
        )
        console.print(render.table(scan))
        if scan.num_rows > render.TABLE_ROWS:
            console.print(f"… {scan.num_rows - render.TABLE_ROWS} more rows; --format json or csv shows all")
    return capture.get().encode(errors="backslashreplace")


def _stream(scan: pa.Table) -> bytes:
    """A scan that was JSON, with the types that its values show."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, scan.schema) as writer:
        writer.write_table(scan)
    return sink.getvalue().to_pybytes()
