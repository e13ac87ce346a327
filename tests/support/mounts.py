"""Real mounts for tests, which end with the `with` block; a namespace in which a script may mount and set limits."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import process
from support.bridge_process import eventually


def in_user_namespace(script: str, *arguments: str | Path) -> str:
    """Run a script as root of its own namespace: it may mount, and set limits that hold for itself only."""
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", textwrap.dedent(script)]
    ended = process.run([*command, *arguments])
    if ended.returncode != 0:
        pytest.fail(f"needs user namespaces, or root: {ended.stderr.splitlines()[-1]}", pytrace=False)
    return ended.stdout


Served = contextlib.AbstractContextManager[subprocess.Popen[bytes]]


def bound(below: Path, point: Path, *, cached_s: int = 0) -> Served:
    """A FUSE mount on `point` of the folder `below`: what is written below changes the mount without an event there.

    Gives the process that serves it, to stop or kill.
    The kernel keeps what it was told of a file for `cached_s`, as with a network file system; by default not at all.
    """
    options = f"attr_timeout={cached_s},entry_timeout={cached_s},negative_timeout=0"
    return _served(["bindfs", "-f", "-o", options, below, point], below, point)


def object_store(below: Path, point: Path, *, behind_s: float = 0.0) -> Served:
    """The folder `below` on `point` as object stores show theirs; see support/object_store.py."""
    server = Path(__file__).with_name("object_store.py")
    return _served([sys.executable, str(server), below, point, str(behind_s)], below, point)


@contextlib.contextmanager
def _served(command: process.Command, below: Path, point: Path) -> Iterator[subprocess.Popen[bytes]]:
    below.mkdir(exist_ok=True)
    point.mkdir(exist_ok=True)
    serving = process.start(command)
    try:
        eventually(lambda: os.path.ismount(point), f"{command[0]} serves")
        yield serving
    finally:
        process.run(["umount", "--lazy", point])
        process.kill(serving)
