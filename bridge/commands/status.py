"""`scan-bridge status`: what the bridge says of itself, once or until Ctrl-C, for people and for programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.entries import UnreadableEntry, status_of
from bridge.cluster.hazelcast_client import MapValue
from bridge.commands import ask
from bridge.config import Config
from bridge.model.status import BridgeStatus, iso_utc
from bridge.system import interrupt, journal

# Missing this many heartbeats in a row, the bridge counts as dead.
HEARTBEATS_MISSED = 3
WATCH_S = 0.5


def status(config: Config, *, as_json: bool, watch: bool) -> int:
    """Show the status entry; 0 if the bridge is alive, 1 if not, 69 if Hazelcast is away."""
    if watch:
        return _watch_json(config) if as_json else _watch(config)
    try:
        entry = asyncio.run(ask.fetch(config, config.hazelcast.status_key))
    except ClusterError as error:
        return ask.fail_unavailable(config, error)
    state, found = _parse_status(entry)
    if found is None:
        return ask.fail(f"{config.hazelcast.map}/{config.hazelcast.status_key}: {state}")
    if as_json:
        print(found.model_dump_json())
    else:
        ask.console().print(status_view(found))
    return 0 if _alive(found) else ask.FAILED


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
        row("newest on disk", f"{status.newest.path}, {ask.age(status.newest.mtime_ns)}")
    if status.published is None:
        row("published", "nothing yet by this process", "yellow")
    else:
        published = status.published
        row("published", f"{published.path}, {ask.age(published.mtime_ns)}")
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
            yield ask.unavailable(cluster.address, error), None
        await asyncio.sleep(WATCH_S)


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


def _span(delta: timedelta) -> str:
    seconds = int(delta.total_seconds())
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"
