"""Whether the program on disk is still the one in memory."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from healthcheck.prefect.loaded import LoadedProgram


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that is loaded."""
    file = tmp_path / "module_of_a_test.py"
    file.write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module(file.stem)
    yield file
    del sys.modules[file.stem]


def test_a_program_that_nobody_touched_is_on_disk(module: Path) -> None:
    assert LoadedProgram().is_on_disk()


def test_a_replaced_file_is_seen_and_so_is_one_that_is_gone(module: Path) -> None:
    program = LoadedProgram()
    new = module.with_name("new")
    new.write_bytes(module.read_bytes())
    new.replace(module)
    assert not program.is_on_disk()
    program = LoadedProgram()
    module.unlink()
    assert not program.is_on_disk()


def test_another_python_by_the_same_name_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(link))
    program = LoadedProgram()
    assert program.is_on_disk()
    link.unlink()
    link.symlink_to("/bin/true")
    assert not program.is_on_disk()
