"""Which files are young enough for the history, in however old a folder."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support import process

from bridge.history.inventory import list_young

SECOND_NS = 1_000_000_000


def put(root: Path, path: str, age_s: float) -> str:
    file = root / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")
    time_ns = time.time_ns() - int(age_s * SECOND_NS)
    os.utime(file, ns=(time_ns, time_ns))
    return path


def young(root: Path, keep_s: float = 60.0) -> list[str]:
    return [file.path for file in list_young(root, time.time_ns() - int(keep_s * SECOND_NS))]


def test_young_files_come_newest_first_and_what_is_no_scan_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "2026-03-24/a.arrow", 30)
    put(tmp_path, "2026-03-24/old.arrow", 90)
    put(tmp_path, "2026-03-24/.hidden.arrow", 1)
    put(tmp_path, "2026-03-24/other.txt", 1)
    put(tmp_path, "elsewhere/c.arrow", 1)
    put(tmp_path, "2001-01-01/late.arrow", 10)
    assert young(tmp_path) == ["2001-01-01/late.arrow", "2026-03-24/a.arrow"]


def test_a_root_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        young(tmp_path / "no")


def test_a_day_folder_that_cannot_be_read_has_no_scans_or_is_an_error_as_wished(tmp_path: Path) -> None:
    put(tmp_path, "2026-03-24/a.arrow", 30)
    (tmp_path / "2026-03-24").chmod(0)
    script = """
        import pathlib, sys
        from bridge.history.inventory import list_young
        print(list_young(pathlib.Path(sys.argv[1]), 0))
        list_young(pathlib.Path(sys.argv[1]), 0, strict=True)
    """
    done = process.run([*process.as_anybody(), sys.executable, "-c", textwrap.dedent(script), tmp_path])
    assert done.stdout == "[]\n"
    assert done.stderr.splitlines()[-1] == f"PermissionError: [Errno 13] Permission denied: '{tmp_path}/2026-03-24'"
