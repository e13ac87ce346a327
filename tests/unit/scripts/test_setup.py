"""The set-up: it says what a machine lacks, and that it waits for another; what has a wrong hash is not installed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import process
from support.wheels_of_nothing import digest_of, lock_of_nothing, wheel_of_nothing

SCRIPTS = Path(__file__).parents[3] / "scripts"
TOOLS = ("bash", "env", "readlink", "dirname", "cut", "python3", "unshare", "git", "make", "mvn", "javac")


def test_what_the_machine_lacks_is_said_with_the_mark_of_the_tests_that_need_it(tmp_path: Path) -> None:
    for tool in TOOLS:
        if found := shutil.which(tool):
            (tmp_path / tool).symlink_to(found)
    done = process.run(["env", f"PATH={tmp_path}", SCRIPTS / "debian.sh", "unmet"], check=True)
    assert {"browser needs chromium", "browser needs chromium-driver", "strace needs strace"} < set(
        done.stdout.splitlines()
    )
    assert "shellcheck" not in done.stdout


def test_a_set_up_that_waits_for_another_says_so(tmp_path: Path) -> None:
    cache = tmp_path / "scan-bridge"
    cache.mkdir()
    command = ["bash", "-euc", 'source "$1"; alone; echo mine', "bash", SCRIPTS / "common.sh"]
    environment = process.environment(XDG_CACHE_HOME=str(tmp_path))
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = process.start(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert waiting.stdout.readline() == f"another set-up is at work (it holds {cache}/lock); waiting for it\n"
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert waiting.communicate(timeout=60)[0] == "mine\n"
        finally:
            process.kill(waiting)
    assert process.run(command, env=environment, check=True).stdout == "mine\n"


def find_python(*modules: str, **environment: str) -> str:
    """What the scripts take; nothing if there is none."""
    command = ["bash", "-uc", 'source "$1"; shift; find_python "$@"', "bash", SCRIPTS / "common.sh", *modules]
    return process.run(command, env=process.environment(**environment)).stdout.strip()


def test_the_systems_python_comes_first_and_a_chosen_one_before_it(tmp_path: Path) -> None:
    nearest = tmp_path / "python3"
    nearest.symlink_to(sys.executable)
    path = f"{tmp_path}:{os.environ['PATH']}"
    new_enough = process.run(["/usr/bin/python3", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"])
    assert find_python(PATH=path) == ("/usr/bin/python3" if new_enough.returncode == 0 else "python3")
    assert find_python(PATH=path, PYTHON=str(nearest)) == str(nearest)
    assert find_python("a_module_that_is_not_there", PATH=path) == ""
    assert find_python(PYTHON="/bin/false") == ""


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package of nothing."""
    (tmp_path / "wheels").mkdir()
    return wheel_of_nothing(tmp_path / "wheels")


@pytest.mark.exhaustive
@pytest.mark.parametrize("is_right", [True, False])
def test_only_what_has_the_locked_hash_is_installed(tmp_path: Path, wheel: Path, is_right: bool) -> None:
    digest = digest_of(wheel) if is_right else hashlib.sha256(b"something else").hexdigest()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "some.txt").write_text(lock_of_nothing(digest))
    into = tmp_path / "into"
    places = {
        "SOURCE": str(tmp_path),
        "WHEELS": str(wheel.parent),
        "PIP_TARGET": str(into),
        "PIP_CONFIG_FILE": "/dev/null",
    }
    script = ["bash", "-uc", 'source "$1"; install_locked "$2" some', "bash", SCRIPTS / "packages.sh", sys.executable]
    done = process.run(script, env=process.environment(**places))
    assert (done.returncode == 0) is is_right
    assert (into / "nothing.py").exists() is is_right
    assert ("1 of 1 packages" in done.stdout) is is_right
    assert ("DO NOT MATCH THE HASHES" in done.stderr) is not is_right
