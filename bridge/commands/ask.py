"""What `status` and `latest` share: asking Hazelcast once, and saying in one line why there is no answer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from rich.console import Console

from bridge.cluster.connection import Cluster, ClusterError, ClusterRefused
from bridge.cluster.hazelcast_client import MapValue
from bridge.config import Config
from bridge.system import journal

T = TypeVar("T")

FAILED = 1
UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h
PIPE_COLUMNS = 240


async def fetch(config: Config, key: str) -> MapValue | None:
    """What the map holds under `key`.

    Raises:
        ClusterError: no answer within the deadlines of the configuration.
    """
    return await once(config, lambda cluster: cluster.get(key))


async def once(config: Config, question: Callable[[Cluster], Coroutine[Any, Any, T]]) -> T:
    """The answer to one question, on a connection of its own.

    Raises:
        ClusterError: no answer within the deadlines of the configuration.
    """
    journal.quiet_hazelcast()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    cluster = Cluster(config.hazelcast, "scan-bridge command")
    await cluster.connect()
    try:
        return await question(cluster)
    finally:
        await cluster.close()


def fail(reason: str) -> int:
    """Say why; the exit status that goes with it."""
    print(f"scan-bridge: {reason}", file=sys.stderr)
    return FAILED


def fail_unavailable(config: Config, error: ClusterError) -> int:
    """Say that Hazelcast cannot be used; the exit status that goes with it."""
    print(f"scan-bridge: {unavailable(config.hazelcast.address, error)}", file=sys.stderr)
    return UNAVAILABLE


def unavailable(address: str, error: ClusterError) -> str:
    """In one line, that Hazelcast cannot be used, and why."""
    return f"Hazelcast {address} {error if isinstance(error, ClusterRefused) else f'cannot be reached: {error}'}"


def console() -> Console:
    """Lines may be long where no terminal breaks them: in a pipe or a file."""
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def age(time_ns: int) -> str:
    """How old something of this time is, for people."""
    return f"{(time.time_ns() - time_ns) / 1e9:.1f} s old"
