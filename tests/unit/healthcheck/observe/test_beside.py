"""The configurations of all bridges of a host: a file each, in one folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge import config_file
from healthcheck.observe.beside import load_all


def write(folder: Path, name: str, instance: str, more: str = "") -> Path:
    file = folder / f"{name}.toml"
    state = "" if "health.state_dir" in more else f'health.state_dir = "{folder}/{name}"\n'
    own = {"unit": f"dolphin-scan-bridge@{name}.service", "spare_state_dir": f"{folder}/spare/{name}"}
    state += "".join(f'health.{key} = "{value}"\n' for key, value in own.items() if f"health.{key}" not in more)
    file.write_text(f'source.root = "{folder}"\nstatus.instance = "{instance}"\n{state}{more}')
    return file


def test_every_file_beside_the_plain_one_is_a_bridge_but_old_copies_of_it(tmp_path: Path) -> None:
    plain = write(tmp_path, "config", "first")
    write(tmp_path, "second", "second")
    write(tmp_path, "config.old", "old")
    (tmp_path / "second.toml.bak").write_text("no TOML")
    found = load_all(plain)
    assert found.files == {"first": plain, "second": tmp_path / "second.toml"}
    assert found.configs["second"].status.instance == "second"
    assert found.problems == {}


def test_what_else_is_toml_in_a_folder_of_ones_own_is_no_bridge(tmp_path: Path) -> None:
    plain = write(tmp_path, "config", "first")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "strategy"\n')
    broken = tmp_path / "broken.toml"
    broken.write_text("[source\n")
    found = load_all(plain)
    assert found.files == {"first": plain}
    assert list(found.problems) == [broken]


def test_one_that_cannot_be_used_is_told_and_costs_no_other(tmp_path: Path) -> None:
    plain = write(tmp_path, "config", "first")
    broken = write(tmp_path, "broken", "second", "nonsense = 1\n")
    found = load_all(plain)
    assert set(found.configs) == {"first"}
    assert "nonsense: unknown key" in found.problems[broken]


def test_two_must_not_share_an_instance_or_a_state(tmp_path: Path) -> None:
    plain = write(tmp_path, "config", "first")
    same = write(tmp_path, "same", "first")
    shared = write(tmp_path, "shared", "third", f'health.state_dir = "{tmp_path}/config"\n')
    problems = load_all(plain).problems
    assert problems[same].endswith(f"status.instance: first is that of {plain} too")
    assert problems[shared].endswith(f"is that of {plain} too")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unit", "own.service"),
        ("spare_state_dir", "/run/spare"),
        ("textfile", "/var/lib/node_exporter/scan.prom"),
        ("heartbeat_url_file", "heartbeat-url"),
    ],
)
def test_what_each_needs_for_itself_is_not_taken_from_a_copy(tmp_path: Path, key: str, value: str) -> None:
    line = f'health.{key} = "{value}"\n'
    plain, copy = write(tmp_path, "config", "first", line), write(tmp_path, "copy", "second", line)
    assert load_all(plain).problems == {copy: f"{copy}: health.{key}: {value} is that of {plain} too"}
    write(tmp_path, "copy", "second")
    assert load_all(plain).problems == {}


def test_the_units_of_other_hosts_may_be_called_alike(tmp_path: Path) -> None:
    for name in ("config", "second"):
        write(tmp_path, name, name, 'health.scope = "remote"\nhealth.unit = "dolphin-scan-bridge.service"\n')
    assert load_all(tmp_path / "config.toml").problems == {}


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder. systemd says that the unit of config.toml is enabled, and knows no other."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift\nfor unit; do\n'
        "  case $unit in dolphin-scan-bridge.service) state=enabled ;; *) state= ;; esac\n"
        '  printf "ActiveState=inactive\\nUnitFileState=%s\\n\\n" "$state"\ndone\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr(config_file, "CONFIG_DIR", folder)
    (folder / "config.toml").write_text('source.root = "/data/a"\n')
    (folder / "second.toml").write_text('source.root = "/data/b"\n')
    return folder


def test_the_file_that_is_named_counts_whatever_its_unit_does(system: Path) -> None:
    plain, second = system / "config.toml", system / "second.toml"
    assert list(load_all(plain).files.values()) == [plain]
    assert list(load_all(second).files.values()) == [second, plain]


def test_a_bridge_of_another_host_needs_no_unit_here(system: Path) -> None:
    second = system / "second.toml"
    second.write_text('source.root = "/data/b"\nhealth.scope = "remote"\n')
    assert second in load_all(system / "config.toml").files.values()


def test_a_host_may_have_named_bridges_only(tmp_path: Path) -> None:
    write(tmp_path, "second", "second")
    found = load_all(tmp_path / "config.toml")
    assert (set(found.configs), found.problems) == ({"second"}, {})
    assert len(load_all(tmp_path / "none" / "config.toml").problems) == 1
