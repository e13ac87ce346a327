"""Hints that something happened in the folder: inotify, one watch a folder, read by the event loop.

Events are hints only; `listing.ScanRoot` tells what is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bridge.folder.day_folder import is_scan_name
from bridge.folder.listing import Folder, is_day_name
from bridge.folder.watchdog_adapter import CallbackId, Inotify, InotifyConstants, InotifyEvent, Mask, WatchDescriptor

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


@dataclass(frozen=True)
class Hints:
    """What the watcher calls. Paths are relative to ROOT."""

    completed: Callable[[str], None]  # (path) a writer closed the file, or it was renamed into place
    created: Callable[[str], None]  # (path) the file was created or linked into place: writers may be at work
    touched: Callable[[str], None]  # (path) mode, owner or times changed
    list_again: Callable[[str], None]  # (reason) list ROOT at once
    day: Callable[[str], None]  # (name) a day folder appeared
    overflow: Callable[[], None]  # events were lost


class Watcher:
    """Watches on ROOT and on day folders. Not thread-safe: use it from the event loop's thread only."""

    def __init__(self, root: Path, hints: Hints) -> None:
        """Raises OSError when the kernel has no inotify instance left for us."""
        self._root = root
        self._hints = hints
        self._inotify = Inotify()
        self._watches: dict[Folder, tuple[WatchDescriptor, _Watch]] = {}

    def fileno(self) -> int:
        """The inotify descriptor, for the event loop."""
        return self._inotify.fileno()

    def read(self) -> None:
        """Take the events that wait. Call it when `fileno` is readable."""
        if not self._inotify.dispatch():
            self._hints.overflow()

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
            watch = _Watch(folder.name, self._hints, partial(self._lost, folder))
            path = os.fsencode(self._root / folder.name)
            try:
                descriptor = self._inotify.add_callback(
                    path, ROOT_MASK if not folder.name else DAY_MASK, watch, watch.id
                )
            except (FileNotFoundError, NotADirectoryError):
                continue  # gone again; the next listing will tell
            if descriptor == -1:  # no permission, about which watchdog keeps silent
                self._inotify.remove_callbacks([(descriptor, watch.id)])
                continue
            self._watches[folder] = (descriptor, watch)
            added = True
        return added

    def close(self) -> None:
        """Drop all watches and the inotify instance."""
        self.arm(())
        self._inotify.give_up()

    def _lost(self, folder: Folder) -> None:
        self._watches.pop(folder, None)
        self._hints.list_again(f"watch on {folder.name or self._root} ended")


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
        elif is_scan_name(name):
            hints = self._hints
            hint = hints.touched if event.is_attrib else hints.created if event.is_create else hints.completed
            hint(f"{self._day}/{name}")

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        self._on_lost()

    def on_queue_overflow(self) -> None:
        self._hints.overflow()
