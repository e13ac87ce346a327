"""The system's Python becomes another version under the installation: it is seen, and the cure is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.machine import until
from support.watch import CHECK, Watch

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

ALARM = f"dolphin-scan-bridge-alarm@{CHECK}"
# What a venv looks like to a Python of another version: its packages lie where that does not look.
HIDE = "cd -P /opt/scan-bridge/lib && mv python3.* hidden"
RESTORE = "cd -P /opt/scan-bridge/lib && [ ! -e hidden ] || mv hidden $(basename $(readlink -f ../bin/python))"


@pytest.fixture
def replaced(watch: Watch) -> Iterator[Watch]:
    with watch.producer():
        watch.publishing()
        watch.machine.run("sh", "-c", HIDE)
        try:
            yield watch
        finally:
            watch.machine.run("sh", "-c", RESTORE)
            watch.machine.run("systemctl", "reset-failed", CHECK, check=False)


def test_a_check_that_cannot_even_start_is_a_failure_and_the_alarm_names_the_cure(replaced: Watch) -> None:
    machine, bridge = replaced.machine, replaced.bridge
    pid = bridge.pid
    machine.run("systemctl", "start", CHECK, check=False)
    assert machine.show(CHECK, "Result", "ExecMainStatus") == {"Result": "exit-code", "ExecMainStatus": "1"}
    assert CHECK in machine.run("systemctl", "--failed", "--plain", "--no-legend").stdout

    def alarm() -> str:
        lines = machine.journal("--identifier=scan-bridge-alarm", f"OBJECT_SYSTEMD_UNIT={CHECK}")
        return str(lines[-1]["MESSAGE"]) if lines else ""

    assert "Run: make upgrade" in until(alarm, 60, "no alarm")
    assert "its timer" not in alarm(), "starting it again does not help"
    assert bridge.pid == pid, "the bridge runs on"


def test_a_verdict_is_no_failure(watch: Watch) -> None:
    watch.configure(health__rules__memory__warning_mb="1.0")
    with watch.producer():
        watch.publishing()
        assert "memory (over the limit)" in watch.check()
    assert watch.machine.show(CHECK, "Result") == {"Result": "success"}
