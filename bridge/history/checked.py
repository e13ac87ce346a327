"""Memory across restarts: up to which change on disk the map was seen to hold what lies there.

A file may be rewritten under its old time, and so under its old key, while nobody looks: what changed on disk since is
compared with its value at the next start. An older mark, or none, costs such comparisons and nothing else.

The time to live is part of what was seen: where it is another one by now, so must be that of all that stands there.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

DIGITS = 20  # overwritten in place: cheap, and needs no space on a full disk


class Checked:
    """One file in the state folder. Without a usable state folder there is no mark."""

    def __init__(self, state_dir: Path, keep_s: float) -> None:
        """Read what an earlier process left below `state_dir`; of one with another `keep_s` it is no mark."""
        self._path = state_dir / "checked"
        self._keep = b" %0*d" % (DIGITS, int(keep_s * 1000))
        self.ns = 0  # a time of the file system's clock
        with contextlib.suppress(OSError, ValueError):
            mark = self._path.read_bytes()
            self.ns = int(mark[:DIGITS]) if mark[DIGITS:] == self._keep else 0

    def save(self, ns: int) -> None:
        """Write the mark down, if it is another one."""
        if ns == self.ns:
            return
        self.ns = ns
        with contextlib.suppress(OSError):  # Quarantine tells of it
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                os.pwrite(descriptor, b"%0*d" % (DIGITS, ns) + self._keep, 0)
            finally:
                os.close(descriptor)
