"""The set-up when it was done before, wholly or in part: it ends with what is wanted, or says why not.

A checkout of its own, whose only package is one of nothing, that needs no network: pip alone is at work.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import process
from support.wheels_of_nothing import digest_of, lock_of_nothing, wheel_of_nothing

SCRIPTS = Path(__file__).parents[3] / "scripts"
# A project without requirements; its build back end hands out the wheel that is there.
PROJECT = """
[build-system]
requires = []
build-backend = "back_end"
backend-path = ["."]
"""
BACK_END = """
import pathlib, shutil
def build_editable(folder, *_):
    return pathlib.Path(shutil.copy("wheels/project-1.0-py3-none-any.whl", folder)).name
"""
JAVA = "#!/bin/sh\necho 'openjdk version \"17.0.1\" 2021-10-19' >&2\n"
# As if the jar had been found whole before.
JAR = """
source "$1"
echo jar >"$HAZELCAST_JAR"
echo "$HAZELCAST_SHA256 $(stat --format "%i %s %z" "$HAZELCAST_JAR")" >"$HAZELCAST_JAR.whole"
"""


class Checkout:
    """A checkout with the real scripts."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a checkout"
        self.cache = folder / "cache"
        self.venv = self.path / ".venv"
        shutil.copytree(SCRIPTS, self.path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        (self.path / "pyproject.toml").write_text(PROJECT)
        (self.path / "back_end.py").write_text(BACK_END)
        (self.path / "wheels").mkdir()
        (self.path / "requirements").mkdir()
        wheel_of_nothing(self.path / "wheels", "project")
        digest = digest_of(wheel_of_nothing(self.path / "wheels"))
        for name in ("build", "demo", "dev", "uv"):
            known = digest if name != "uv" else "0" * 64  # uv cannot be had
            (self.path / "requirements" / f"{name}.txt").write_text(lock_of_nothing(known))
        (folder / "java" / "bin").mkdir(parents=True)
        java = folder / "java" / "bin" / "java"
        java.write_text(JAVA)
        java.chmod(0o755)
        self.environment = process.environment(
            JAVA_HOME=str(folder / "java"),
            PIP_CONFIG_FILE="/dev/null",
            WHEELS=str(self.path / "wheels"),
            XDG_CACHE_HOME=str(self.cache),
        )
        (self.cache / "scan-bridge").mkdir(parents=True)
        process.run(["bash", "-c", JAR, "bash", SCRIPTS / "common.sh"], env=self.environment, check=True)

    def set_up(self, kind: str = "demo", **environment: str) -> str:
        """Run the set-up; what it printed."""
        command = [self.path / "scripts" / "setup.sh", kind]
        env = self.environment | {"PYTHON": sys.executable} | environment
        return process.run(command, env=env, check=True, timeout_s=240).stdout

    @property
    def module(self) -> Path:
        """What the package of nothing consists of."""
        (packages,) = self.venv.glob("lib/python3*/site-packages")
        return packages / "nothing.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.exhaustive
def test_what_is_there_is_not_made_again_nor_waits_for_anybody(checkout: Checkout) -> None:
    assert "1 of 1 packages" in checkout.set_up()
    with (checkout.cache / "scan-bridge" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert checkout.set_up() == ""
    assert "1 of 1 packages" in checkout.set_up("dev")
    assert checkout.set_up("dev") == checkout.set_up("demo") == ""


@pytest.mark.exhaustive
def test_one_that_was_broken_off_is_begun_anew(checkout: Checkout) -> None:
    checkout.set_up()
    (checkout.venv / "stamp").unlink()
    checkout.module.unlink()  # pip takes it for installed, for it is on its list
    leftover = checkout.cache / "scan-bridge" / "download.killed"
    leftover.mkdir()
    checkout.set_up()
    assert checkout.module.exists()
    assert not leftover.exists()


def test_ctrl_c_while_the_venv_is_made_ends_it_without_a_word(checkout: Checkout, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$1" != -m ] || set -- -c "print(\'at work\', flush=True); import time; time.sleep(600)"\n'
        f'exec "{sys.executable}" "$@"\n'
    )
    python.chmod(0o755)
    env = checkout.environment | {"PYTHON": str(python)}
    setting_up = process.start([checkout.path / "scripts" / "setup.sh"], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert "installing what the demo needs" in setting_up.stdout.readline()
        assert setting_up.stdout.readline() == "at work\n"
        os.killpg(setting_up.pid, signal.SIGINT)  # as a terminal does
        assert setting_up.communicate(timeout=60)[0] == "", "nothing is said, and nothing goes on that could say it"
        assert setting_up.returncode == 130
    finally:
        process.kill(setting_up)
    assert not (checkout.venv / "stamp").exists()
    assert [path.name for path in (checkout.cache / "scan-bridge").glob("download.*")] == []


@pytest.mark.exhaustive
def test_a_venv_without_pip_or_of_another_python_is_made_anew(checkout: Checkout) -> None:
    process.run([sys.executable, "-m", "venv", "--without-pip", checkout.venv], check=True)
    checkout.set_up()
    stamp = checkout.venv / "stamp"
    version = f" {sys.version_info[0]}.{sys.version_info[1]} "
    assert version in stamp.read_text()
    stamp.write_text(stamp.read_text().replace(version, " 3.10 "))
    checkout.module.unlink()
    checkout.set_up()
    assert checkout.module.exists()
    assert version in stamp.read_text()


def test_a_cache_that_cannot_be_written_is_named_and_what_to_do(checkout: Checkout) -> None:
    (checkout.cache / "scan-bridge" / "lock").mkdir()
    with pytest.raises(AssertionError, match=r"cannot write into .*scan-bridge; choose .* XDG_CACHE_HOME=DIR"):
        checkout.set_up()


def test_without_a_home_the_cache_is_in_the_one_that_the_system_knows() -> None:
    another = (
        ["setpriv", "--reuid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    )  # root's is the usual guess
    script = (SCRIPTS / "common.sh").read_text() + '\necho "$CACHE"; echo ~\n'
    command = [*another, "env", "-u", "HOME", "-u", "XDG_CACHE_HOME", "bash", "-s"]
    cache, home = process.run(command, stdin=script, check=True, cwd=Path("/")).stdout.splitlines()
    assert cache == f"{home}/.cache/scan-bridge"
    assert home.startswith("/")


@pytest.mark.root
def test_what_root_made_in_the_checkout_of_somebody_becomes_that_somebodys(tmp_path: Path) -> None:
    (tmp_path / "cache of root").mkdir()
    (tmp_path / "cache of root" / "file").touch()
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.chown(tmp_path, 12345, 12346)
    (tmp_path / "of another").touch()
    os.chown(tmp_path / "of another", 1, 1)
    process.run(["bash", "-euc", 'source "$1"; give_back', "bash", SCRIPTS / "common.sh"], cwd=tmp_path, check=True)
    owners = {path.name: (path.lstat().st_uid, path.lstat().st_gid) for path in tmp_path.rglob("*")}
    his = (12345, 12346)
    assert owners == {"cache of root": his, "file": his, "link": his, "of another": (1, 1)}
    assert Path("/etc/passwd").stat().st_uid == 0
