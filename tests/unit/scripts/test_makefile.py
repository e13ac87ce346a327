"""The Makefile hands on what is chosen by variables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import process

MAKEFILE = Path(__file__).parents[3] / "Makefile"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a set-up that only says which Python it was given."""
    shutil.copy(MAKEFILE, tmp_path)
    (tmp_path / "scripts").mkdir()
    for name in ("setup.sh", "install.sh"):
        script = tmp_path / "scripts" / name
        script.write_text('#!/bin/sh\necho "with ${PYTHON:-none}"\n')
        script.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("target", ["setup", "install"])
def test_the_python_to_make_it_with_is_chosen_by_the_environment_or_by_an_argument(checkout: Path, target: str) -> None:
    def given(*arguments: str, **environment: str) -> str:
        command = ("make", target, *arguments)
        return process.run(command, env=process.environment(**environment), cwd=checkout, check=True).stdout

    assert given() == "with none\n"
    assert given(PYTHON="/another/python") == "with /another/python\n"
    assert given("PYTHON=/another/python") == "with /another/python\n"


def test_what_runs_is_the_python_of_the_venv_whatever_made_it(checkout: Path) -> None:
    command = ("make", "--dry-run", "demo", "PYTHON=/another/python")
    assert ".venv/bin/python scripts/demo" in process.run(command, cwd=checkout, check=True).stdout
