"""What is asked of files in both programs: replaced in one step, and secrets in none that everyone can read."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


def exposed(path: Path, mode: int) -> str | None:
    """Why no secret may lie in a file of this mode, and the cure; None if it may."""
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        return f"{path}: readable by everyone; run: chmod 0600 {path}"
    return None


def replace_file(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Put `data` in the place of the file: whoever reads it sees the old or the new one, also after a power cut.

    Made by root, it belongs to the directory's owner.

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


def make_folder(path: Path) -> None:
    """Make the last folder of `path` if it is missing and the one above is there; nobody else may look into it.

    Made by root, it belongs to the owner of the one above, as files do.

    Raises:
        OSError: it is missing and cannot be made.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
