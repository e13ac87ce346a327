"""`make wheels` downloads what the locks name by the pip that Python carries; here from a folder, without a network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from support import process
from support.wheels_of_nothing import digest_of, lock_of_nothing, wheel_of_nothing

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose locks name a package of nothing, which lies in the folder `index`."""
    (tmp_path / "index").mkdir()
    lock = lock_of_nothing(digest_of(wheel_of_nothing(tmp_path / "index")))
    checkout = tmp_path / "a checkout"
    shutil.copytree(SCRIPTS, checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "requirements").mkdir()
    for name in ("build", "prefect", "uv"):
        (checkout / "requirements" / f"{name}.txt").write_text(lock)
    return checkout


@pytest.mark.exhaustive
def test_what_the_locks_name_is_downloaded_without_installing_a_pip(checkout: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/calls"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    environment = process.environment(
        PYTHON=str(python),
        WHEELS=str(tmp_path / "wheels"),
        PIP_CONFIG_FILE="/dev/null",
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(tmp_path / "index"),
        TMPDIR=str(tmp_path / "tmp"),
    )
    done = process.run([checkout / "scripts" / "install.sh", "wheels"], env=environment, check=True)
    assert [path.name for path in (tmp_path / "wheels").iterdir()] == ["nothing-1.0-py3-none-any.whl"]
    assert done.stdout.endswith(f"sudo make install WHEELS={tmp_path}/wheels\n")
    made = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("-m venv")]
    assert ["--without-pip" in line for line in made] == [True]
    assert list((tmp_path / "tmp").iterdir()) == []
