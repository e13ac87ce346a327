"""How `scan-bridge status` shows what bridges say of themselves: the details of one, a table of several. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rich.table import Table
from rich.text import Text

from bridge.commands import ask
from bridge.model.order import printable
from bridge.model.status import BridgeStatus, iso_utc

GOOD, BAD, PLAIN = "green", "bold red", ""


def details(status: BridgeStatus) -> Table:
    """One status as an aligned table."""
    now = datetime.now(UTC)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")

    def row(name: str, text: str, style: str = PLAIN) -> None:
        table.add_row(name, Text(text, style=style))

    row("bridge", *_how(status, now))
    row("instance", f"{status.instance} (pid {status.pid} on {status.host}, version {status.version})")
    row("running for", f"{_span(now - status.started_at)}")
    source = status.source
    row(
        "source",
        f"{source.root}: {source.state}, by {source.watch_mode}",
        PLAIN if source.state == "ok" else BAD,
    )
    if status.role == "standby":
        row("role", "standby: leaves each scan to the other bridge first")
    if status.newest is not None:
        row("newest on disk", f"{status.newest.path}, {ask.age(status.newest.mtime_ns)}")
    if status.published is None:
        row("published", "nothing yet by this process", PLAIN if status.role == "standby" else "yellow")
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
    if (history := status.history) is not None:
        missing = "not compared yet" if history.missing is None else f"{history.missing} missing"
        row("history", f"{missing}, {history.per_s:g} a second", PLAIN)
        if history.trouble:
            row("", history.trouble, "yellow")
    counters = status.counters.model_dump()
    row(
        "counters",
        ", ".join(f"{name} {value}" for name, value in counters.items()),
        "red" if counters["bad"] else PLAIN,
    )
    return table


def overview(bridges: Mapping[str, BridgeStatus]) -> Table:
    """A line for each bridge."""
    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("BRIDGE", "STATE", "ROLE", "HOST", "KEY", "SOURCE", "NEWEST ON DISK", "LAG P90", "SCANS/MIN"):
        table.add_column(name, overflow="fold")
    for name, status in bridges.items():
        text, style = _in_short(status, now)
        lag_ms, newest = status.lag_ms.p90, status.newest
        table.add_row(
            Text(printable(name) + (" (claimed twice)" if is_claimed_twice(status, bridges, now) else "")),
            Text(text, style=style),
            status.role,
            printable(status.host),
            printable(f"{status.map}/{status.scan_key}" if status.map else "-"),
            Text(status.source.state, style=PLAIN if status.source.state == "ok" else BAD),
            f"{newest.path}, {ask.age(newest.mtime_ns)}" if newest else "-",
            "-" if lag_ms is None else f"{lag_ms:.1f} ms",
            f"{status.files_per_min_1m:.1f}",
        )
    return table


def is_claimed_twice(status: BridgeStatus, bridges: Mapping[str, BridgeStatus], now: datetime) -> bool:
    """Whether another living bridge calls itself the same."""
    return status.is_alive(now) and any(
        other.instance == status.instance and not other.is_same_process(status) and other.is_alive(now)
        for other in bridges.values()
    )


def _how(status: BridgeStatus, now: datetime) -> tuple[str, str]:
    silent_s = (now - status.heartbeat_at).total_seconds()
    if status.state == "stopped":
        return f"stopped {_span(now - status.heartbeat_at)} ago", "yellow"
    if status.is_alive(now):
        return f"alive, heartbeat {silent_s:.1f} s ago", GOOD
    return f"DEAD: no heartbeat for {silent_s:.0f} s; look at its unit on {printable(status.host)}", BAD


def _in_short(status: BridgeStatus, now: datetime) -> tuple[str, str]:
    if status.state == "stopped":
        return "stopped", "yellow"
    return ("alive", GOOD) if status.is_alive(now) else (f"DEAD for {_span(now - status.heartbeat_at)}", BAD)


def _span(delta: timedelta) -> str:
    seconds = max(0, int(delta.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"
