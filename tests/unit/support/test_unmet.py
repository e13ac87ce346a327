"""What a machine lacks for tests of a mark is said in one line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.unmet import why_not

TOOLS = ("bash", "env", "readlink", "dirname", "python3", "unshare")


def test_what_is_missing_for_some_marks_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in TOOLS:
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    (tmp_path / "strace").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_not("strace") is None
    assert "needs maven" in (why_not("java") or "")
    both = why_not("rsync", "java") or ""
    assert {"needs maven", "needs rsync"} < set(both.split(", "))
