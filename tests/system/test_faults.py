"""Break the bridge in every way it breaks, and see: the right cause, one alert to the right people, one all-clear.

Installed as a user would, on a real systemd, against a real Hazelcast; the checks run in their unit, with its rights.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest
from support.hazelcast_member import Member
from support.machine import until
from support.service import CONFIG, DAY, SCANS, UNIT
from support.watch import CHECK, PROGRAM, STATE, Inbox, Watch

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

# Where only ops is concerned: the data may be late for a moment, which is not what the test is about.
PATIENT = {"health__rules__stale_data__critical_s": "600.0"}


@contextlib.contextmanager
def masked(watch: Watch) -> Iterator[None]:
    """While inside, the unit is stopped and masked; afterwards it runs again."""
    watch.machine.run("systemctl", "mask", "--runtime", "--now", UNIT)
    try:
        yield
    finally:
        watch.machine.run("systemctl", "unmask", "--runtime", UNIT)
    watch.machine.run("systemctl", "start", UNIT)


def test_a_healthy_bridge_alerts_nobody_and_is_left_alone(watch: Watch, inbox: Inbox) -> None:
    with watch.producer():
        watch.healthy()
        pid = watch.bridge.pid
        for _ in range(3):
            assert watch.check() == {}
    assert inbox.messages == []
    assert watch.bridge.pid == pid


def test_the_producer_stops_so_ops_and_trading_are_told_and_nothing_is_restarted(watch: Watch, inbox: Inbox) -> None:
    with watch.producer():
        watch.healthy()
    pid = watch.bridge.pid
    watch.until_alert("stale_data (producer stopped)", told="trading")
    watch.check()
    assert watch.bridge.pid == pid
    with watch.producer():
        watch.until_quiet()
    inbox.told_once("stale_data (producer stopped)", "ops", "trading")


def test_an_operator_stops_the_unit_and_nothing_starts_it_again(watch: Watch, inbox: Inbox) -> None:
    with watch.producer():
        watch.healthy()
        watch.machine.run("systemctl", "stop", UNIT)
        watch.until_alert("process_stopped (stopped, not failed)", told="trading")
        watch.check()
        assert watch.bridge.show("ActiveState") == "inactive"
        watch.machine.run("systemctl", "start", UNIT)
        watch.until_quiet()
    inbox.told_once("process_stopped (stopped, not failed)", "ops", "trading")


def test_a_masked_unit_is_called_masked(watch: Watch, inbox: Inbox) -> None:
    with watch.producer():
        watch.healthy()
        with masked(watch):
            watch.until_alert("process_stopped (unit masked)", told="trading")
            watch.check()
            assert watch.bridge.show("ActiveState") == "inactive"
        watch.until_quiet()
    inbox.told_once("process_stopped (unit masked)", "ops", "trading")
    assert "nothing can start it" in inbox.to("ops")[0].body


def test_a_new_problem_before_the_old_one_is_called_over_has_its_own_title(watch: Watch, inbox: Inbox) -> None:
    watch.configure(**PATIENT, health__alerts__resolve_after_s="600.0")
    with watch.producer():
        watch.healthy()
        watch.bridge.kill("STOP")
        watch.until_alert("hazelcast (bridge cut off from Hazelcast)")
        until(lambda: watch.check()["hazelcast (bridge cut off from Hazelcast)"]["healthy_since"], 120, watch.log)
        before = len(inbox.to("ops"))
        with masked(watch):
            watch.until_standing("hazelcast (bridge cut off from Hazelcast)", "process_stopped (unit masked)")
    told = inbox.to("ops")[before:]
    assert ["process_stopped (unit masked)" in message.subject for message in told] == [True], told
    assert "bridge cut off" not in told[0].body


def test_killed_again_and_again_it_is_one_crash_alert_and_systemd_brings_it_back(watch: Watch, inbox: Inbox) -> None:
    watch.configure(**PATIENT)
    with watch.producer():
        watch.healthy()
        for _ in range(3):
            watch.machine.run("systemctl", "kill", "--signal=KILL", UNIT)
            watch.check()
        watch.until_alert("process_crash (crashed)")
        watch.until_quiet()
    inbox.told_once("process_crash", "ops")


def test_a_frozen_process_is_restarted_by_the_check(watch: Watch, inbox: Inbox) -> None:
    watch.configure(**PATIENT)
    with watch.producer():
        watch.healthy()
        frozen = watch.bridge.kill("STOP")
        watch.until_alert("hazelcast (bridge cut off from Hazelcast)")
        assert watch.bridge.pid not in (0, frozen)
        watch.until_quiet()
    inbox.told_once("hazelcast (bridge cut off from Hazelcast)", "ops")
    assert any("restarted by this check" in message.body for message in inbox.messages)


def test_a_hung_publisher_is_restarted_by_the_check_if_the_watchdog_does_not(watch: Watch, inbox: Inbox) -> None:
    watch.bridge.prepare("publish-hangs")
    watch.bridge.drop_in("no-watchdog", "[Service]\nWatchdogSec=600\n")
    watch.machine.run("systemctl", "restart", UNIT)
    with watch.producer():
        watch.healthy()
        hung = watch.bridge.pid
        watch.bridge.misbehave()
        watch.until_alert("stale_data (bridge stuck)", told="trading")
        assert watch.bridge.pid not in (0, hung)
        watch.until_quiet()
    inbox.told_once("stale_data (bridge stuck)", "ops", "trading")


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_hazelcast_is_away_so_a_restart_is_useless(watch: Watch, inbox: Inbox, own_member: Member, fault: str) -> None:
    with watch.producer():
        watch.healthy()
        pid = watch.bridge.pid
        own_member.kill() if fault == "killed" else own_member.pause()
        watch.until_alert("hazelcast (Hazelcast away)", told="trading")
        watch.check()
        own_member.start() if fault == "killed" else own_member.resume()
        watch.until_quiet()
    assert watch.bridge.pid == pid
    inbox.told_once("hazelcast (Hazelcast away)", "ops", "trading")


def test_the_source_is_gone_so_a_restart_is_useless(watch: Watch, inbox: Inbox) -> None:
    with watch.producer():
        watch.healthy()
    pid = watch.bridge.pid
    away = watch.bridge.root.with_suffix(".away")
    os.rename(watch.bridge.root, away)
    watch.until_alert("stale_data (source unmounted or unreadable)", told="trading")
    watch.check()
    os.rename(away, watch.bridge.root)
    with watch.producer():
        watch.until_quiet()
    assert watch.bridge.pid == pid
    inbox.told_once("stale_data (source unmounted or unreadable)", "ops", "trading")


def test_the_source_is_unmounted_so_a_restart_is_useless(watch: Watch, inbox: Inbox) -> None:
    folder = f"{SCANS}/{watch.bridge.root.name}"
    shutil.rmtree(watch.bridge.root / DAY)  # a mount point is empty while nothing is mounted there
    mount = ("mount", "-t", "tmpfs", "-o", "mode=755", "none", folder)
    watch.machine.run(*mount)
    with watch.producer():
        watch.healthy()
    pid = watch.bridge.pid
    watch.machine.run("umount", folder)
    watch.until_alert("stale_data (source unmounted or unreadable)", told="trading")
    watch.check()
    watch.machine.run(*mount)
    with watch.producer():
        watch.until_quiet()
    watch.machine.run("umount", folder)
    assert watch.bridge.pid == pid
    inbox.told_once("stale_data (source unmounted or unreadable)", "ops", "trading")


def test_a_day_folder_that_the_bridge_may_not_read_is_told_with_its_own_reason(watch: Watch, inbox: Inbox) -> None:
    refused = f"{SCANS}/{watch.bridge.root.name}/{DAY}: Permission denied"

    def root_says() -> str:  # who can read all of it, and so might call the bridge stuck
        said = watch.machine.run(PROGRAM, "check", "--config", CONFIG, check=False).stdout
        return said if "CRITICAL stale_data" in said else ""

    with watch.producer():
        watch.healthy()
        pid = watch.bridge.pid
        (watch.bridge.root / DAY).chmod(0o700)
        said = until(root_says, 120, watch.log)
        assert "stale_data (source unmounted or unreadable)" in said
        assert f"the bridge says of its source: {refused}" in said
        assert f"look further: namei -l {SCANS}" in said
        watch.until_alert("stale_data (source unmounted or unreadable)", told="trading")
        watch.check()
        (watch.bridge.root / DAY).chmod(0o755)
        watch.until_quiet()
    assert watch.bridge.pid == pid
    inbox.told_once("stale_data (source unmounted or unreadable)", "ops", "trading")
    assert refused in inbox.to("ops")[0].body
    assert "look further: namei -l" in inbox.to("ops")[0].body


def test_files_arrive_but_all_are_bad_so_a_restart_is_useless(watch: Watch, inbox: Inbox) -> None:
    with watch.producer():
        watch.healthy()
        pid = watch.bridge.pid
        watch.bad_scans = True
        watch.until_alert("stale_data (all new files bad)", told="trading")
        for _ in range(3):
            watch.check()
        watch.bad_scans = False
        watch.until_quiet()
    assert watch.bridge.pid == pid
    inbox.told_once("stale_data (all new files bad)", "ops", "trading")


def test_the_checks_state_finds_no_room_but_alerts_are_still_told_once(watch: Watch, inbox: Inbox) -> None:
    watch.configure(**PATIENT)
    with watch.producer():
        watch.healthy()
        full = f"mount -t tmpfs -o size=4k,mode=700 none {STATE} && chown dolphin-healthcheck: {STATE}"
        fill = f"dd if=/dev/zero of={STATE}/filler bs=4k count=1 2>/dev/null; true"
        watch.machine.run("sh", "-c", f"{full} && {fill}")
        for _ in range(3):
            watch.machine.run("systemctl", "start", CHECK)
        assert len(inbox.to("ops")) == 1
        watch.machine.run("umount", STATE)
        watch.until_quiet()
    inbox.told_once("state (state not writable)", "ops")


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        ("memory", {"health__rules__memory__warning_mb": "20.0"}),
        ("cpu", {"health__rules__cpu__warning_percent": "0.01"}),
    ],
)
def test_over_the_line_ops_is_told_and_nothing_is_restarted(
    watch: Watch, inbox: Inbox, rule: str, limit: dict[str, str]
) -> None:
    with watch.producer():
        watch.healthy()
        pid = watch.bridge.pid
        watch.configure(**PATIENT, **limit)
        watch.until_alert(f"{rule} (over the limit)")
        watch.check()
        watch.configure(**PATIENT)
        watch.until_quiet()
    assert watch.bridge.pid == pid
    inbox.told_once(f"{rule} (over the limit)", "ops")


def test_memory_over_the_critical_line_is_restarted_within_the_budget_and_then_left_alone(
    watch: Watch, inbox: Inbox
) -> None:
    with watch.producer():
        watch.healthy()
        watch.configure(**PATIENT, health__rules__memory__critical_mb="20.0", health__restarts__max="2")
        pids = set()
        for _ in range(6):
            watch.check()
            pids.add(watch.bridge.pid)
        watch.configure(**PATIENT)
        watch.until_quiet()
    assert len(pids) == 2, f"restarted other than twice: {pids}"
    assert any("restart did not help" in message.body for message in inbox.to("ops")), inbox.messages


def test_a_notifier_that_is_down_delays_the_alert_and_loses_and_doubles_nothing(watch: Watch, inbox: Inbox) -> None:
    with watch.producer():
        watch.healthy()
    inbox.broken = True
    watch.until_standing("stale_data (producer stopped)", "notifier (notifier failed)")
    assert inbox.messages == []
    inbox.broken = False
    watch.check()
    with watch.producer():
        watch.until_quiet()
    for group in ("ops", "trading"):
        stale = [message for message in inbox.to(group) if "CRITICAL: stale_data" in message.body]
        assert len(stale) == 1, inbox.to(group)


def test_a_clock_that_steps_is_told_to_ops(watch: Watch, inbox: Inbox) -> None:
    watch.configure(**PATIENT)
    with watch.producer():
        watch.healthy()
        watch.run_by("/opt/scan-bridge/bin/python /src/tests/support/check_at.py 3600")
        watch.until_alert("clock (clock stepped)")
        watch.configure(**PATIENT)
        watch.until_quiet()
    inbox.told_once("clock (clock stepped)", "ops")
