"""The limit of memory is the lowest of the control group and those above it, of either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.system.cgroup import memory_limit_bytes

V1 = "9:memory:/system.slice/bridge.service\n1:name=systemd:/system.slice/bridge.service\n"
V2 = "0::/system.slice/bridge.service\n"
HIGH_AND_MAX = (("high", "400"), ("max", "500"))
UNLIMITED_V1 = "9223372036854771712"


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        (V2, {"system.slice/bridge.service/memory.max": "524288000"}, 524288000),
        (V2, {"system.slice/bridge.service/memory.max": "max", "system.slice/memory.max": "1000"}, 1000),
        (V2, {"system.slice/bridge.service/memory.max": "500", "system.slice/memory.max": "1000"}, 500),
        (V2, {"system.slice/bridge.service/memory.max": "max"}, None),
        (V2, {f"system.slice/bridge.service/memory.{name}": size for name, size in HIGH_AND_MAX}, 400),
        (V2, {}, None),
        (V1, {"memory/system.slice/bridge.service/memory.limit_in_bytes": "524288000"}, 524288000),
        (V1, {"memory/system.slice/bridge.service/memory.limit_in_bytes": UNLIMITED_V1}, None),
        (V1 + V2, {"unified/system.slice/bridge.service/memory.max": "700"}, 700),
        (V2, {"system.slice/bridge.service/memory.max": "garbage"}, None),
        ("", {}, None),
    ],
)
def test_the_lowest_limit_counts(tmp_path: Path, group: str, files: dict[str, str], limit: int | None) -> None:
    (tmp_path / "cgroup").write_text(group)
    for name, text in files.items():
        file = tmp_path / "sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert memory_limit_bytes(tmp_path / "cgroup", tmp_path / "sys") == limit


def test_nothing_above_the_hierarchy_is_read(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/\n")
    (tmp_path / "memory.max").write_text("1\n")
    (tmp_path / "sys").mkdir()
    assert memory_limit_bytes(tmp_path / "cgroup", tmp_path / "sys") is None


def test_what_cannot_be_read_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit_bytes(tmp_path / "none", tmp_path) is None
