"""`make test` on a machine that lacks something: what cannot run is said first and last, all else runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support import process

SCRIPTS = Path(__file__).parents[3] / "scripts"
# Nothing can be installed, for want of a network.
DEBIAN = """#!/bin/sh
[ "$1" = unmet ] || exit 1
echo "machine needs qemu-system-x86"
echo "browser needs chromium"
echo "browser needs chromium-driver"
"""
BROWSER = "browser (needs chromium and chromium-driver)"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The real test.sh between others that only say that they were called."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("common.sh", "test.sh"):
        shutil.copy(SCRIPTS / name, tmp_path / "scripts")
    for name, text in (
        ("scripts/debian.sh", DEBIAN),
        ("scripts/setup.sh", "#!/bin/sh\necho set up\n"),
        (".venv/bin/python", '#!/bin/sh\necho "run: $*"\nexit "${STATUS:-0}"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path / "scripts" / "test.sh"


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return process.run([script, *arguments], env=process.environment(WORKERS="3", **environment))


@pytest.mark.parametrize("status", [0, 1])
def test_what_cannot_run_is_said_first_and_last_and_the_rest_decides(script: Path, status: int) -> None:
    done = run(script, "-k", "some", STATUS=str(status))
    first, set_up, ran, last = done.stdout.splitlines()
    assert first.startswith(f"make test: tests with these marks cannot run here: {BROWSER}")
    assert last == first
    assert (set_up, ran) == ("set up", "run: -m pytest --numprocesses 3 --dist loadgroup -k some")
    assert done.returncode == status


def test_what_only_an_emulated_machine_needs_is_said_where_these_tests_are_asked_for(script: Path) -> None:
    done = run(script, "tests/machine")
    assert done.stdout.startswith("make test-machine: tests with these marks cannot run here: ")
    assert "machine (needs qemu-system-x86)" in done.stdout.splitlines()[-1]


def test_in_ci_nothing_runs_where_something_cannot(script: Path) -> None:
    done = run(script, CI="true")
    assert done.returncode == 1
    assert BROWSER in done.stdout
    assert "run: " not in done.stdout
