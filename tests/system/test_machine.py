"""The machine itself: it must never outlive the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
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
    with subprocess.Popen([sys.executable, "-c", BOOT], cwd=Path(__file__).parents[1], text=True, **pipes) as tests:
        assert tests.stdout is not None
        leader = Path("/proc") / tests.stdout.readline().strip()
        assert leader.exists()
        tests.kill()
    until(lambda: not leader.exists(), 30, "the machine runs on")
