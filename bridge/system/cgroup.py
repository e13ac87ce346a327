"""How much memory the kernel lets this process have: the limits of its control group (MemoryHigh=, MemoryMax=).

Reads only; an answer that cannot be had is none.
"""

from __future__ import annotations

from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60  # above this, version 1 means that there is none


def memory_limit_bytes(of: Path = Path("/proc/self/cgroup"), root: Path = CGROUP_ROOT) -> int | None:
    """The lowest limit of the process's group and of those above it; None if there is none, or none is known."""
    try:
        lines = of.read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            for name in ("memory.max", "memory.high"):  # above `high` it is slowed down until it stands still
                limits += _limits(root, group, name)
                limits += _limits(root / "unified", group, name)
        elif "memory" in controllers.split(","):
            limits += _limits(root / "memory", group, "memory.limit_in_bytes")
    return min(limits, default=None)


def _limits(hierarchy: Path, group: str, name: str) -> list[int]:
    folder = hierarchy / group.lstrip("/")
    found = []
    for above in (folder, *folder.parents):
        try:
            limit = (above / name).read_text().strip()
        except OSError:
            limit = ""
        if limit.isdecimal() and int(limit) < NO_LIMIT:
            found.append(int(limit))
        if above == hierarchy:
            break
    return found
