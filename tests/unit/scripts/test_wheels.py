"""`make wheels` downloads what the locks name by the pip that Python carries; here from a folder, without a network."""

from __future__ import annotations

import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from support import process

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose locks name a package of nothing, which lies in the folder `index`."""
    wheel = tmp_path / "index" / "nothing-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("nothing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nothing\nVersion: 1.0\n")
        archive.writestr("nothing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("nothing-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    checkout = tmp_path / "a checkout"
    shutil.copytree(SCRIPTS, checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "requirements").mkdir()
    for name in ("build", "prefect"):
        (checkout / "requirements" / f"{name}.txt").write_text(f"nothing==1.0 \\\n    --hash=sha256:{digest}\n")
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
