"""Memory across crashes: which file was in hand when the process died, and which files are set aside for that.

A file that kills the process would kill it again at each start. So its name is written down before it is decoded
and wiped after; what is found written down at the start did the killing: it is named, and not read
again until it changes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from bridge.model.order import ScanFile, printable

log = logging.getLogger(__name__)

# One block, overwritten in place: cheap, and needs no space on a full disk.
RECORD_BYTES = 4096
MOST_SET_ASIDE = 100


class Quarantine:
    """The two files in the state folder. Without a usable state folder the bridge runs on, without this memory."""

    def __init__(self, state_dir: Path) -> None:
        """Open (or make) the files below `state_dir` and learn what the last run left behind."""
        self._list_path = state_dir / "set-aside.json"
        in_hand_path = state_dir / "in-hand"
        self._descriptor: int | None = None
        self.killer: ScanFile | None = None
        self.set_aside: list[ScanFile] = []
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(in_hand_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            record = os.pread(self._descriptor, RECORD_BYTES, 0).rstrip(b"\0")
            self.killer = next(iter(_decode(b"[%s]" % record, in_hand_path)), None)
            if self._list_path.exists():
                self.set_aside = _decode(self._list_path.read_bytes(), self._list_path)
            if self.killer is not None:
                self.set_aside = [*self.set_aside, self.killer][-MOST_SET_ASIDE:]
                self._save()
            self._write(b"")
        except OSError as error:
            log.warning(
                "state folder %s is not usable, files that kill the bridge will not be remembered: %s",
                state_dir,
                error,
            )

    @contextlib.contextmanager
    def in_hand(self, file: ScanFile) -> Iterator[None]:
        """While inside, `file` is to blame if the process dies."""
        self._write(json.dumps(file).encode())
        try:
            yield
        finally:
            self._write(b"")

    def close(self) -> None:
        """Give the file descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, record: bytes) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a full disk must not stop the scans
                os.pwrite(self._descriptor, record.ljust(RECORD_BYTES, b"\0"), 0)

    def _save(self) -> None:
        temporary = self._list_path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.set_aside))
        temporary.replace(self._list_path)
        log.debug("set aside: %s", [printable(file.path) for file in self.set_aside])


def _decode(content: bytes, path: Path) -> list[ScanFile]:
    try:
        return [ScanFile(*item) for item in json.loads(content)]
    except (ValueError, TypeError) as error:
        log.warning("%s is damaged and starts anew: %s", path, error)
        return []
