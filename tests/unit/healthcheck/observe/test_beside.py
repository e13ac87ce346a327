"""The configurations of all bridges of a host: a file each, in one folder."""

from __future__ import annotations

from pathlib import Path

from healthcheck.observe.beside import load_all


def write(folder: Path, name: str, instance: str, more: str = "") -> Path:
    file = folder / f"{name}.toml"
    state = "" if "state_dir" in more else f'health.state_dir = "{folder}/{name}"\n'
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


def test_a_host_may_have_named_bridges_only(tmp_path: Path) -> None:
    write(tmp_path, "second", "second")
    found = load_all(tmp_path / "config.toml")
    assert (set(found.configs), found.problems) == ({"second"}, {})
    assert len(load_all(tmp_path / "none" / "config.toml").problems) == 1
