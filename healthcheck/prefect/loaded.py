"""Whether the program on disk is still the one that this process was loaded from: an upgrade replaces it under us."""

from __future__ import annotations

import os
import sys
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int, int]  # inode, size, time of the last change in ns


class LoadedProgram:
    """The files of all modules that were loaded when this was made, and of Python itself."""

    def __init__(self) -> None:
        files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        self._python = os.path.realpath(sys.executable)
        self._stamps = {file: _stamp(file) for file in {self._python, *filter(None, files)}}

    def is_on_disk(self) -> bool:
        """Whether a new process would load the same; 2 ms."""
        same_python = os.path.realpath(sys.executable) == self._python
        return same_python and all(_stamp(file) == stamp for file, stamp in self._stamps.items())


def _stamp(file: str) -> Stamp | None:
    try:
        info = os.stat(file)
    except OSError:
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns
