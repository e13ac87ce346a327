"""What a test run leaves behind when it was killed is removed after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import download_cache, leftovers, process
from support.machine import hierarchies


@pytest.mark.systemd
def test_a_control_group_is_removed_once_what_is_in_it_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / f"{leftovers.run_name()}-of-another"
    folder.mkdir()
    group = hierarchies()[0] / folder.name
    (group / "machine").mkdir(parents=True)
    join = 'echo $$ >"$1/machine/cgroup.procs" && echo joined && exec sleep 0.5'
    ending = process.start(["sh", "-c", join, "sh", group], stdout=subprocess.PIPE)
    try:
        assert ending.stdout.readline() == b"joined\n"
        leftovers.sweep(str(folder))
        assert not group.exists()
        assert not folder.exists()
    finally:
        process.kill(ending)
        leftovers.remove_group(group)


def test_the_lock_of_a_killed_machine_is_removed_unless_its_root_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    download_cache.cached("used-1", lambda folder: None)
    for name in ("used-1", "unused-1", "made-1.partial"):
        (tmp_path / "scan-bridge" / f".#{name}.lck").touch()
    run = "from support.leftovers import Watchman; Watchman().sweep()"
    environment = process.environment(XDG_CACHE_HOME=str(tmp_path), PYTHONPATH=str(Path(__file__).parents[2]))
    process.run([sys.executable, "-c", run], env=environment, check=True)
    assert [path.name for path in (tmp_path / "scan-bridge").glob(".#*")] == [".#used-1.lck"]
