"""Replaces a file in one step: whoever reads it sees the old one or the new one, whole, also after a power cut."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Put `data` in the place of the file. Made by root, it belongs to the directory's owner.

    Raises:
        OSError: it was not replaced; no partial file is left.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.unlink(missing_ok=True)  # left by a writer that was killed
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
