"""`make check` fails when requirements/*.txt do not fit pyproject.toml, whatever has been released meanwhile."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from support import process

ROOT = Path(__file__).parents[3]
_spec = importlib.util.spec_from_file_location("lock", ROOT / "scripts" / "lock.py")
assert _spec is not None
assert _spec.loader is not None
lock = importlib.util.module_from_spec(_spec)
sys.modules["lock"] = lock
_spec.loader.exec_module(lock)

Files = dict[str, str]


@pytest.fixture
def requirements() -> dict[str, list[str]]:
    asked: dict[str, list[str]] = lock.wanted(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    return asked


@pytest.fixture
def files(requirements: dict[str, list[str]]) -> Files:
    return {name: (ROOT / "requirements" / name).read_text() for name in requirements}


def test_the_locks_fit(requirements: dict[str, list[str]], files: Files) -> None:
    assert lock.misfits(requirements, files) == []


def test_every_file_is_checked(files: Files) -> None:
    assert set(files) == {path.name for path in (ROOT / "requirements").iterdir()}


def changed(name: str, old: str, new: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return change


def without_hashes(files: Files) -> None:
    files["build.txt"] = files["build.txt"].partition(" \\")[0] + "\n"


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed("runtime.txt", "watchdog==7.", "watchdog==6."), "for Python 3.11 is not met by 6."),
        (changed("runtime.txt", "watchdog==7.", "watchdog==7.9."), "is not what dev.txt has"),
        (changed("runtime.txt", "watchdog==", "watchdog>="), "watchdog is not exact, or has no hash"),
        (without_hashes, "setuptools is not exact, or has no hash"),
        (changed("demo.txt", "apprise==", "apricot=="), "for Python 3.13 is not met by None"),
        (changed("runtime.txt", "rich==15.0.0", "rich @ file:///rich"), "rich is not exact, or has no hash"),
        (changed("uv.txt", "Fits: ", "Fits: 0"), "was made for other requirements than pyproject.toml has now"),
    ],
)
def test_what_does_not_fit_is_said(
    requirements: dict[str, list[str]], files: Files, change: Callable[[Files], None], said: str
) -> None:
    change(files)
    assert any(said in line for line in lock.misfits(requirements, files))


@pytest.mark.exhaustive
def test_a_package_that_is_wanted_no_more_is_said(requirements: dict[str, list[str]], files: Files) -> None:
    requirements["dev.txt"].remove("selenium>=4.30,<5")
    assert lock.misfits(requirements, files) == ["dev.txt was made for other requirements than pyproject.toml has now"]


def test_a_newer_version_of_what_is_not_required_is_refused_with_its_name(tmp_path: Path) -> None:
    resolver = tmp_path / "uv"
    resolver.write_text("#!/bin/sh\necho the resolver was asked >&2; exit 1\n")
    resolver.chmod(0o755)
    command = [sys.executable, ROOT / "scripts" / "lock.py", "--uv", resolver, "--upgrade"]

    refused = process.run([*command, "hazelcast-python-clientt", "pyarrow", "all"])
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "lock.py: not among the requirements: hazelcast-python-clientt, all\n"

    # As it is written in pyproject.toml, as others write it, of one version, and what only others need.
    for package in ("hazelcast-python-client", "Hazelcast_Python.Client", "pyarrow==26.0.0", "numpy"):
        assert "the resolver was asked\n" in process.run([*command, package]).stderr
