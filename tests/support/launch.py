"""Starts the installed bridge with one place in it made to misbehave, once a file says so. For tests only.

usage: launch.py MISBEHAVIOUR SCAN-BRIDGE-ARGUMENTS…
The file is removed by the first that misbehaves, so that the next process is healthy.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge import cli
from bridge.cluster import connection, publisher
from bridge.folder import inotify, listing, reader
from bridge.service import pipeline, status_reporter

TRIGGER = Path("/var/lib/scan-bridge/misbehave")
FOR_EVER_S = 1e6


def block() -> None:
    """Hold up the thread that calls."""
    time.sleep(FOR_EVER_S)


async def hang() -> None:
    """Hold up the task that awaits."""
    await asyncio.sleep(FOR_EVER_S)


async def fail_slowly() -> None:
    """Take longer than a start may, unless one says that it goes on."""
    await asyncio.sleep(15)
    raise connection.ClusterError("made to fail by a test")


def ignore() -> None:
    """Do nothing at all."""


def exit_failed() -> None:
    """End the process without a word."""
    os._exit(1)


def exit_succeeded() -> None:
    """The same, claiming that all is well."""
    os._exit(0)


def raise_error() -> None:
    """A bug."""
    raise RuntimeError("made to misbehave by a test")


def eat_memory() -> None:
    """Use up more than anyone is allowed to."""
    hoard = []
    while len(hoard) < 2000:
        hoard.append(b"x" * 1024**2)


# misbehaviour: where, and what is done there instead
MISBEHAVIOURS: dict[str, tuple[Any, str, Callable[[], Any]]] = {
    "exit": (pipeline.Pipeline, "_handle", exit_failed),
    "exit-success": (pipeline.Pipeline, "_handle", exit_succeeded),
    "raise": (pipeline.Pipeline, "_handle", raise_error),
    "eat-memory": (pipeline.Pipeline, "_handle", eat_memory),
    "watcher-deaf": (inotify.Watcher, "read", ignore),
    "listing-hangs": (listing.ScanRoot, "list_newest", block),
    "read-hangs": (reader, "read", block),
    "publish-hangs": (publisher.Publisher, "publish", hang),
    "report-hangs": (status_reporter.StatusReporter, "_write", hang),
    "connect-hangs": (connection.Cluster, "connect", hang),
    "connect-fails-slowly": (connection.Cluster, "connect", fail_slowly),
    "main-loop-hangs": (status_reporter.StatusReporter, "line", block),
}


def misbehave(owner: Any, name: str, instead: Callable[[], Any]) -> None:
    """From the moment the file is there, call `instead` for `owner.name`, in this process."""
    original = getattr(owner, name)
    triggered = False

    def replaced(*arguments: Any, **options: Any) -> Any:
        nonlocal triggered
        if not triggered:
            with contextlib.suppress(FileNotFoundError):
                TRIGGER.unlink()
                triggered = True
        return instead() if triggered else original(*arguments, **options)

    setattr(owner, name, replaced)


if __name__ == "__main__":
    misbehave(*MISBEHAVIOURS[sys.argv[1]])
    sys.exit(cli.main(sys.argv[2:]))
