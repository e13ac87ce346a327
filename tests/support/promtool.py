"""Prometheus' own checker, `promtool`: the machine's, or the one taken out of Debian's package.

The package is unpacked, never installed: installed, it would start a Prometheus that listens to the world.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from support import process
from support.download_cache import cached

DOWNLOAD_S = 300.0


def promtool(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end. Skips the test where there is none; in CI, a skipped test counts as failed."""
    return process.run([_program(), *arguments], stdin=stdin or "", timeout_s=DOWNLOAD_S)


@cache
def _program() -> Path:
    if found := shutil.which("promtool"):
        return Path(found)
    if not shutil.which("apt-get"):
        pytest.skip("no promtool here; install Prometheus")
    try:
        return cached("promtool", _unpack) / "usr" / "bin" / "promtool"
    except (AssertionError, subprocess.TimeoutExpired, OSError) as error:
        pytest.skip(f"no promtool here, and it cannot be downloaded ({error}); run: apt-get install prometheus")


def _unpack(folder: Path) -> None:
    def run(*command: str) -> None:
        environment = process.environment(downloads=True)
        process.run(command, cwd=folder, env=environment, check=True, timeout_s=DOWNLOAD_S)

    try:
        run("apt-get", "-qq", "download", "prometheus")
    except AssertionError:
        if os.geteuid() != 0:
            raise
        run("apt-get", "-qq", "update")  # no list of packages yet, or an old one
        run("apt-get", "-qq", "download", "prometheus")
    (package,) = folder.glob("*.deb")
    run("dpkg-deb", "--extract", str(package), ".")
    for rest in [package, *folder.glob("usr/bin/prometheus")]:
        rest.unlink()
