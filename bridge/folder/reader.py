"""Reading one scan file whole: the bytes as they were at one moment, or why they cannot be had.

What lies under a scan's name is not trusted: it may be a link, a device, a FIFO, too large, or still being written.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from bridge.folder.file_system import remote, stat_open_file
from bridge.model.order import ScanFile


class NotReadable(Exception):
    """The file cannot be read now. It may yet become readable. The message is the reason."""


class NoAnswer(NotReadable):
    """Who serves the file does not answer, or not as it should: that says nothing of the file."""


class NeverReadable(Exception):
    """The file cannot be a scan as long as it stays what it is. The message is the reason."""


# What a server answers of a file. With any other error it is the server itself that fails, or the way to it.
_OF_THE_FILE = {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENXIO, errno.EPERM}


class Vanished(Exception):
    """The file is gone."""


class Changed(Exception):
    """The file is not, or no longer, what it was taken for."""

    def __init__(self, file: ScanFile) -> None:
        super().__init__(file)
        self.file = file  # as it is now


def read(root: Path, file: ScanFile, max_bytes: int) -> bytes:
    """The content of `file`, exactly as its size and times say.

    Raises:
        NotReadable, NoAnswer, NeverReadable, Vanished, Changed: see there.
    """
    day, _, name = file.path.partition("/")
    if not file.path.isprintable():
        raise NeverReadable("the name is not printable UTF-8; rename the file")
    try:
        folder = os.open(os.path.join(root, day), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            there = os.lstat(name, dir_fd=folder)
            _require_regular(there.st_mode, there.st_size, max_bytes)
            # O_NONBLOCK: what was a file a moment ago may be a FIFO now, and must not block us.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            return _read_open(descriptor, file, max_bytes)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        raise Vanished from error
    except OSError as error:
        kind = NoAnswer if _is_the_servers(error, root / day) else NotReadable
        raise kind(error.strerror or str(error)) from error


def _is_the_servers(error: OSError, folder: Path) -> bool:
    if error.errno in _OF_THE_FILE:
        return False
    try:
        return remote(folder) is not None
    except OSError:
        return True


def _read_open(descriptor: int, file: ScanFile, max_bytes: int) -> bytes:
    _require_same(descriptor, file, max_bytes)
    # One byte more than expected, so that a file that grew is noticed.
    content = os.read(descriptor, file.size + 1)
    while len(content) < file.size and (more := os.read(descriptor, file.size + 1 - len(content))):
        content += more
    now = _require_same(descriptor, file, max_bytes)
    if len(content) != file.size:
        raise Changed(now)
    return content


def _require_same(descriptor: int, file: ScanFile, max_bytes: int) -> ScanFile:
    info = stat_open_file(descriptor)
    _require_regular(info.mode, info.size, max_bytes)
    now = ScanFile(info.mtime_ns, file.path, info.size, info.ctime_ns)
    if (now.size, now.mtime_ns) != (file.size, file.mtime_ns):  # another mode is no change of the content
        raise Changed(now)
    return now


def _require_regular(mode: int, size: int, max_bytes: int) -> None:
    if stat.S_ISLNK(mode):
        raise NeverReadable("a symbolic link; links are not followed")
    if not stat.S_ISREG(mode):
        raise NeverReadable(f"not a regular file ({stat.filemode(mode)[0]})")
    if size > max_bytes:
        raise NeverReadable(f"{size} bytes, more than source.max_scan_bytes = {max_bytes}")
