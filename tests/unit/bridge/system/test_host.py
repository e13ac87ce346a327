"""What tells this host from another one of its name."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.system.host import host_id


def test_it_is_made_from_the_machine_id_and_does_not_show_it(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    found = set()
    for machine_id in ("4f1c" * 8, "4f1d" * 8):
        file.write_text(f"{machine_id}\n")
        found.add(host_id(file))
        assert re.fullmatch("[0-9a-f]{12}", host_id(file))
        assert host_id(file) not in machine_id
    assert len(found) == 2


def test_a_machine_without_an_id_has_none(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    assert host_id(file) == ""
    for nothing in ("", "\n", "uninitialized\n"):
        file.write_text(nothing)
        assert host_id(file) == ""
