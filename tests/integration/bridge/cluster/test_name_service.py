"""A name service that is out of order, or names with no address, hold up nothing but the connection they are for."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import process
from support.bridge_process import COMMAND, NewBridge, Target

NAMES = [f"hazelcast-{number}.example" for number in range(12)]  # more than asyncio's executor has threads
NOWHERE = Target("192.0.2.1:5701", "dev", "scans")
HAZELCAST = {"members": [f"{name}:5701" for name in NAMES], "connect_timeout_s": 0.5}


@pytest.fixture
def no_answer(as_root: None, tmp_path: Path) -> Iterator[list[str]]:
    """A prefix for a command: for it, the name service hears each question and never answers."""
    address = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.{random.randrange(1, 255)}"
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"nameserver {address}\noptions timeout:30 attempts:5\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind((address, 53))
        mount_it = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        yield ["unshare", "--mount", "sh", "-c", mount_it, str(resolv_conf)]


@pytest.mark.root
def test_an_outage_of_the_name_service_is_no_hang(new_bridge: NewBridge, no_answer: list[str]) -> None:
    options = {"source": {"watch_mode": "polling", "poll_s": 0.1}, "hazelcast": HAZELCAST}
    watchdog = {"WATCHDOG_USEC": "3000000"}  # a stage silent for 2 s hangs
    bridge = new_bridge(target=NOWHERE, prefix=no_answer, environment=watchdog, **options).start()
    bridge.wait_status_line("the name service did not answer within 0.5 s")

    elsewhere = bridge.root.with_name("elsewhere")
    bridge.root.rename(elsewhere)
    bridge.wait_status_line("does not exist")  # looks at the folder go on
    elsewhere.rename(bridge.root)
    bridge.wait_status_line("has no day folder")

    assert "no progress" not in bridge.log()
    assert "WATCHDOG=trigger" not in bridge.notified
    assert bridge.terminate() == 0


@pytest.mark.root
def test_a_command_ends_at_its_deadline_though_the_name_service_does_not_answer(
    new_bridge: NewBridge, no_answer: list[str]
) -> None:
    config_path = new_bridge(target=NOWHERE, hazelcast={**HAZELCAST, "members": ["hazelcast.example:5701"]}).config_path

    done = process.run([*no_answer, *COMMAND, "status", "--config", config_path], timeout_s=30)

    assert done.returncode == 69
    reason = "the name service did not answer within 0.5 s"
    assert done.stderr == f"scan-bridge: Hazelcast dev@hazelcast.example:5701 cannot be reached: {reason}\n"


def test_a_name_that_does_not_exist_is_said(new_bridge: NewBridge) -> None:
    bridge = new_bridge(target=Target("hazelcast.invalid:5701", "dev", "scans"), log={"level": "error"}).start()

    bridge.wait_status_line("hazelcast away (dev@hazelcast.invalid:5701): ")
    line = bridge.wait_status_line("name")
    assert "name resolution" in line or "Name or service not known" in line
