"""Looks for the newest scan files on disk, in a process of its own: a dead NFS server must cost only this answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from bridge.model.order import ScanFile
from healthcheck.model.observation import DiskView
from healthcheck.observe import commands, disk_look
from healthcheck.observe.commands import CommandError, Ran

# Neither the environment, nor the working directory, nor what is installed can slow down or change the look.
_LOOK = (sys.executable, "-I", "-S", disk_look.__file__)


def list_newest(root: Path, scan_days: int, grace_s: float, deadline_s: float) -> DiskView:
    """The newest scan, and the newest that has lain there for `grace_s`.

    Raises:
        CommandTimeout: no answer in time: the source is as good as unreadable.
        CommandError: the look failed otherwise.
    """
    ran = commands.run([*_LOOK, str(root), str(scan_days), str(grace_s)], deadline_s)
    try:
        return _view(json.loads(ran.out))
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"the look at {root} failed: {_last_line(ran)}") from error


def _view(answer: dict[str, Any]) -> DiskView:
    return DiskView(answer["state"], answer["reason"], _file(answer["newest"]), _file(answer["settled"]))


def _file(fields: list[Any] | None) -> ScanFile | None:
    return None if fields is None else ScanFile(*fields)


def _last_line(ran: Ran) -> str:
    lines = ran.err.strip().splitlines()
    return lines[-1] if lines else f"exit status {ran.status}"
