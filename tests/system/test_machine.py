"""The machine itself: it must never outlive the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import process
from support.machine import Machine, until

pytestmark = pytest.mark.systemd


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
