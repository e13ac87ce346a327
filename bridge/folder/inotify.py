"""Hints that something happened in the folder: inotify, through watchdog's `InotifyFD`.

Events are hints only; `listing.ScanRoot` tells what is there. Sits on `InotifyFD` (one inotify instance, one watch a
folder) rather than on watchdog's Observer, for two reasons: an Observer watches recursively by walking the whole
archive, and hands each event through three threads, while here the event loop reads the events itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import logging
import os
import struct
import termios
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from bridge.folder.listing import Folder, is_day_name, is_scan_name

log = logging.getLogger(__name__)

_GONE = InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF
ROOT_MASK = Mask(InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | _GONE | InotifyConstants.IN_ONLYDIR)
DAY_MASK = Mask(
    InotifyConstants.IN_CREATE  # link(2) into place makes no other event
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_ATTRIB  # a file made readable, or given its time, after it was closed
    | _GONE
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)

# A file that was only just created is still empty; its close or rename event comes when it is worth a look.
CREATED_DELAY_S = 0.05

# f_type of statfs(2), from linux/magic.h: file systems whose content may change without an inotify event here.
NO_EVENTS = {
    0x6969: "nfs",
    0x517B: "smb",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x01021997: "9p",
    0x65735546: "fuse",
    0x00C36400: "ceph",
    0x5346414F: "afs",
    0x6B414653: "afs",
    0x7461636F: "ocfs2",
    0x01161970: "gfs2",
    0x0BD00BD0: "lustre",
    0x786F4256: "vboxsf",
    0xAAD7AAEA: "panfs",
    0xBACBACBC: "vmhgfs",
}


def file_system_without_events(path: Path) -> str | None:
    """The name of the file system below `path` if inotify cannot see all changes there. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(256)  # struct statfs is 120 bytes; f_type is its first word
    if libc.statfs(os.fsencode(path), buffer) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))
    return NO_EVENTS.get(ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF)


@dataclass(frozen=True)
class Hints:
    """What the watcher calls."""

    file: Callable[[str, float], None]  # (path relative to ROOT, seconds to wait before it is worth a look)
    touched: Callable[[str], None]  # (path relative to ROOT) mode, owner or times changed
    list_again: Callable[[str], None]  # (reason) list ROOT at once
    day: Callable[[str], None]  # (name) a day folder appeared
    overflow: Callable[[], None]  # events were lost


class Watcher:
    """Watches on ROOT and on day folders. Not thread-safe: use it from the event loop's thread only."""

    def __init__(self, root: Path, hints: Hints) -> None:
        """Raises OSError when the kernel has no inotify instance left for us."""
        self._root = root
        self._hints = hints
        self._inotify = InotifyFD()  # a thread by class, never started: the event loop calls `read`
        self._watches: dict[Folder, tuple[WatchDescriptor, _Watch]] = {}

    def fileno(self) -> int:
        """The inotify descriptor, for the event loop."""
        return self._inotify._inotify_fd

    def read(self) -> None:
        """Take the events that wait. Call it when `fileno` is readable."""
        for event in self._inotify.read_events():
            if event.is_queue_overflow:
                self._hints.overflow()
            else:
                self._inotify.handle_event(event)

    def unread_bytes(self) -> int:
        """How much waits to be read: proof that this stage drains, or does not. Raises OSError."""
        return int(struct.unpack("i", fcntl.ioctl(self.fileno(), termios.FIONREAD, b"\0\0\0\0"))[0])

    def arm(self, folders: Iterable[Folder]) -> bool:
        """Watch these folders and no others; whether any is new, so that it must be listed once more.

        Raises OSError when the kernel's limit of watches is reached.
        """
        wanted = set(folders)
        for folder in self._watches.keys() - wanted:
            descriptor, watch = self._watches.pop(folder)
            with contextlib.suppress(OSError):
                self._inotify.remove_callbacks([(descriptor, watch.id)])
        added = False
        for folder in wanted - self._watches.keys():
            watch = _Watch(folder[0], self._hints, partial(self._lost, folder))
            path = os.fsencode(self._root / folder[0])
            try:
                descriptor = self._inotify.add_callback(path, ROOT_MASK if not folder[0] else DAY_MASK, watch, watch.id)
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone again; the next listing will tell
            if descriptor == -1:  # no permission, about which InotifyFD keeps silent
                self._inotify.remove_callbacks([(descriptor, watch.id)])
                continue
            self._watches[folder] = (descriptor, watch)
            added = True
        return added

    def close(self) -> None:
        """Drop all watches and the inotify instance."""
        self.arm(())
        self._inotify._close_resources()  # its `close` would leave that to a thread that we never started

    def _lost(self, folder: Folder) -> None:
        self._watches.pop(folder, None)
        self._hints.list_again(f"watch on {folder[0] or self._root} ended")


class _Watch:
    """watchdog's WatchCallback for one folder."""

    def __init__(self, day: str, hints: Hints, on_lost: Callable[[], None]) -> None:
        self.id = CallbackId(id(self))
        self._day = day
        self._hints = hints
        self._on_lost = on_lost

    def on_event(self, event: InotifyEvent) -> None:
        name = os.fsdecode(event.name)
        if event.mask & (_GONE | InotifyConstants.IN_UNMOUNT):
            self._hints.list_again(f"{self._day or 'ROOT'} was moved, deleted or unmounted")
        elif not self._day:
            if is_day_name(name):
                self._hints.day(name)
        elif is_scan_name(name) and event.is_attrib:
            self._hints.touched(f"{self._day}/{name}")
        elif is_scan_name(name):
            self._hints.file(f"{self._day}/{name}", CREATED_DELAY_S if event.is_create else 0.0)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        self._on_lost()

    def on_queue_overflow(self) -> None:
        self._hints.overflow()
