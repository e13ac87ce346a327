"""The file of the scan that the map holds: whether it changed since, without becoming newer. Pure bookkeeping.

Such a change is never published by the rule of order: it is a time that was set after the close, or other content
under the same name. So it must not be passed over in silence.
"""

from __future__ import annotations

from bridge.model.order import ScanFile
from bridge.model.provenance import Provenance


class HeldFile:
    """What that file was like when it was last compared with the map, and the newest file that is not it."""

    def __init__(self) -> None:
        self._compared: ScanFile | None = None
        self.runner_up: ScanFile | None = None

    def same(self, file: ScanFile) -> None:
        """This is the file of the held scan, as it is known."""
        former, self._compared = self._compared, file
        if former is not None and former.path != file.path:
            self.passed_over(former)

    def passed_over(self, file: ScanFile) -> None:
        """This file is not the held scan, and was not published because of it, or before it."""
        if self.runner_up is None or file.key > self.runner_up.key:
            self.runner_up = file

    def changed(self, file: ScanFile, held: Provenance | None) -> bool:
        """Whether `file` is that of the held scan, no newer, but not as it was when the scan was read."""
        if held is None or file.path != held.source or file.key > held.held.key or file == self._compared:
            return False
        if (file.size, file.mtime_ns) != (held.size, held.mtime_ns):
            return True
        return self._compared is not None and self._compared.path == file.path
