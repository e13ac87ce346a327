"""Looks for the newest scan files on disk, in a process of its own: a dead NFS server must cost only this answer.

`python -m healthcheck.observe.disk ROOT SCAN_DAYS GRACE_S` looks, and writes JSON; `look` starts it, with a deadline.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bridge.folder.listing import ScanRoot
from healthcheck.model.observation import DiskView
from healthcheck.observe import commands
from healthcheck.observe.commands import CommandError

_ADAPTER = TypeAdapter(DiskView)


def list_newest(root: Path, scan_days: int, grace_s: float, deadline_s: float) -> DiskView:
    """The newest scan, and the newest that has lain there for `grace_s`.

    Raises:
        CommandTimeout: no answer in time: the source is as good as unreadable.
        CommandError: the look failed otherwise.
    """
    command = [sys.executable, "-m", "healthcheck.observe.disk", str(root), str(scan_days), str(grace_s)]
    ran = commands.run(command, deadline_s)
    try:
        return _ADAPTER.validate_json(ran.out)
    except ValidationError as error:
        last = ran.err.strip().splitlines()[-1:] or [f"exit status {ran.status}"]
        raise CommandError(f"the look at {root} failed: {last[0]}") from error


def view(root: Path, scan_days: int, grace_s: float, now_ns: int) -> DiskView:
    """The look itself, in this process."""
    found = ScanRoot(root, scan_days, lambda: None).list_newest(None)
    settled_ns = now_ns - int(grace_s * 1e9)
    settled = next((file for file in found.files if max(file.mtime_ns, file.ctime_ns) <= settled_ns), None)
    return DiskView(found.state, found.reason, found.files[0] if found.files else None, settled)


if __name__ == "__main__":
    answer = view(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), time.time_ns())
    sys.stdout.buffer.write(_ADAPTER.dump_json(answer))
