"""The machine itself: it must never outlive the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import process
from support.machine import Machine, hierarchies, until

pytestmark = pytest.mark.systemd


# As `make bench` does, which is no test.
ALONE = """
from support import leftovers
watchman = leftovers.Watchman()
print(leftovers.run_name(), flush=True)
"""
BOOT = """
from support import image, machine
m = machine.Machine(image.rootfs()).__enter__()
print(m.leader, flush=True)
input()
"""


def test_a_machine_goes_down_with_the_tests_even_if_these_are_killed(boot: Callable[[Path], Machine]) -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    tests = process.start([sys.executable, "-c", BOOT], cwd=Path(__file__).parents[1], text=True, **pipes)
    assert tests.stdout is not None
    leader = Path("/proc") / tests.stdout.readline().strip()
    assert leader.exists()
    process.kill(tests)
    until(lambda: not leader.exists(), 60, "the machine runs on")


def test_nothing_is_left_of_a_machine_without_tests_whose_owner_is_killed(boot: Callable[[Path], Machine]) -> None:
    environment = {name: value for name, value in process.environment().items() if name not in ("TEST_RUN", "TMPDIR")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-c", ALONE + BOOT]
    owner = process.start(command, cwd=Path(__file__).parents[1], env=environment, text=True, **pipes)
    assert owner.stdout is not None
    run = owner.stdout.readline().strip()
    groups = [hierarchy / run for hierarchy in hierarchies()]
    leader = Path("/proc") / owner.stdout.readline().strip()
    assert leader.exists()
    assert all(group.is_dir() for group in groups)
    process.kill(owner)
    until(lambda: not leader.exists() and not any(group.exists() for group in groups), 60, "something is left")
