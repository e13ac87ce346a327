"""`scan-bridge status` and `scan-bridge latest`: what is in Hazelcast, for people and for programs."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.cluster.connection import Cluster, ClusterError, ClusterRefused
from bridge.cluster.entries import UnreadableEntry, provenance_of, status_of
from bridge.cluster.hazelcast_client import ByteArray, MapValue
from bridge.commands import render
from bridge.config import Config
from bridge.model.order import printable
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, from_ns, iso_utc
from bridge.system import interrupt, journal

FAILED = 1
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h
# Missing this many heartbeats in a row, the bridge counts as dead.
HEARTBEATS_MISSED = 3
WATCH_S = 0.5
PIPE_COLUMNS = 240


def status(config: Config, *, as_json: bool, watch: bool) -> int:
    """Show the status entry; 0 if the bridge is alive, 1 if not, 69 if Hazelcast is away."""
    if watch:
        return _watch_json(config) if as_json else _watch(config)
    try:
        entry = asyncio.run(_fetch(config, config.hazelcast.status_key))
    except ClusterError as error:
        return _unavailable(config, error)
    state, found = _parse_status(entry)
    if found is None:
        return _fail(f"{config.hazelcast.map}/{config.hazelcast.status_key}: {state}")
    if as_json:
        print(found.model_dump_json())
    else:
        _console().print(status_view(found))
    return 0 if _alive(found) else FAILED


def latest(config: Config, format: str, output: Path | None) -> int:
    """Show the newest scan; 0 if there is one, 1 if not, 69 if Hazelcast is away."""
    try:
        value = asyncio.run(_fetch(config, config.hazelcast.scan_key))
    except ClusterError as error:
        return _unavailable(config, error)
    where = f"{config.hazelcast.map}/{config.hazelcast.scan_key}"
    if value is None:
        return _fail(f"{where}: no scan yet; is the bridge running? try: scan-bridge status")
    try:
        provenance = provenance_of(value)
    except UnreadableEntry as error:
        return _fail(f"{where}: {error}")
    assert isinstance(value, ByteArray)  # else it had no provenance
    if format == "arrow" and output is None and sys.stdout.isatty():
        return _fail("binary output to a terminal; use -o FILE or a pipe")
    try:
        content = _render(format, value.content, provenance)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        return _fail(f"{where}: cannot be shown as {format}: {' '.join(str(error).split())}; try: --format arrow")
    try:
        if output is not None:
            output.write_bytes(content)
        else:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(f"{output or 'standard output'}: {error.strerror}")
    return 0


def status_view(status: BridgeStatus) -> Table:
    """The status as an aligned table."""
    now = datetime.now(UTC)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def row(name: str, text: str, style: str = "") -> None:
        table.add_row(name, Text(text, style=style))

    silent_s = (now - status.heartbeat_at).total_seconds()
    if _alive(status):
        row("bridge", f"alive, heartbeat {silent_s:.1f} s ago", "green")
    else:
        row(
            "bridge",
            f"DEAD: no heartbeat for {silent_s:.0f} s; try: systemctl status dolphin-scan-bridge",
            "bold red",
        )
    row("instance", f"{status.instance} (pid {status.pid} on {status.host}, version {status.version})")
    row("running for", f"{_span(now - status.started_at)}")
    source = status.source
    row(
        "source",
        f"{source.root}: {source.state}, by {source.watch_mode}",
        "" if source.state == "ok" else "bold red",
    )
    if status.newest is not None:
        row("newest on disk", f"{status.newest.path}, {_ago(status.newest.mtime_ns)}")
    if status.published is None:
        row("published", "nothing yet by this process", "yellow")
    else:
        published = status.published
        row("published", f"{published.path}, {_ago(published.mtime_ns)}")
        row("", f"sequence {published.sequence}, {published.rows} rows, {published.bytes:,} bytes")
        row("", f"at {iso_utc(published.published_at)}, lag {published.lag_ms:.1f} ms")
    lag = status.lag_ms
    if lag.p50 is not None:
        row(
            "lag over 5 min",
            f"p50 {lag.p50:.1f} ms, p90 {lag.p90:.1f} ms, p99 {lag.p99:.1f} ms, max {lag.max:.1f} ms",
        )
    row("scans per minute", f"{status.files_per_min_1m:.1f} (1 min), {status.files_per_min_5m:.1f} (5 min)")
    counters = status.counters.model_dump()
    row(
        "counters",
        ", ".join(f"{name} {value}" for name, value in counters.items()),
        "red" if counters["bad"] else "",
    )
    return table


def _watch(config: Config) -> int:
    """Show the status until Ctrl-C."""

    async def watch(live: Live) -> None:
        async for state, found in _statuses(config):
            view: Any = status_view(found) if found else Text(state, style="bold red")
            clock = datetime.now(UTC).isoformat(timespec="seconds")
            live.update(Group(view, Text(f"\n{clock}   Ctrl-C ends", style="dim")), refresh=True)

    journal.quiet_hazelcast()
    # Live has hidden the cursor, and left it at the end of a line.
    interrupt.exit_at_once(b"\n\x1b[?25h" if sys.stdout.isatty() else b"")
    with Live(f"connecting to {config.hazelcast.cluster_name}; Ctrl-C ends", auto_refresh=False) as live:
        asyncio.run(watch(live))
    return 0


def _watch_json(config: Config) -> int:
    """Print the status entry, a line each time it is another one, until Ctrl-C; what is wrong goes to stderr, once."""

    async def watch() -> None:
        last: tuple[str, BridgeStatus | None] | None = None
        async for now in _statuses(config):
            if now != last:
                state, found = last = now
                line = found.model_dump_json() if found else f"scan-bridge: {state}"
                print(line, file=sys.stdout if found else sys.stderr, flush=True)

    journal.quiet_hazelcast()
    interrupt.exit_at_once(b"")
    asyncio.run(watch())
    return 0


async def _statuses(config: Config) -> AsyncIterator[tuple[str, BridgeStatus | None]]:
    """What the bridge says of itself, twice a second; or None, and before it why not."""
    cluster = Cluster(config.hazelcast, "scan-bridge status")
    while True:
        try:
            if not cluster.connected:
                await cluster.connect()
            yield _parse_status(await cluster.get(config.hazelcast.status_key))
        except ClusterError as error:
            yield unavailable(cluster.address, error), None
        await asyncio.sleep(WATCH_S)


async def _fetch(config: Config, key: str) -> MapValue | None:
    journal.quiet_hazelcast()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    cluster = Cluster(config.hazelcast, "scan-bridge command")
    await cluster.connect()
    try:
        return await cluster.get(key)
    finally:
        await cluster.close()


def _parse_status(entry: MapValue | None) -> tuple[str, BridgeStatus | None]:
    if entry is None:
        return "no status yet; has the bridge ever run against this cluster?", None
    try:
        return "", status_of(entry)
    except UnreadableEntry as error:
        return str(error), None


def _alive(status: BridgeStatus) -> bool:
    silent_s = (datetime.now(UTC) - status.heartbeat_at).total_seconds()
    return silent_s <= status.heartbeat_s * HEARTBEATS_MISSED


def _render(format: str, value: memoryview, provenance: Provenance) -> bytes:
    if format == "arrow":
        return bytes(value)
    scan = pa.ipc.open_stream(pa.py_buffer(value)).read_all()
    if format == "json":
        return b"".join(render.json_lines(scan))
    if format == "csv":
        return render.csv(scan)
    console = _console()
    with console.capture() as capture:
        console.print(Text.assemble((printable(provenance.source), "bold"), f"  {_ago(provenance.mtime_ns)}"))
        console.print(
            f"sequence {provenance.sequence}, {scan.num_rows} rows, {len(value):,} bytes, "
            f"published {iso_utc(from_ns(provenance.published_ns))} by {printable(provenance.bridge)}",
            markup=False,
        )
        console.print(render.table(scan))
        if scan.num_rows > render.TABLE_ROWS:
            console.print(f"… {scan.num_rows - render.TABLE_ROWS} more rows; --format json or csv shows all")
    return capture.get().encode(errors="backslashreplace")


def _console() -> Console:
    """Lines may be long where no terminal breaks them: in a pipe or a file."""
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def _ago(time_ns: int) -> str:
    return f"{(time.time_ns() - time_ns) / 1e9:.1f} s old"


def _span(delta: Any) -> str:
    seconds = int(delta.total_seconds())
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"


def _fail(reason: str) -> int:
    print(f"scan-bridge: {reason}", file=sys.stderr)
    return FAILED


def _unavailable(config: Config, error: ClusterError) -> int:
    print(f"scan-bridge: {unavailable(config.hazelcast.address, error)}", file=sys.stderr)
    return UNAVAILABLE


def unavailable(address: str, error: ClusterError) -> str:
    """In one line, that Hazelcast cannot be used, and why."""
    return f"Hazelcast {address} {error if isinstance(error, ClusterRefused) else f'cannot be reached: {error}'}"
