"""What systemd is told: a real datagram socket stands where systemd would listen."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.service import daemon
from bridge.system.sd_notify import Notify


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@scan-bridge-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0"))
        listener.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield listener


def told(systemd: socket.socket) -> list[str]:
    """Every message so far."""
    messages = []
    systemd.setblocking(False)
    while True:
        try:
            messages.append(systemd.recv(65536).decode())
        except BlockingIOError:
            return messages


def test_each_message_has_the_words_that_systemd_knows(systemd: socket.socket) -> None:
    notify = Notify()
    notify.ready()
    notify.watchdog()
    notify.watchdog_trigger()
    notify.extend_timeout(15.0)
    notify.stopping()
    assert told(systemd) == [
        "READY=1",
        "WATCHDOG=1",
        "WATCHDOG=trigger",
        "EXTEND_TIMEOUT_USEC=15000000",
        "STOPPING=1",
    ]


def test_a_reload_is_told_with_its_time_on_the_monotonic_clock(systemd: socket.socket) -> None:
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notify().reloading()
    after_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    (message,) = told(systemd)
    reloading, at = message.split("\n")
    assert reloading == "RELOADING=1"
    assert before_us <= int(at.removeprefix("MONOTONIC_USEC=")) <= after_us


def test_the_status_is_told_when_it_changes(systemd: socket.socket) -> None:
    notify = Notify()
    for text in ("published 1", "published 1", "published 2", "published 1"):
        notify.status(text)
    assert told(systemd) == ["STATUS=published 1", "STATUS=published 2", "STATUS=published 1"]


def test_a_status_beyond_ascii_arrives_as_utf8(systemd: socket.socket) -> None:
    Notify().status("published 1 (last 2026-03-24/Prüfung λ.arrow) → prod")
    assert told(systemd) == ["STATUS=published 1 (last 2026-03-24/Prüfung λ.arrow) → prod"]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_a_status_with_line_breaks_stays_one_line_and_can_tell_nothing_else(
    systemd: socket.socket, line_break: str
) -> None:
    Notify().status(f"hazelcast away: refused{line_break}WATCHDOG=trigger")
    assert told(systemd) == ["STATUS=hazelcast away: refused WATCHDOG=trigger"]


def test_a_status_that_no_terminal_should_see_is_escaped(systemd: socket.socket) -> None:
    Notify().status("waiting for /scans\udcff\x1b[2J")
    assert told(systemd) == [r"STATUS=waiting for /scans\udcff\x1b[2J"]


def test_a_refused_configuration_is_shown_by_its_first_mistake(systemd: socket.socket) -> None:
    daemon.refuse("config.toml: source: missing\nconfig.toml: nonsense: unknown key")
    assert told(systemd) == ["STATUS=configuration not valid: config.toml: source: missing"]


def test_outside_systemd_every_call_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify = Notify()
    notify.ready()
    notify.status("x")
    notify.reloading()


def test_a_systemd_that_is_away_is_no_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nowhere"))
    Notify().ready()


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        (None, None, None),
        ("30000000", None, 30.0),
        ("30000000", "{own}", 30.0),
        ("30000000", "1", None),
        ("500000", "{own}", 0.5),
    ],
)
def test_the_watchdogs_period_is_known_if_it_is_meant_for_us(
    monkeypatch: pytest.MonkeyPatch, usec: str | None, pid: str | None, expected: float | None
) -> None:
    for variable, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(variable, raising=False)
        if value is not None:
            monkeypatch.setenv(variable, value.format(own=os.getpid()))
    assert Notify().watchdog_s == expected
