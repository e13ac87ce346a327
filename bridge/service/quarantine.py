"""Memory across crashes: which file was in hand when the process died, and which files are set aside for that.

A file that kills the process, by a fault of the decoder or by the memory that it takes, would kill it at each start. So
its name is written down before it is read and wiped once it is published. What was in hand at one death is suspected:
somebody may have killed the process. What was in hand at two deaths in a row did the killing: it is named, and not read
again until it changes. A death with the whole machine (its power failed, it was reset) is nobody's fault.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.model.order import ScanFile, printable
from bridge.system.files import replace_file

log = logging.getLogger(__name__)

# One block, overwritten in place: cheap, and needs no space on a full disk.
RECORD_BYTES = 4096
MOST_SET_ASIDE = 100
DEATHS_OF_A_KILLER = 2
# The unit says which boot of the machine this is, for its sandbox hides where the kernel says it.
BOOT_VARIABLE = "BOOT_ID"
BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")


class Quarantine:
    """The two files in the state folder. Without a usable state folder the bridge runs on, without this memory."""

    def __init__(self, state_dir: Path) -> None:
        """Open (or make) the files below `state_dir` and learn what the last run left behind."""
        self._list_path = state_dir / "set-aside.json"
        in_hand_path = state_dir / "in-hand"
        self._boot = _boot_id()
        self._descriptor: int | None = None
        self._suspect: ScanFile | None = None
        self._deaths = 0  # in a row, with the suspect in hand
        self.killer: ScanFile | None = None
        self.set_aside: list[ScanFile] = []
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(in_hand_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            record = os.pread(self._descriptor, RECORD_BYTES, 0).rstrip(b"\0")
            self._learn(record, in_hand_path)
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
        deaths = self._deaths if file == self._suspect else 0
        self._write(json.dumps({"file": file, "deaths": deaths, "boot": self._boot}).encode())
        try:
            yield
        finally:
            self._write(b"")
            if file == self._suspect:
                self._suspect = None

    def close(self) -> None:
        """Give the file descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _learn(self, record: bytes, path: Path) -> None:
        """Who was in hand when the last run died, and how often in a row."""
        if not record:
            return
        try:
            known: Any = json.loads(record)
            if isinstance(known, list):  # as version 1.0 wrote it
                known = {"file": known, "deaths": 0}
            file, deaths = ScanFile(*known["file"]), int(known["deaths"])
            with_the_machine = known.get("boot", self._boot) != self._boot
        except (ValueError, TypeError, KeyError) as error:
            log.warning("%s is damaged and starts anew: %s", path, error)
            return
        self._deaths = deaths if with_the_machine else deaths + 1
        if not self._deaths:
            return
        if self._deaths >= DEATHS_OF_A_KILLER:
            self.killer = file
            return
        self._suspect = file
        log.warning("the bridge died with %s in hand; it is tried once more", printable(file.path))

    def _write(self, record: bytes) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a full disk must not stop the scans
                os.pwrite(self._descriptor, record.ljust(RECORD_BYTES, b"\0"), 0)

    def _save(self) -> None:
        replace_file(self._list_path, json.dumps(self.set_aside).encode())
        log.debug("set aside: %s", [printable(file.path) for file in self.set_aside])


def _boot_id() -> str:
    """Another one after each boot; always the same where it is not known."""
    with contextlib.suppress(OSError):
        return os.environ.get(BOOT_VARIABLE) or BOOT_FILE.read_text().strip()
    return ""


def _decode(content: bytes, path: Path) -> list[ScanFile]:
    try:
        return [ScanFile(*item) for item in json.loads(content)]
    except (ValueError, TypeError) as error:
        log.warning("%s is damaged and starts anew: %s", path, error)
        return []
