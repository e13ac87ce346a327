"""One look at what flows, and how it is shown: a line for a log, a table for a terminal."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from health import GROUPS, Inbox, Received
from rich.table import Table
from rich.text import Text

from bridge.model.status import BridgeStatus
from healthcheck.model.finding import Severity
from healthcheck.model.report import Report

SAID, MESSAGES = 6, 3  # the last ones are shown
COLOURS = {Severity.OK: "green", Severity.UNKNOWN: "yellow", Severity.WARNING: "yellow", Severity.CRITICAL: "red"}

Scan = tuple[int, str]  # a scan's place in the order: modification time in ns, path below ROOT


@dataclass(frozen=True)
class View:
    """One look at everything. None: there is no such thing, or Hazelcast does not answer."""

    disk: Scan | None
    held: Scan | None
    value: bytes | None
    status: BridgeStatus | None

    @property
    def arrived(self) -> bool:
        """Whether the newest scan on disk is the one in Hazelcast."""
        return self.disk is not None and self.disk == self.held


def newest_on_disk(root: Path) -> Scan | None:
    """The newest scan by (modification time, path); its own way of looking, not the bridge's."""
    scans = []
    for file in root.glob("*/*.arrow"):
        with contextlib.suppress(FileNotFoundError):
            scans.append((file.stat().st_mtime_ns, str(file.relative_to(root))))
    return max(scans, default=None)


def source_of(value: bytes) -> Scan:
    """Which file a value in Hazelcast was made from, by its schema metadata."""
    metadata = pa.ipc.open_stream(value).schema.metadata
    return int(metadata[b"scan_bridge.mtime_ns"]), metadata[b"scan_bridge.source"].decode()


def age(scan: Scan | None) -> str:
    """How old a scan is, by its modification time."""
    return f"{time.time() - scan[0] / 1e9:.1f} s old" if scan else "-"


def numbers(view: View) -> str:
    """Counters and lag, on one line."""
    if view.status is None:
        return "no status"
    counters, lag = view.status.counters, view.status.lag_ms
    lags = "-" if lag.p50 is None or lag.max is None else f"{lag.p50:.1f} ms, at most {lag.max:.1f} ms"
    return f"published {counters.published}, skipped {counters.skipped}, bad {counters.bad}, median lag {lags}"


def plain(seconds: float, view: View, report: Report | None) -> str:
    """One line for a log."""
    held = "the same" if view.arrived else view.held[1] if view.held else "nothing"
    disk = view.disk[1] if view.disk else "nothing"
    health = report.headline if report else "not checked yet"
    return (
        f"{seconds:4.0f} s  on disk: {disk}  in Hazelcast: {held}, {age(view.held)}  {numbers(view)}  health: {health}"
    )


def plain_message(seconds: float, message: Received) -> str:
    """A message as it arrived, for a log."""
    body = "\n".join(f"        | {line}".rstrip() for line in message.body.splitlines())
    return f"{seconds:4.0f} s  told to {message.group}: {message.subject}\n{body}"


def panel(seconds: float, view: View, report: Report | None, inbox: Inbox, said: list[str], hints: str) -> Table:
    """The same for a terminal."""
    table = Table(title=f"scan-bridge demo, {seconds:.0f} s; Ctrl-C ends it", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(min_width=50)
    table.add_row("newest on disk", f"{view.disk[1]}, {age(view.disk)}" if view.disk else "nothing")
    colour = "green" if view.arrived else "yellow"
    held = f"{view.held[1]}, {age(view.held)}" if view.held else "nothing, or no answer"
    table.add_row("newest in Hazelcast", Text(held, colour))
    if view.status and view.status.published:
        table.add_row("its lag, file to Hazelcast", f"{view.status.published.lag_ms:.1f} ms")
    table.add_row("so far", numbers(view))
    table.add_section()
    table.add_row("health", health(report))
    for group in GROUPS:
        messages = inbox.to(group)[-MESSAGES:]
        table.add_row(f"told to {group}", Text("\n".join(map(short, messages)) or "nothing"))
    if said:
        table.add_section()
        table.add_row("the demo", Text("\n".join(said[-SAID:])))
    table.add_section()
    table.add_row("look yourself", Text(hints))
    return table


def health(report: Report | None) -> Text:
    """The last check's verdict, with the words of what is wrong."""
    if report is None:
        return Text("not checked yet")
    bad = [f"{finding.title}: {finding.text}" for finding in report.findings if finding.severity.is_bad]
    return Text("\n".join([report.headline, *bad]), COLOURS[report.severity])


def short(message: Received) -> str:
    """A message in two lines: its headline, and the first of its words."""
    text = message.body.splitlines()[1:2]
    return "\n".join([message.headline, *text])
