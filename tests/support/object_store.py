"""A FUSE file system as object stores give it: folder times stand still, file times are a server's own.

`object_store.py BELOW POINT BEHIND_S` shows the folder BELOW on POINT, to read only, until it is
unmounted; the server's clock is BEHIND_S seconds late. The kernel's protocol, as in linux/fuse.h, without a library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, INIT = 1, 2, 3, 14, 15, 17, 18, 26
OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 27, 28, 29, 36, 42
UNANSWERED = {FORGET, INTERRUPT, BATCH_FORGET}
HEADER = struct.Struct("=IIQQIIII")
FOLDER_TIME_S = 1_000_000_000


class ObjectStore:
    """The answers. Nodes are numbered as they are looked up; 1 is the root."""

    def __init__(self, below: str, behind_s: float) -> None:
        self._paths = {1: below}
        self._behind_ns = int(behind_s * 1e9)

    def answer(self, operation: int, node: int, body: bytes) -> bytes:
        """The body of the answer. Raises OSError."""
        path = self._paths.get(node, "")
        if operation == INIT:
            return struct.pack("=IIIIHHIIHHI28x", 7, 31, 65536, 0, 12, 9, 65536, 1, 0, 0, 0)
        if operation == LOOKUP:
            return self._lookup(os.path.join(path, os.fsdecode(body.rstrip(b"\0"))))
        if operation == GETATTR:
            return struct.pack("=QII", 0, 0, 0) + self._attributes(path)
        if operation in (OPEN, OPENDIR):
            return struct.pack("=QII", 0, 1, 0)  # FOPEN_DIRECT_IO
        if operation == READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            with open(path, "rb") as file:
                return os.pread(file.fileno(), size, offset)
        if operation == READDIR:
            _, offset, size = struct.unpack_from("=QQI", body)
            return self._entries(path, offset, size)
        if operation in (RELEASE, RELEASEDIR):
            return b""
        if operation == STATFS:
            return bytes(80)
        raise OSError(errno.ENOSYS, "")

    def _lookup(self, path: str) -> bytes:
        attributes = self._attributes(path)
        node = os.lstat(path).st_ino
        self._paths[node] = path
        return struct.pack("=QQQQII", node, 0, 0, 0, 0, 0) + attributes

    def _attributes(self, path: str) -> bytes:
        info = os.lstat(path)
        time_ns = FOLDER_TIME_S * 10**9 if os.path.isdir(path) else info.st_mtime_ns - self._behind_ns
        seconds, rest_ns = divmod(time_ns, 10**9)
        times = (seconds, seconds, seconds, rest_ns, rest_ns, rest_ns)
        owner = (info.st_mode, info.st_nlink, info.st_uid, info.st_gid, 0, 4096, 0)
        return struct.pack("=QQQQQQIIIIIIIIII", info.st_ino, info.st_size, info.st_blocks, *times, *owner)

    def _entries(self, path: str, offset: int, size: int) -> bytes:
        packed = b""
        for number, name in list(enumerate(sorted(os.listdir(path)), 1))[offset:]:
            encoded = os.fsencode(name)
            inode = os.lstat(os.path.join(path, name)).st_ino
            entry = struct.pack("=QQII", inode, number, len(encoded), 0) + encoded
            entry += bytes(-len(entry) % 8)
            if len(packed) + len(entry) > size:
                break
            packed += entry
        return packed


def serve(below: str, point: str, behind_s: float) -> None:
    """Mount, and answer until it is unmounted."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"object_store", os.fsencode(point), b"fuse.object_store", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
    store = ObjectStore(below, behind_s)
    while True:
        try:
            request = os.read(device, 1 << 17)
        except OSError:  # unmounted
            return
        _, operation, unique, node, *_ = HEADER.unpack_from(request)
        if operation in UNANSWERED:
            continue
        try:
            body, error = store.answer(operation, node, request[HEADER.size :]), 0
        except OSError as failed:
            body, error = b"", -(failed.errno or errno.EIO)
        os.write(device, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], float(sys.argv[3]))
