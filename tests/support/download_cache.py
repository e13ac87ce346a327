"""What tests download is kept outside the checkout, where every checkout finds it; filled once, whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def cached(name: str, fill: Callable[[Path], None]) -> Path:
    """The folder of this name in the cache. `fill` is given an empty folder if there is none yet.

    Raises:
        whatever `fill` raises; then there is still none.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scan-bridge"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once fill it once
        if not target.is_dir():
            partial = cache / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fill(partial)
            partial.rename(target)
    return target
