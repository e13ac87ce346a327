"""A folder on a dead file system, as one on a dead NFS server: it costs one process that cannot be killed, not many."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prefect_server import eventually

from bridge.config import Source
from healthcheck.check import Inspector
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.model.observation import DiskView, value_of
from healthcheck.observe import commands, disk_look, side_by_side
from healthcheck.observe.commands import CommandTimeout

pytestmark = [pytest.mark.root, pytest.mark.fuse]


@pytest.fixture
def dead_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose file system has taken the question and never answers: who asks cannot even be killed.

    Its server hangs because what lies below is served by another one, which is stopped.
    """
    disk, below, point = tmp_path / "disk", tmp_path / "below", tmp_path / "scans"
    servers = []
    try:
        for source, target in ((disk, below), (below, point)):
            source.mkdir(exist_ok=True)
            target.mkdir()
            servers.append(subprocess.Popen(["bindfs", "-f", "--multithreaded", str(source), str(target)]))
            eventually(lambda target=target: os.path.ismount(target), 30, "bindfs does not mount")
        servers[0].send_signal(signal.SIGSTOP)
        yield point
    finally:
        for server in servers:
            server.kill()
            server.wait()
        for target in (point, below):
            subprocess.run(["umount", "--lazy", str(target)], check=False)


def looks_at(folder: Path) -> list[int]:
    """The processes that look at the folder."""
    found = []
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if (
                str(folder).encode() in (text := cmdline.read_bytes().split(b"\0"))
                and disk_look.__file__.encode() in text
            ):
                found.append(int(cmdline.parent.name))
        except OSError:
            continue
    return found


def test_a_program_that_cannot_be_killed_is_known_within_the_deadline_of_its_probe(dead_folder: Path) -> None:
    def left_behind() -> bool:
        outcome = side_by_side.run({"disk": lambda: commands.run(["stat", str(dead_folder)], 0.8)}, 1.0)["disk"]
        return isinstance(outcome, CommandTimeout) and outcome.left is not None

    eventually(left_behind, 60, "its process is not known")  # a busy machine may take longer than a deadline


def test_only_one_look_at_a_time_hangs_however_often_one_looks(dead_folder: Path, tmp_path: Path) -> None:
    config = HealthConfig(
        source=Source(root=dead_folder),
        hazelcast={"members": ["127.0.0.1:1"], "connect_timeout_s": 0.1},
        health=Health(scope="local", state_dir=tmp_path, spare_state_dir=tmp_path, probe_timeout_s=8.0),
    )
    inspector = Inspector(config)

    def view() -> DiskView | None:
        return value_of(inspector.inspect().snapshot.disk)

    def has_hung() -> bool:
        seen = view()
        return seen is not None and "still hangs in the kernel" in seen.reason

    eventually(has_hung, 120, "no look has hung")  # on a busy machine the first ones end before they begin
    for _ in range(2):
        assert (seen := view()) is not None
        assert seen.state == "unreadable"
    assert len(looks_at(dead_folder)) == 1
