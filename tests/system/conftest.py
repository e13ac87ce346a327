"""Fixtures of the system tests: a booted machine with the project installed, and the bridge as a service in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hazelcast import HazelcastClient
from support import image
from support.hazelcast_member import Member
from support.install import SOURCE, WHEELS, installed
from support.machine import Machine
from support.service import SCANS, Bridge
from support.watch import Inbox, Watch

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Machine]]:
    """Boots a machine from a root: the checkout is at /src, read-only; wheels at /wheels; a folder for scans."""
    wheels = image.wheelhouse()
    booted: list[Machine] = []

    def boot(root: Path) -> Machine:
        scans = tmp_path_factory.mktemp("scans")
        scans.chmod(0o755)  # the bridge reads it as its own user
        machine = Machine(root, binds={scans: SCANS}, binds_ro={image.REPOSITORY: SOURCE, wheels: WHEELS})
        booted.append(machine)
        return machine.__enter__()

    yield boot
    for machine in booted:
        machine.stop()


@pytest.fixture(scope="session")
def machine(boot: Callable[[Path], Machine]) -> Machine:
    """One machine for many tests, with everything installed as a user would. Nothing is started."""
    return boot(installed())


@pytest.fixture
def fresh(boot: Callable[[Path], Machine]) -> Iterator[Machine]:
    """A bare machine for one test: nothing is installed."""
    machine = boot(image.rootfs())
    yield machine
    machine.stop()


@pytest.fixture
def bridge(machine: Machine, member: Member, map_name: str, client: HazelcastClient) -> Iterator[Bridge]:
    """The bridge, configured for a map of its own but not started; afterwards stopped, and its traces removed."""
    bridge = Bridge(machine, member, map_name, client)
    bridge.configure()
    yield bridge
    bridge.clean()


@pytest.fixture
def own_bridge(machine: Machine, own_member: Member) -> Iterator[Bridge]:
    """The same with a Hazelcast member of its own, to stop or freeze."""
    bridge = Bridge(machine, own_member, "scans", own_member.client())
    bridge.configure()
    yield bridge
    bridge.clean()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def watch(request: pytest.FixtureRequest, machine: Machine, inbox: Inbox, worker_id: str) -> Iterator[Watch]:
    """A bridge and its health check, configured, the bridge running; on the test's own member if it asks for that."""
    member: Member = request.getfixturevalue("own_member" if "own_member" in request.fixturenames else "member")
    client = member.client()
    bridge = Bridge(machine, member, f"faults_{worker_id}_{next(_numbers)}", client)
    watch = Watch(machine, bridge, inbox)
    watch.configure()
    bridge.start()
    yield watch
    watch.clean()
    bridge.clean()
    client.shutdown()
