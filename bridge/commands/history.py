"""`scan-bridge history`: what the map of the last hours holds, what it lacks, and its scans as files again."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from hazelcast.core import HazelcastJsonValue

from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import parse
from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.hazelcast_client import ByteArray
from bridge.commands import ask
from bridge.commands.landing import land
from bridge.config import Config
from bridge.folder import reader
from bridge.folder.day_folder import is_scan_name
from bridge.folder.listing import is_day_name
from bridge.history.inventory import list_young
from bridge.history.store import HistoryStore
from bridge.model.history import history_key, read_history_key
from bridge.model.order import OrderKey, ScanFile, printable
from bridge.model.status import from_ns, iso_utc

UNREAD = "cannot be read"


def history(config: Config, arguments: argparse.Namespace) -> int:
    """Show, compare or export it; 0 if all is well, 1 for gaps and what failed, 69 if Hazelcast is away."""
    if not config.history.keep_s:
        return ask.fail("no history is kept: history.keep_s is 0")
    try:
        return asyncio.run(ask.once(config, lambda cluster: _history(cluster, config, arguments)))
    except ClusterError as error:
        return ask.fail_unavailable(config, error)
    except BrokenPipeError:  # the command line's business
        raise
    except OSError as error:
        return ask.fail(f"{error.filename or ''}: {error.strerror}")


async def _history(cluster: Cluster, config: Config, arguments: argparse.Namespace) -> int:
    since_ns = _since_ns(arguments.since or timedelta(seconds=config.history.keep_s))
    store = HistoryStore(cluster, config)
    if arguments.gaps:
        return _tell_gaps(await _gaps(config, store, since_ns), as_json=arguments.json)
    scans = sorted(filter(None, map(read_history_key, await store.keys(since_ns, ()))))
    if arguments.export is not None:
        return await _export(store, scans, arguments.export)
    for scan in scans:
        print(_line(scan, as_json=arguments.json))
    return 0


def _since_ns(past: timedelta) -> int:
    return time.time_ns() - int(past.total_seconds() * 1e9)


def _line(scan: OrderKey, *, as_json: bool, **more: Any) -> str:
    if as_json:
        return json.dumps({"path": scan.path, "mtime_ns": scan.mtime_ns, **more})
    words = "".join(f"  {text}" for text in more.values())
    return f"{iso_utc(from_ns(scan.mtime_ns))}  {printable(scan.path)}{words}"


# ---- gaps


async def _gaps(config: Config, store: HistoryStore, since_ns: int) -> list[tuple[ScanFile, str]]:
    """Files that the map lacks, and what is known of each: no reason means that it should be there."""
    files = list_young(config.source.root, since_ns, strict=True)
    keys = await store.keys(since_ns, files)
    before_ns = _since_ns(timedelta(seconds=config.source.rescan_s + config.source.quiet_s))  # else it is on its way
    kept_ns = _since_ns(timedelta(seconds=config.history.keep_s))  # by now; older ones have had their time
    return [(file, _excuse(config, file)) for file in reversed(files) if history_key(file.key) not in keys
            and file.mtime_ns >= kept_ns and max(file.mtime_ns, file.ctime_ns) < before_ns]  # fmt: skip


def _excuse(config: Config, file: ScanFile) -> str:
    """Why a file is no scan; nothing if it is one."""
    source = config.source
    try:
        parse(reader.read(source.root, file, source.max_scan_bytes), source.max_decoded_bytes)
    except (reader.NeverReadable, InvalidScan) as error:
        return f"bad: {error}"
    except reader.NotReadable as error:
        return f"{UNREAD}: {error}"
    except (reader.Vanished, reader.Changed):
        return "changed meanwhile"
    return ""


def _tell_gaps(gaps: list[tuple[ScanFile, str]], *, as_json: bool) -> int:
    for file, excuse in gaps:
        print(_line(file.key, as_json=as_json, reason=excuse or "missing"))
    missing = sum(not excuse for _, excuse in gaps)
    if (unread := sum(excuse.startswith(UNREAD) for _, excuse in gaps)) and not missing:
        return ask.fail(f"{unread} files that are not in the map cannot be read here, so they may be valid scans")
    return ask.fail(f"{missing} valid scans lie on disk and not in the map; try: scan-bridge status") if missing else 0


# ---- export


async def _export(store: HistoryStore, scans: list[OrderKey], folder: Path) -> int:
    """Write each scan as a file, under its own name and time; what is there already stays."""
    written = there = left_out = 0
    for scan in scans:
        day, _, name = scan.path.partition("/")
        if not (is_day_name(day) and is_scan_name(name) and scan.path.isprintable() and "/" not in name):
            ask.fail(f"{printable(scan.path)}: no bridge wrote this key; it is left out")
            continue
        target = folder / day / name
        if os.path.lexists(target):
            there += 1
            continue
        value = await store.get(history_key(scan))
        if isinstance(value, HazelcastJsonValue):
            ask.fail(f"{printable(scan.path)}: stands in the map as JSON, which is no file of Arrow; it is left out")
            left_out += 1
        if isinstance(value, ByteArray):  # else it has expired meanwhile
            land(target, value.content, scan.mtime_ns)
            written += 1
    print(f"{written} scans written to {folder}" + (f", {there} were there already" if there else ""))
    return 1 if left_out else 0
