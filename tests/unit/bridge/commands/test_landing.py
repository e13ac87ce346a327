"""A file put into place: under its name, with its time, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.commands.landing import land


@pytest.mark.parametrize("name", ["a.arrow", "l" * 249 + ".arrow", "\N{GRINNING FACE}" * 62 + ".arrow"])
def test_whatever_its_name_it_lies_there_alone_with_its_time(tmp_path: Path, name: str) -> None:
    land(tmp_path / "2026-03-24" / name, b"scan", mtime_ns=1_774_339_200 * 10**9)
    [file] = (tmp_path / "2026-03-24").iterdir()
    assert (file.name, file.read_bytes(), file.stat().st_mtime_ns) == (name, b"scan", 1_774_339_200 * 10**9)
