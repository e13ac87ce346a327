"""`scan-bridge status`: what the bridges say of themselves, once or until Ctrl-C, for people and for programs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from bridge.cluster import status_map
from bridge.cluster.connection import Cluster, ClusterError
from bridge.commands import ask, status_view
from bridge.config import Config
from bridge.model.status import BridgeStatus, Statuses
from bridge.system import interrupt, journal

WATCH_S = 0.5
NOTHING = "no status yet; has the bridge ever run against this cluster?"


@dataclass(frozen=True)
class Shown:
    """The bridges to be shown, by name; `problem` says what is wrong with the rest, or why there is none."""

    bridges: Mapping[str, BridgeStatus]
    problem: str = ""


def status(config: Config, name: str | None, *, as_json: bool, watch: bool) -> int:
    """Show how the bridges are, or the one of this name.

    Returns:
        0 if every one that was not told to stop is alive, and at least one is; 1 if not; 69 if Hazelcast is away.
    """
    if watch:
        return _watch_json(config, name) if as_json else _watch(config, name)
    try:
        found = asyncio.run(ask.once(config, lambda cluster: status_map.read_all(cluster, config.hazelcast)))
    except ClusterError as error:
        return ask.fail_unavailable(config, error)
    shown = _choose(found, name, config)
    if shown.problem:
        ask.fail(shown.problem)
    if as_json:
        for one in shown.bridges.values():
            print(one.model_dump_json())
    elif shown.bridges:
        ask.console().print(_view(shown, name))
    return ask.FAILED if shown.problem or not _all_well(shown.bridges) else 0


def forget(config: Config, name: str) -> int:
    """Remove the entry of a bridge that is no more; refused while that bridge is alive: it would come back."""

    async def remove(cluster: Cluster) -> Statuses:
        every = await status_map.read_all(cluster, config.hazelcast)
        found = every.bridges.get(name)
        if found is None or not found.is_alive(datetime.now(UTC)):
            await status_map.remove(cluster, config.hazelcast, name)
        return every

    try:
        every = asyncio.run(ask.once(config, remove))
    except ClusterError as error:
        return ask.fail_unavailable(config, error)
    found = every.bridges.get(name)
    if found is None:
        is_unreadable = name in every.unreadable
        return 0 if is_unreadable else ask.fail(f"{config.hazelcast.statuses}: no entry {name}")
    if found.is_alive(datetime.now(UTC)):
        return ask.fail(f"{name} is alive (pid {found.pid} on {found.host}): stop it first, or it will be back")
    return 0


def _choose(found: Statuses, name: str | None, config: Config) -> Shown:
    where = config.hazelcast.statuses
    if name is not None and name in found.bridges:
        return Shown({name: found.bridges[name]})
    unreadable = {key: reason for key, reason in found.unreadable.items() if name in (None, key)}
    problem = "; ".join(f"{where}/{key}: {reason}" for key, reason in unreadable.items())
    if name is not None:
        known = ", ".join(found.bridges) or "none"
        return Shown({}, problem or f"{where}: no bridge {name}; there are: {known}")
    return Shown(found.bridges, problem or ("" if found.bridges else f"{where}: {NOTHING}"))


def _all_well(bridges: Mapping[str, BridgeStatus]) -> bool:
    now = datetime.now(UTC)
    alive = [one.is_alive(now) for one in bridges.values() if one.state != "stopped"]
    return bool(alive) and all(alive)


def _view(shown: Shown, name: str | None) -> Any:
    """As simple as it can be: with one bridge, what that one says."""
    if name is not None or len(shown.bridges) == 1:
        return Group(*(status_view.details(one) for one in shown.bridges.values()))
    return status_view.overview(shown.bridges)


def _watch(config: Config, name: str | None) -> int:
    """Show the status until Ctrl-C."""

    async def watch(live: Live) -> None:
        async for shown in _statuses(config, name):
            views: list[Any] = [_view(shown, name)] if shown.bridges else []
            views += [Text(shown.problem, style="bold red")] if shown.problem else []
            clock = datetime.now(UTC).isoformat(timespec="seconds")
            live.update(Group(*views, Text(f"\n{clock}   Ctrl-C ends", style="dim")), refresh=True)

    journal.quiet_hazelcast()
    # Live has hidden the cursor, and left it at the end of a line.
    interrupt.exit_at_once(b"\n\x1b[?25h" if sys.stdout.isatty() else b"")
    with Live(f"connecting to {config.hazelcast.cluster_name}; Ctrl-C ends", auto_refresh=False) as live:
        asyncio.run(watch(live))
    return 0


def _watch_json(config: Config, name: str | None) -> int:
    """Print each status, a line each time it is another one, until Ctrl-C; what is wrong goes to stderr, once."""

    async def watch() -> None:
        last = Shown({})
        async for now in _statuses(config, name):
            if now.problem and now.problem != last.problem:
                print(f"scan-bridge: {now.problem}", file=sys.stderr, flush=True)
            for key, one in now.bridges.items():
                if one != last.bridges.get(key):
                    print(one.model_dump_json(), flush=True)
            last = now

    journal.quiet_hazelcast()
    interrupt.exit_at_once(b"")
    asyncio.run(watch())
    return 0


async def _statuses(config: Config, name: str | None) -> AsyncIterator[Shown]:
    """What the bridges say of themselves, twice a second."""
    cluster = Cluster(config.hazelcast, "scan-bridge status")
    while True:
        try:
            if not cluster.connected:
                await cluster.connect()
            yield _choose(await status_map.read_all(cluster, config.hazelcast), name, config)
        except ClusterError as error:
            yield Shown({}, ask.unavailable(cluster.address, error))
        await asyncio.sleep(WATCH_S)
