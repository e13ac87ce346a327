"""Break the bridge in every way it breaks, and see: the right cause, one alert to the right people, one all-clear.

Installed as a user would, on a real systemd, against a real Hazelcast; the checks run in their unit, with its rights.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator

import pytest
from conftest import make
from hazelcast_member import Member
from machine import Machine, until
from service import UNIT, Bridge
from watch import Inbox, Watch

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]


@pytest.fixture(scope="module")
def watched_machine(boot: Callable[[], Machine]) -> Machine:
    """A machine with everything installed. Prefect's units are not started: checks are run one by one."""
    machine = boot()
    make(machine, "install")
    return machine


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def watch(watched_machine: Machine, own_member: Member, inbox: Inbox) -> Iterator[Watch]:
    """A bridge that publishes a running producer's scans, and its health check; both configured and healthy."""
    bridge = Bridge(watched_machine, own_member, "scans", own_member.client())
    watch = Watch(watched_machine, bridge, inbox)
    watch.configure()
    yield watch
    watch.clean()
    bridge.clean()


def told_once(inbox: Inbox, group: str, title: str) -> None:
    """The group was told of this problem once, and once that it is over."""
    text = [f"{message.subject}\n{message.body}" for message in inbox.to(group)]
    opened = [t for t in text if title in t and not re.search(r"resolved|over", t.splitlines()[0], re.I)]
    assert len(opened) == 1, f"{group} was told {len(opened)} times of {title}: {text}"
    assert len(text) == 2, f"{group} got {len(text)} messages: {text}"


def test_a_healthy_bridge_alerts_nobody_and_is_left_alone(watch: Watch, inbox: Inbox) -> None:
    watch.bridge.start()
    with watch.producer():
        watch.healthy()
        pid = watch.bridge.pid
        for _ in range(8):
            assert watch.check() == {}
    assert inbox.messages == []
    assert watch.bridge.pid == pid


@contextlib.contextmanager
def show(inbox: Inbox) -> Iterator[None]:
    try:
        yield
    finally:
        for m in inbox.messages:
            print("MESSAGE", m.group, m.subject, "\n", m.body)


def test_a_producer_that_stops(watch: Watch, inbox: Inbox) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
        pid = watch.bridge.pid
        watch.until_alert("stale_data (producer stopped)")
        for _ in range(3):
            watch.check()
        assert watch.bridge.pid == pid
        with watch.producer():
            watch.until_quiet()


def test_stop(watch: Watch, inbox: Inbox) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
            watch.machine.run("systemctl", "stop", UNIT)
            for _ in range(6):
                print(list(watch.check()))
            watch.machine.run("systemctl", "start", UNIT)
            watch.until_quiet()


def test_kill_loop(watch: Watch, inbox: Inbox) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
            for _ in range(5):
                until(lambda: watch.bridge.pid > 1, 30, watch.log)
                watch.bridge.kill("KILL")
            for _ in range(6):
                print(list(watch.check()))
            watch.until_quiet()


def test_freeze(watch: Watch, inbox: Inbox) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
            watch.bridge.kill("STOP")
            for _ in range(6):
                print(list(watch.check()))
            watch.until_quiet()


def test_hazelcast_killed(watch: Watch, inbox: Inbox, own_member: Member) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
            own_member.kill()
            for _ in range(6):
                print(list(watch.check()))
            own_member.start()
            watch.until_quiet()


def test_hazelcast_frozen(watch: Watch, inbox: Inbox, own_member: Member) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
            own_member.pause()
            for _ in range(6):
                print(list(watch.check()))
            own_member.resume()
            watch.until_quiet()


def test_source(watch: Watch, inbox: Inbox) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
        away = watch.bridge.root.with_name("away")
        os.rename(watch.bridge.root, away)
        for _ in range(8):
            print(list(watch.check()))
        os.rename(away, watch.bridge.root)
        with watch.producer():
            watch.until_quiet()


def test_all_bad(watch: Watch, inbox: Inbox) -> None:
    with show(inbox):
        watch.bridge.start()
        with watch.producer():
            watch.healthy()
            watch.bad_scans = True
            for _ in range(8):
                print(list(watch.check()))
            watch.bad_scans = False
            watch.until_quiet()
