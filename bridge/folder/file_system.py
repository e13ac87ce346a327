"""What a file system can be trusted with, by its type, and how a file stands there now.

Attributes are never taken from a cache of the kernel: on network file systems those may be a minute old.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)


class Remote(NamedTuple):
    """A kind of file system whose content may change elsewhere, without an inotify event here, by a clock not ours."""

    name: str
    folder_times: bool  # whether a folder's times change with each entry that comes or goes, whoever serves it


# f_type of statfs(2), from linux/magic.h. What FUSE, SMB and 9p pass on is up to the server: object stores, Azure
# Files and FAT volumes give folders times that stand still.
REMOTE = {
    0x6969: Remote("nfs", folder_times=True),  # the kernel's own cache of listings relies on it
    0x517B: Remote("smb", folder_times=False),
    0xFF534D42: Remote("cifs", folder_times=False),
    0xFE534D42: Remote("smb2", folder_times=False),
    0x01021997: Remote("9p", folder_times=False),
    0x65735546: Remote("fuse", folder_times=False),
    0x00C36400: Remote("ceph", folder_times=True),
    0x5346414F: Remote("afs", folder_times=True),
    0x6B414653: Remote("afs", folder_times=True),
    0x7461636F: Remote("ocfs2", folder_times=True),
    0x01161970: Remote("gfs2", folder_times=True),
    0x0BD00BD0: Remote("lustre", folder_times=True),
    0x786F4256: Remote("vboxsf", folder_times=False),
    0xAAD7AAEA: Remote("panfs", folder_times=False),
    0xBACBACBC: Remote("vmhgfs", folder_times=False),
}


def remote(path: Path | str) -> Remote | None:
    """The kind of the file system at `path`; None if it is one of this host's own. Raises OSError."""
    buffer = ctypes.create_string_buffer(256)  # struct statfs is 120 bytes; f_type is its first word
    if _libc.statfs(os.fsencode(path), buffer) != 0:
        raise _error(path)
    return REMOTE.get(ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF)


class FileStat(NamedTuple):
    """What statx(2) says of a file, times in nanoseconds."""

    mode: int
    device: int
    inode: int
    links: int
    size: int
    mtime_ns: int
    ctime_ns: int


# From linux/stat.h and linux/fcntl.h.
_FORCE_SYNC = 0x2000  # AT_STATX_FORCE_SYNC: ask the server
_NO_FOLLOW = 0x100  # AT_SYMLINK_NOFOLLOW
_EMPTY_PATH = 0x1000  # AT_EMPTY_PATH: the descriptor itself
_BASIC_STATS = 0x7FF
_CURRENT_FOLDER = -100  # AT_FDCWD
# struct statx: nlink, mode, inode, size; seconds and nanoseconds of ctime and mtime; the device's major and minor.
_STATX = struct.Struct("=16xI8xH2xQQ48xqI4xqI4x8xII112x")


def stat_file(path: Path | str, *, follow: bool = False) -> FileStat:
    """A file, folder or symbolic link as it is now, not as a cache remembers it. Raises OSError."""
    return _statx(_CURRENT_FOLDER, os.fsencode(path), _FORCE_SYNC | (0 if follow else _NO_FOLLOW), path)


def stat_open_file(descriptor: int) -> FileStat:
    """An open file as it is now. Raises OSError."""
    return _statx(descriptor, b"", _FORCE_SYNC | _EMPTY_PATH, None)


def _statx(descriptor: int, name: bytes, flags: int, path: Path | str | None) -> FileStat:
    buffer = ctypes.create_string_buffer(_STATX.size)
    while _libc.statx(descriptor, name, flags, _BASIC_STATS, buffer) != 0:
        if ctypes.get_errno() != errno.EINTR:
            raise _error(path)
    links, mode, inode, size, ctime_s, ctime_ns, mtime_s, mtime_ns, major, minor = _STATX.unpack(buffer)
    return FileStat(
        mode, os.makedev(major, minor), inode, links, size, mtime_s * 10**9 + mtime_ns, ctime_s * 10**9 + ctime_ns
    )


def _error(path: Path | str | None) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), None if path is None else str(path))
