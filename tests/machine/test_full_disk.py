"""No room left: the bridge publishes without writing anything, and starts where systemd can; nothing is set aside."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from support.emulated_bridge import EmulatedBridge
from support.machine import until
from support.service import DAY, UNIT
from support.virtual_machine import VirtualMachine

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1800)]

STATE = "/var/lib/scan-bridge"
# Ever smaller pieces, none of which is written.
TAKE_ROOM = """
cd "$1"; n=0; kb=4194304
while [ $kb -ge 4 ]; do
  if fallocate -l ${kb}K $n 2>/dev/null; then n=$((n + 1)); else rm -f $n; kb=$((kb / 2)); fi
done
"""
TAKE_INODES = 'cd "$1"; seq 300000 | xargs touch 2>/dev/null; true'


@contextlib.contextmanager
def full(machine: VirtualMachine, folder: str, take: str, user: str) -> Iterator[None]:
    """While inside, the file system of `folder` has nothing left for this user."""
    filler = f"{folder}/filler"
    machine.run("install", "-d", "-o", user, filler)
    try:
        machine.run("sh", "-c", take, "sh", filler, user=user, timeout_s=400)
        refused = machine.run("sh", "-c", f"echo something >{filler}/one-more", user=user, check=False)
        assert refused.returncode != 0
        yield
    finally:
        machine.run("rm", "-r", filler, timeout_s=400)


@pytest.fixture
def scans_elsewhere(bridge: EmulatedBridge) -> Iterator[EmulatedBridge]:
    """Started; its scans lie on a file system of their own."""
    machine = bridge.machine
    machine.run("mount", "-t", "tmpfs", "tmpfs", bridge.folder)
    machine.run("mkdir", f"{bridge.folder}/{DAY}")
    bridge.start()
    bridge.publishes()
    yield bridge
    machine.run("umount", "--lazy", bridge.folder)


@pytest.mark.parametrize(
    ("folder", "take", "user"),
    [
        # Of the last twentieth of / only root can take.
        pytest.param("/", TAKE_ROOM, "games", id="room-on-root"),
        pytest.param("/run", TAKE_ROOM, "root", id="room-on-run"),
        pytest.param("/run", TAKE_INODES, "root", id="inodes-on-run"),
    ],
)
def test_it_publishes_and_starts_with_nothing_left_on(
    scans_elsewhere: EmulatedBridge, folder: str, take: str, user: str
) -> None:
    bridge = scans_elsewhere
    with full(bridge.machine, folder, take, user):
        bridge.publishes()
        bridge.kill("KILL")
        bridge.publishes()
    bridge.publishes()
    assert "bad scan" not in bridge.log()


@pytest.mark.parametrize("take", [pytest.param(TAKE_ROOM, id="room"), pytest.param(TAKE_INODES, id="inodes")])
def test_where_even_root_can_write_nothing_it_publishes_and_once_killed_is_back_when_there_is_room(
    scans_elsewhere: EmulatedBridge, take: str
) -> None:
    """systemd makes no sandbox without room in /tmp: it keeps trying."""
    bridge = scans_elsewhere
    with full(bridge.machine, "/", take, "root"):
        bridge.publishes()
        bridge.kill("KILL")
        until(lambda: bridge.show("ActiveState") == "failed", 240, bridge.log)
    bridge.publishes()
    assert "bad scan" not in bridge.log()


@pytest.mark.parametrize(
    ("options", "files"),
    [
        pytest.param("size=4k,nr_inodes=1", (), id="inodes"),
        pytest.param("size=4k", ("filler",), id="room"),
    ],
)
def test_with_nothing_left_in_its_state_folder_it_starts_and_publishes_again_and_again(
    scans_elsewhere: EmulatedBridge, options: str, files: tuple[str, ...]
) -> None:
    bridge = scans_elsewhere
    machine = bridge.machine
    machine.run("systemctl", "stop", UNIT)
    machine.run("mount", "-t", "tmpfs", "-o", options, "tmpfs", STATE)
    try:
        for name in files:
            machine.run("fallocate", "-l", "4K", f"{STATE}/{name}")
        machine.run("systemctl", "start", UNIT)
        bridge.publishes()
        bridge.kill("KILL")
        bridge.publishes()
        assert bridge.restarts == 1
        assert machine.run("find", STATE, "-size", "+0", "-not", "-name", "filler", "-type", "f").stdout == ""
    finally:
        machine.run("systemctl", "stop", UNIT)
        machine.run("umount", STATE)
    assert "bad scan" not in bridge.log()
