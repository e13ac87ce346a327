"""Packages of nothing, as wheels and as lines of a lock, for trying installers without a network."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path


def wheel_of_nothing(folder: Path, name: str = "nothing") -> Path:
    """Version 1.0 of a package whose only module is empty; the path of its wheel in `folder`, which is there."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return path


def digest_of(wheel: Path) -> str:
    """Its SHA-256."""
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def lock_of_nothing(digest: str) -> str:
    """A lock that names version 1.0 of `nothing`, with this SHA-256."""
    return f"# made\nnothing==1.0 \\\n    --hash=sha256:{digest}\n"
