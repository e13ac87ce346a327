"""What a test run leaves behind when it was killed is removed after it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import leftovers, process
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
