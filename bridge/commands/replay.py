"""`scan-bridge replay`: writes an archive's scans again, at their recorded pace or faster, with the times of now.

So a strategy can be tried against yesterday through a real bridge. Nothing is ever written outside `--into`, nothing in
there is replaced, and nothing of the archive is touched. The command line imports this module for its arguments, so
what costs memory is imported late.
"""

from __future__ import annotations

import argparse
import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.commands.arguments import folder, moment, positive_number
from bridge.system import interrupt

if TYPE_CHECKING:
    from bridge.commands.recording import Recorded

FAREWELL_S = 2.0  # for the scan that is being written, and the last line, if somebody reads it
PROGRESS_S = 0.5
PIECE_BYTES = 1 << 20
LATEST_S = 253_402_300_799.0  # the end of the year 9999; some file systems know later ones
# What file systems answer that have no hard links: FAT, exFAT, many of FUSE, some network shares.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ReplayError(Exception):
    """It cannot begin, or not go on. The message is one line that says what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `scan-bridge replay`, read by `run`."""
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="folder with the recorded day folders")
    parser.add_argument("--into", type=folder, required=True, metavar="DIR", help="where to; made if missing")
    times = "recorded at this time or {}: 2026-03-24T08:00, UTC, or 2026-03-24T09:00+01:00"
    parser.add_argument("--from", dest="first", type=moment, metavar="TIME", help=f"scans {times.format('later')}")
    parser.add_argument("--to", dest="last", type=moment, metavar="TIME", help=f"scans {times.format('earlier')}")
    parser.add_argument(
        "--speed", type=positive_number, default=1.0, metavar="X", help="so many times the recorded pace (default: 1)"
    )


def run(args: argparse.Namespace) -> int:
    """Write until all is written, or SIGINT or SIGTERM. Exit status 0, or 1 with one line why."""
    from bridge.commands.recording import list_recorded

    stop = interrupt.stop_on_signal(FAREWELL_S)
    try:
        _check_apart(args.archive, args.into)
        scans = list_recorded(args.archive, args.first, args.last)
        if not scans:
            raise ReplayError(f"{args.archive}: no scans (YYYY-MM-DD/*.arrow) of that time")
        _replay(scans, args, stop)
    except (ReplayError, OSError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        print(f"replay: {reason}", file=sys.stderr)
        return 1
    return 0


def _check_apart(archive: Path, into: Path) -> None:
    """Refuse a target that is the archive or lies in it, by whatever name, link or bind mount it is reached."""
    from bridge.folder.listing import is_day_name

    with os.scandir(archive) as entries:  # a bind mount of one of its folders has other parents
        folders = [str(archive), *(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))]
    sources = {(info.st_dev, info.st_ino) for info in map(os.stat, folders)}
    target, source = into.resolve(), archive.resolve()
    for parent in (target, *target.parents):
        with suppress(FileNotFoundError):
            info = parent.stat()
            if (info.st_dev, info.st_ino) in sources:
                raise ReplayError(f"{into} is {archive} or lies in it; give --into a folder elsewhere")
    if source.parent == target and is_day_name(source.name):
        raise ReplayError(f"{archive} is a day folder of {into}, and may be today's; give --into a folder elsewhere")


def _replay(scans: list[Recorded], args: argparse.Namespace, stop: threading.Event) -> None:
    begin_s, begin_ns, missing = time.monotonic(), scans[0].mtime_ns, 0
    lasts_s = (scans[-1].mtime_ns - begin_ns) / 1e9 / args.speed
    print(f"writing {len(scans)} scans into {args.into} within {_span(lasts_s)}; Ctrl-C stops", flush=True)
    written, clock = 0, _Clock()
    with _folder(args.into) as into, _Progress(len(scans), begin_s + lasts_s) as progress:
        for scan in scans:
            due_s = begin_s + (scan.mtime_ns - begin_ns) / 1e9 / args.speed
            while (wait_s := due_s - time.monotonic()) > 0 and not stop.is_set():
                progress.show(written, scan)
                stop.wait(min(wait_s, PROGRESS_S))
            if stop.is_set():
                break
            try:
                _copy(args.archive / scan.path, into, clock)
                written += 1
            except FileNotFoundError:  # the archive is tidied up meanwhile
                missing += 1
            progress.show(written, scan)
    gone = f"; {missing} were gone from the archive by then" if missing else ""
    print(f"wrote {written} of {len(scans)} scans{gone}")


def _copy(source: Path, into: int, clock: _Clock) -> None:
    """Copy a scan into today's day folder below `into`, under its own name or the next free one, by a link.

    Raises:
        FileNotFoundError: the scan is gone.
        ReplayError: it is no file, or there is no room.
    """
    try:
        reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReplayError(f"{_shown(str(source))}: {error.strerror}") from error
    with open(reading, "rb") as scan, _day_folder(into) as day:
        if not stat.S_ISREG(os.fstat(reading).st_mode):
            raise ReplayError(f"{_shown(str(source))}: not a regular file")
        temporary = f".{source.name[-50:]}.{os.getpid()}.tmp"  # the name may be as long as names can be
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o644, dir_fd=day), "wb") as copy:
                while piece := scan.read(PIECE_BYTES):
                    copy.write(piece)
            os.utime(temporary, ns=(clock.next_ns(),) * 2, dir_fd=day, follow_symlinks=False)
            _name(temporary, source, day)
        except OSError as error:
            raise ReplayError(f"cannot write {_shown(source.name)}: {error.strerror}") from error
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=day)


def _name(temporary: str, source: Path, day: int) -> None:
    """Give the file its name, or a numbered one: what has the name already is never replaced."""
    for number in count(1):
        name = source.name if number == 1 else f"{source.stem}-{number}{source.suffix}"
        with suppress(FileExistsError):
            _put_under(name, temporary, day)
            break


def _put_under(name: str, temporary: str, day: int) -> None:
    """Raises FileExistsError, and other OSErrors."""
    try:
        os.link(temporary, name, src_dir_fd=day, dst_dir_fd=day, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Renaming replaces what is there, so the name is taken with an empty file of our own first.
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=day))
        try:
            os.rename(temporary, name, src_dir_fd=day, dst_dir_fd=day)
        except OSError:
            os.unlink(name, dir_fd=day)
            raise


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """The folder `path`, made if it is missing, to write below it whatever is moved or linked meanwhile."""
    path.mkdir(exist_ok=True)
    handle = os.open(path.resolve(), FOLDER)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _day_folder(into: int) -> Iterator[int]:
    name = f"{datetime.now(UTC):%Y-%m-%d}"
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=into)
    except FileNotFoundError as error:
        raise ReplayError("the folder to write into is gone") from error
    try:
        handle = os.open(name, FOLDER, dir_fd=into)
    except OSError as error:  # a symbolic link, or a file
        raise ReplayError(f"{name} in the folder to write into is no folder of its own: {error.strerror}") from error
    try:
        yield handle
    finally:
        os.close(handle)


class _Clock:
    """The time of now, never the same twice: the kernel's own times of files stand still for milliseconds."""

    def __init__(self) -> None:
        self._last_ns = 0

    def next_ns(self) -> int:
        """Nanoseconds since 1970, later than any before."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        return self._last_ns


class _Progress:
    """One line on a terminal, drawn anew twice a second; nothing where output goes elsewhere."""

    def __init__(self, total: int, end_s: float) -> None:
        self._total = total
        self._end_s = end_s
        self._on_terminal = sys.stdout.isatty()
        self._next_s = 0.0

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._on_terminal:
            print("\r\x1b[K", end="")

    def show(self, written: int, scan: Recorded) -> None:
        """Say how far it is; `scan` is the next, or the last written."""
        now_s = time.monotonic()
        if not self._on_terminal or now_s < self._next_s:
            return
        self._next_s = now_s + PROGRESS_S
        recorded_s = min(scan.mtime_ns / 1e9, LATEST_S)
        recorded = datetime.fromtimestamp(recorded_s, UTC).isoformat(sep=" ", timespec="seconds")
        left = _span(max(0.0, self._end_s - now_s))
        print(f"\r\x1b[K{written} of {self._total} scans, at {recorded[:19]} UTC, {left} left", end="", flush=True)


def _shown(path: str) -> str:
    from bridge.model.order import printable

    return printable(path)


def _span(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {seconds} s"
