"""What takes long to make is kept outside the checkout, for every checkout; made once, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

_in_use: list[IO[str]] = []  # locks, held until this process ends


def cached(name: str, fill: Callable[[Path], None], *, keep: int = 0) -> Path:
    """The folder of this name in the cache. `fill` is given an empty folder if there is none yet.

    With `keep`, a name is `KIND-VERSION`, and of a kind only so many stay, the last used and those in use now.

    Raises:
        whatever `fill` raises; then there is still none.
    """
    target = _cache() / name
    while True:
        lock = _lock(target, fcntl.LOCK_SH)
        if target.is_dir():
            break
        lock.close()
        with _lock(target, fcntl.LOCK_EX):
            if not target.is_dir():
                partial = target.with_name(f"{name}.partial")
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                fill(partial)
                partial.rename(target)
    _in_use.append(lock)
    os.utime(target)
    if keep:
        _remove_old(name.rpartition("-")[0], keep)
    return target


def remove_dead_locks() -> None:
    """Remove the lock file that a killed systemd-nspawn leaves beside its root, unless that root is in use."""
    for dead in place().glob(".#*.lck"):
        root = dead.with_name(dead.name.removeprefix(".#").removesuffix(".lck").removesuffix(".partial"))
        with contextlib.suppress(OSError), _lock(root, fcntl.LOCK_EX | fcntl.LOCK_NB):
            dead.unlink()


def place() -> Path:
    """Where all of it is; may be missing."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scan-bridge"


def _cache() -> Path:
    place().mkdir(parents=True, exist_ok=True)
    return place()


def _lock(target: Path, how: int) -> IO[str]:
    """Taken until it is closed."""
    lock = target.with_name(f"{target.name}.lock").open("w")
    fcntl.flock(lock, how)
    return lock


def _remove_old(kind: str, keep: int) -> None:
    folders = {path: _last_used(path) for path in _cache().glob(f"{kind}-*") if path.is_dir()}
    whole = sorted((path for path in folders if path.suffix != ".partial"), key=folders.__getitem__, reverse=True)
    for old in set(folders) - set(whole[:keep]):
        with contextlib.suppress(BlockingIOError), _lock(old.with_suffix(""), fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(old, ignore_errors=True)


def _last_used(folder: Path) -> float:
    with contextlib.suppress(FileNotFoundError):  # another test run was quicker
        return folder.stat().st_mtime
    return 0.0
