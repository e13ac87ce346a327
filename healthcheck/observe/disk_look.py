"""The look at the disk itself: a program of its own, which `disk` starts and can end.

    python disk_look.py ROOT SCAN_DAYS GRACE_S

Writes one JSON object. It is started for each check, so it must import next to nothing.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.model.order import ScanFile


def look(root: Path, scan_days: int, grace_s: float, now_ns: int) -> dict[str, Any]:
    """What `disk.DiskView` is made of: the newest scan, and the newest that has lain there for `grace_s`."""
    from bridge.folder.listing import ScanRoot

    found = ScanRoot(root, scan_days, lambda: None).list_newest(None)
    settled_ns = now_ns - int(grace_s * 1e9)
    settled = next((file for file in found.files if max(file.mtime_ns, file.ctime_ns) <= settled_ns), None)
    newest: ScanFile | None = found.files[0] if found.files else None
    return {"state": found.state, "reason": found.reason, "newest": newest, "settled": settled}


if __name__ == "__main__":
    # Started without `site`, which would take longer than the look: what is imported lies beside this package.
    sys.path.insert(0, str(Path(__file__).parents[2]))
    answer = look(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), time.time_ns())
    print(json.dumps(answer))
