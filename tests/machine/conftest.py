"""Fixtures of the tests in a virtual machine: one that is booted with the project installed, and a bridge in it.

Hazelcast runs outside, so that it lives on when the machine does not; inside it is at the same address.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hazelcast import HazelcastClient
from support import disk_image
from support.emulated_bridge import EmulatedBridge, EmulatedWatch, bridge_in
from support.hazelcast_member import Member
from support.recorder import Recorder
from support.unmet import why_not
from support.virtual_machine import VirtualMachine
from support.watch import Inbox


@pytest.fixture(scope="session")
def emulator() -> None:
    """What a virtual machine needs is there."""
    if problem := why_not("systemd", "machine"):  # a container makes the disk
        pytest.fail(f"tests/machine boot a virtual machine: {problem}; run: make test-machine", pytrace=False)


@pytest.fixture(scope="session")
def machine(emulator: None) -> Iterator[VirtualMachine]:
    """One machine for all tests, with everything installed as a user would. Nothing is started."""
    with VirtualMachine(disk_image.installed()) as machine:
        yield machine


@pytest.fixture
def bridge(machine: VirtualMachine, member: Member, map_name: str, client: HazelcastClient) -> Iterator[EmulatedBridge]:
    """The bridge, configured for a map of its own but not started; afterwards stopped, and its traces removed."""
    bridge = bridge_in(machine, member, map_name, client)
    yield bridge
    bridge.clean()


@pytest.fixture
def recorder(client: HazelcastClient, map_name: str) -> Recorder:
    """What becomes of the bridge's map, from now on."""
    return Recorder(client, map_name)


@pytest.fixture
def emulated_watch(bridge: EmulatedBridge) -> Iterator[EmulatedWatch]:
    """The health check of the bridge, configured; the people it alerts are outside."""
    inbox = Inbox()
    bridge.machine.forward(inbox.port)
    watch = EmulatedWatch(bridge.machine, bridge, inbox)
    watch.clean()  # others have checked in this machine too
    watch.configure()
    yield watch
    watch.clean()
    inbox.close()


@pytest.fixture
def watched(emulated_watch: EmulatedWatch, recorder: Recorder) -> EmulatedWatch:
    """Scans arrive and are published, from when `recorder` listens; two checks found nothing to tell."""
    emulated_watch.bridge.log_since_the_boot()
    emulated_watch.bridge.start()
    emulated_watch.bridge.produce()
    emulated_watch.healthy()
    return emulated_watch
