"""A file put into place as a producer should: written under a hidden name, dated, renamed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def land(target: Path, data: bytes | memoryview, mtime_ns: int | None = None) -> None:
    """Write `target`, with this modification time if one is given; its folder is made if it is missing.

    Raises:
        OSError: it cannot be written. Nothing is left under the hidden name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(f".{target.name[-50:]}.tmp")  # the name may be as long as names can be
    try:
        hidden.write_bytes(data)
        if mtime_ns is not None:
            os.utime(hidden, ns=(mtime_ns, mtime_ns))
        hidden.replace(target)
    except OSError:
        with suppress(OSError):
            hidden.unlink()
        raise
