"""systemd keeps the bridge alive: whatever ends it, it publishes again; what is no crash causes no restart."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.hazelcast_member import Member
from support.machine import until
from support.service import CONFIG, RETRY, RETRY_TEMPLATE, TRIGGER, UNIT, Bridge

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

# Far longer than systemd waits for a unit to stop (TimeoutStopSec=10): what waits for it is killed, and has failed.
NEVER_S = "3600.0"


@pytest.fixture
def running(bridge: Bridge) -> Bridge:
    bridge.start()
    bridge.publishes()
    return bridge


def crashes_and_publishes_again(bridge: Bridge, result: str) -> None:
    """systemd has noted one failure, and the next scan is published by a new process."""
    bridge.publishes()
    assert bridge.results() == [result]
    assert bridge.restarts == 1
    # A scan may be in the map a moment before systemd has read READY=1.
    until(lambda: bridge.show("ActiveState") == "active", 60, bridge.log)


def retry_soon(bridge: Bridge) -> None:
    """Have the retry timer wait for one second."""
    bridge.drop_in("retry", "[Timer]\nOnActiveSec=\nOnActiveSec=1s\nAccuracySec=10ms\n", unit=RETRY_TEMPLATE)


def test_start_returns_when_the_bridge_is_ready_and_status_says_what_it_does(running: Bridge) -> None:
    assert running.show("Type") == "notify"
    assert running.show("ActiveState") == "active"
    until(lambda: running.show("StatusText").startswith("published 1 (last 2026-03-24/scan_"), 60, running.log)
    assert "hazelcast connected to" in running.show("StatusText")


def test_a_slow_start_may_take_longer_than_the_unit_allows_a_silent_one(bridge: Bridge) -> None:
    bridge.drop_in("impatient", "[Service]\nTimeoutStartSec=10\n")
    bridge.prepare("connect-fails-slowly")
    bridge.misbehave()
    bridge.start()
    assert bridge.show("ActiveState") == "active"
    assert bridge.results() == []


@pytest.mark.parametrize("name", ["KILL", "ABRT", "SEGV"])
def test_killed_by_a_signal_it_publishes_again(running: Bridge, name: str) -> None:
    running.kill(name)
    crashes_and_publishes_again(running, "signal")


@pytest.mark.parametrize("misbehaviour", ["exit", "exit-success", "raise"])
def test_ended_by_itself_it_publishes_again(bridge: Bridge, misbehaviour: str) -> None:
    bridge.prepare(misbehaviour)
    bridge.start()
    bridge.publishes()
    bridge.misbehave()
    bridge.put_scan()
    until(lambda: bridge.restarts == 1, 60, bridge.log)
    bridge.publishes()
    assert bridge.results() == ([] if misbehaviour == "exit-success" else ["exit-code"])
    if misbehaviour == "raise":
        logged = [entry["MESSAGE"] for entry in bridge.journal("-p", "crit")]
        assert any("RuntimeError: made to misbehave by a test" in message for message in logged)


def test_stopped_by_sigstop_it_is_replaced_by_the_watchdog(bridge: Bridge) -> None:
    bridge.drop_in("watchdog", "[Service]\nWatchdogSec=3\n")
    bridge.start()
    bridge.publishes()
    bridge.kill("STOP")
    until(lambda: bridge.restarts == 1, 60, bridge.log)
    crashes_and_publishes_again(bridge, "watchdog")


def test_killed_by_the_kernel_for_memory_it_publishes_again(bridge: Bridge) -> None:
    """A real OOM kill. By MemoryMax= where systemd rules over memory here; else by a limit of the host around it."""
    bridge.prepare("eat-memory")
    bridge.start()
    bridge.publishes()
    if bridge.show("MemoryCurrent").isdigit():
        hit_limit(bridge)
        assert bridge.results() == ["oom-kill"]
    else:
        with host_memory_limit(bridge, 300 * 1024**2):
            hit_limit(bridge)
        assert bridge.results() == ["signal"]  # systemd cannot see whose SIGKILL it was
    assert bridge.show("MemoryMax") == str(500 * 1024**2)
    assert bridge.show("MemoryHigh") == str(400 * 1024**2)
    bridge.publishes()


def hit_limit(bridge: Bridge) -> None:
    bridge.misbehave()
    bridge.put_scan()
    until(lambda: bridge.restarts == 1, 60, bridge.log)


@contextmanager
def host_memory_limit(bridge: Bridge, limit_bytes: int) -> Iterator[None]:
    """Put the bridge's process into a memory cgroup (v1) of this test, below the one that the test runs in."""
    own = next(line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
    group = Path("/sys/fs/cgroup/memory") / own.lstrip("/") / f"scan-bridge-test-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
        (group / "cgroup.procs").write_text(str(bridge.machine.host_pid(bridge.pid)))
        yield
        kills = dict(line.split() for line in (group / "memory.oom_control").read_text().splitlines())
        assert int(kills["oom_kill"]) == 1
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), 60, "the killed process is still there")
        group.rmdir()


def until_retrying(bridge: Bridge) -> None:
    """Wait until the retry is on its way; systemd begins it a moment after the failure."""
    until(lambda: bridge.machine.show(RETRY, "ActiveState")["ActiveState"] == "active", 60, bridge.log)


def test_fifty_crashes_in_a_row_are_slowed_down_alarmed_and_survived(bridge: Bridge) -> None:
    # The limit's interval and the timer's wait end when the test says so, however long ten crashes take here.
    machine = bridge.machine
    limits = "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=10\n[Service]\nRestartSec=20ms\n"
    bridge.drop_in("limits", limits)
    bridge.drop_in("limits", "[Timer]\nOnActiveSec=\nOnActiveSec=1h\n", unit=RETRY_TEMPLATE)
    crashes, enough = "/var/lib/scan-bridge/crashes", "/var/lib/scan-bridge/enough"
    run = f"[ -e {enough} ] && exec /opt/scan-bridge/bin/scan-bridge run --config {CONFIG}"
    command = f"{run}; echo crash >> {crashes}; exit 1"
    bridge.drop_in("crash", f"[Service]\nExecStart=\nExecStart=/bin/sh -c '{command}'\n")

    def alarms() -> list[str]:
        critical = bridge.journal("-p", "crit")
        return [entry["MESSAGE"] for entry in critical if entry["SYSLOG_IDENTIFIER"] == "scan-bridge-alarm"]

    machine.run("systemctl", "start", "--no-block", UNIT)
    for burst in range(1, 6):
        until(lambda burst=burst: len(alarms()) == burst, 60, bridge.log)
        assert machine.read(crashes).count("crash") == 10 * burst, "ten, and then it is left alone"
        assert bridge.show("ActiveState") == "failed"
        until_retrying(bridge)
        if burst < 5:
            machine.run("systemctl", "reset-failed", UNIT)
            machine.run("systemctl", "start", RETRY.replace("timer", "service"))
    assert "dolphin-scan-bridge.service has failed (exit-code exited 1)" in alarms()[0]
    machine.run("touch", enough)
    bridge.drop_in("limits", limits.replace("1h", "500ms"))
    retry_soon(bridge)
    machine.run("systemctl", "restart", RETRY)
    bridge.publishes()


def test_the_numbers_that_other_tests_shorten_are_as_promised(bridge: Bridge) -> None:
    """The retry must come after the start limit's interval, or its start would be refused: the unit would stay dead."""
    timer = bridge.machine.run("systemctl", "cat", RETRY).stdout
    assert "OnActiveSec=22s" in timer
    assert bridge.show("StartLimitIntervalUSec") == "20s"
    assert bridge.show("StartLimitBurst") == "5"
    assert bridge.show("RestartUSec") == "100ms"
    assert bridge.show("Restart") == "always"
    bridge.start()
    assert bridge.show("WatchdogUSec") == "30s"
    assert bridge.show("NotifyAccess") == "main"


def test_a_bad_config_is_named_in_status_and_does_not_crash_loop(bridge: Bridge) -> None:
    bridge.configure(source__rescan_s='"often"')
    result = bridge.machine.run("systemctl", "start", UNIT, check=False)
    assert result.returncode != 0
    assert bridge.show("ActiveState") == "failed"
    assert bridge.show("ExecMainStatus") == "78"
    assert bridge.restarts == 0
    shown = bridge.log()
    assert "source.rescan_s" in shown
    assert "often" in shown
    assert f"{CONFIG}: source.rescan_s" in bridge.show("StatusText")


def test_a_bad_config_put_right_needs_no_operator_to_start_the_bridge(bridge: Bridge) -> None:
    retry_soon(bridge)
    bridge.drop_in("limit", "[Unit]\nStartLimitIntervalSec=500ms\n")
    bridge.configure(nonsense="1")
    bridge.machine.run("systemctl", "start", UNIT, check=False)
    until(lambda: len(bridge.results()) >= 3, 60, bridge.log)
    bridge.configure()
    bridge.publishes()


def test_stopping_a_failed_bridge_also_ends_the_retrying(bridge: Bridge) -> None:
    bridge.configure(nonsense="1")
    bridge.machine.run("systemctl", "start", UNIT, check=False)
    until_retrying(bridge)
    bridge.machine.run("systemctl", "stop", UNIT)
    assert bridge.machine.show(RETRY, "ActiveState")["ActiveState"] == "inactive"


def test_a_hung_bridge_that_was_stopped_stays_stopped(bridge: Bridge) -> None:
    """It does not hear SIGTERM, so systemd kills it and calls that a failure."""
    retry_soon(bridge)
    bridge.drop_in("impatient", "[Service]\nTimeoutStopSec=1\n")
    bridge.prepare("main-loop-hangs")
    bridge.start()
    bridge.publishes()
    bridge.misbehave()
    until(lambda: bridge.machine.run("test", "-e", TRIGGER, check=False).returncode, 60, bridge.log)
    bridge.machine.run("systemctl", "stop", UNIT)
    assert bridge.results() == ["timeout"]
    service = RETRY.replace("timer", "service")
    until(lambda: bridge.machine.show(service, "ConditionTimestamp")["ConditionTimestamp"], 60, bridge.log)
    until(lambda: bridge.machine.show(service, "ActiveState")["ActiveState"] == "inactive", 60, bridge.log)
    assert bridge.pid == 0
    alarms = [entry["MESSAGE"] for entry in bridge.journal("-p", "crit")]
    assert any("stays stopped" in alarm for alarm in alarms), alarms


def pings_for(bridge: Bridge, *, periods: int) -> None:
    """Wait until pings have come for so many times two seconds, which is WatchdogSec."""
    first_us = int(bridge.show("WatchdogTimestampMonotonic"))
    ends_us = first_us + periods * 2_000_000
    until(lambda: int(bridge.show("WatchdogTimestampMonotonic")) > ends_us, 20 * periods, bridge.log)


@pytest.mark.parametrize("how", ["gone", "frozen"])
def test_an_outage_of_hazelcast_of_many_watchdog_periods_causes_no_restart(
    own_bridge: Bridge, own_member: Member, how: str
) -> None:
    own_bridge.drop_in("watchdog", "[Service]\nWatchdogSec=2\n")
    own_bridge.start()
    own_bridge.publishes()
    pid = own_bridge.pid
    if how == "gone":
        own_member.kill()
    else:
        own_member.pause()
    until(lambda: "hazelcast away" in own_bridge.show("StatusText"), 60, own_bridge.log)
    path = own_bridge.put_scan()
    pings_for(own_bridge, periods=4)
    assert own_bridge.pid == pid, own_bridge.log()
    if how == "gone":
        own_member.start()
        own_bridge.client = own_member.client()
    else:
        own_member.resume()
    until(lambda: own_bridge.latest() == path, 60, own_bridge.log)
    assert own_bridge.pid == pid
    assert own_bridge.restarts == 0


def test_hazelcast_away_at_the_start_is_no_reason_to_fail(own_bridge: Bridge, own_member: Member) -> None:
    own_bridge.drop_in("watchdog", "[Service]\nWatchdogSec=2\n")
    own_member.kill()
    own_bridge.start()
    pid = own_bridge.pid
    assert "hazelcast away" in own_bridge.show("StatusText")
    own_member.start()
    own_bridge.client = own_member.client()
    own_bridge.publishes()
    assert own_bridge.pid == pid


def test_a_missing_folder_is_waited_for_and_causes_no_restart(bridge: Bridge) -> None:
    bridge.drop_in("watchdog", "[Service]\nWatchdogSec=2\n")
    bridge.machine.run("systemctl", "start", UNIT)
    pid = bridge.pid
    until(lambda: "waiting for scans" in bridge.show("StatusText"), 60, bridge.log)
    pings_for(bridge, periods=4)
    assert bridge.pid == pid
    bridge.publishes()
    assert bridge.pid == pid


@pytest.mark.parametrize("state", ["idle", "hazelcast gone", "hazelcast frozen", "folder missing"])
def test_stop_succeeds_and_waits_for_nobody(own_bridge: Bridge, own_member: Member, state: str) -> None:
    own_bridge.configure(hazelcast__call_timeout_s=NEVER_S, hazelcast__connect_timeout_s=NEVER_S)
    own_bridge.start()
    own_bridge.publishes()
    if state == "hazelcast gone":
        own_member.kill()
    elif state == "hazelcast frozen":
        own_member.pause()
    elif state == "folder missing":
        own_bridge.root.rename(own_bridge.root.with_suffix(".away"))
        until(lambda: "waiting for scans" in own_bridge.show("StatusText"), 60, own_bridge.log)
    own_bridge.machine.run("systemctl", "stop", UNIT)
    assert own_bridge.show("Result") == "success"
    assert own_bridge.show("ExecMainStatus") == "0"


def test_reload_takes_a_good_config_without_a_new_process(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    bridge.configure(hazelcast__scan_key='"elsewhere"')
    bridge.machine.run("systemctl", "reload", UNIT)
    path = bridge.put_scan()
    until(lambda: bridge.latest("elsewhere") == path, 60, bridge.log)
    assert bridge.pid == pid
    assert bridge.show("ActiveState") == "active"


def test_reload_of_a_bad_config_fails_says_why_and_changes_nothing(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    bridge.configure(source__rescan_s="-1")
    assert bridge.machine.run("systemctl", "reload", UNIT, check=False).returncode != 0
    assert any("source.rescan_s" in entry["MESSAGE"] for entry in bridge.journal("-p", "err"))
    bridge.publishes()
    assert bridge.pid == pid


def test_sighup_with_a_bad_config_keeps_the_old_one(bridge: Bridge) -> None:
    """For those who send the signal themselves."""
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    bridge.configure(source__rescan_s="-1")
    os.kill(bridge.machine.host_pid(pid), signal.SIGHUP)
    until(lambda: any("old one stays" in entry["MESSAGE"] for entry in bridge.journal("-p", "err")), 60, bridge.log)
    bridge.publishes()
    assert bridge.pid == pid
