"""The bridge's log in the journal: priorities, fields, nothing twice."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.hazelcast_member import Member
from support.machine import until
from support.service import DAY, UNIT, Bridge

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

PID1 = "1"


def own(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the bridge itself wrote, without systemd's lines about it."""
    return [entry for entry in entries if entry["_PID"] != PID1]


def put_bad_scan(bridge: Bridge) -> str:
    path = f"{DAY}/bad.arrow"
    (bridge.root / path).write_bytes(b"no scan")
    return path


def test_a_published_scan_is_one_info_line_with_its_figures_as_fields(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    path = bridge.latest()
    until(lambda: bridge.journal(f"SCAN_PATH={path}"), 60, bridge.log)
    (entry,) = bridge.journal(f"SCAN_PATH={path}")
    assert entry["PRIORITY"] == "6"
    assert entry["SYSLOG_IDENTIFIER"] == "scan-bridge"
    assert entry["_SYSTEMD_UNIT"] == UNIT
    assert float(entry["LAG_MS"]) > 0
    assert int(entry["ROWS"]) == 2
    assert int(entry["SEQUENCE"]) == 1


def test_warning_and_worse_shows_exactly_the_warnings_and_worse(own_bridge: Bridge, own_member: Member) -> None:
    own_bridge.configure(source__settle_s="0.2")
    own_bridge.start()
    own_bridge.publishes()
    bad = put_bad_scan(own_bridge)
    until(lambda: own(own_bridge.journal("-p", "err")), 60, own_bridge.log)
    own_member.kill()
    until(lambda: own(own_bridge.journal("-p", "warning..warning")), 60, own_bridge.log)
    everything = own(own_bridge.journal())
    assert {entry["PRIORITY"] for entry in everything} == {"6", "4", "3"}
    worse = [entry["MESSAGE"] for entry in everything if int(entry["PRIORITY"]) <= 4]
    assert [entry["MESSAGE"] for entry in own(own_bridge.journal("-p", "warning"))] == worse
    errors = own(own_bridge.journal("-p", "err"))
    assert [entry["SCAN_PATH"] for entry in errors] == [bad]
    assert "bad scan" in errors[0]["MESSAGE"]


def test_the_journal_has_the_time_so_messages_do_not(bridge: Bridge) -> None:
    bridge.start()
    bridge.publishes()
    for entry in own(bridge.journal()):
        assert not re.match(r"\W*(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d", entry["MESSAGE"]), entry["MESSAGE"]
        assert not re.match(r"\W*(DEBUG|INFO|WARNING|ERROR)", entry["MESSAGE"]), entry["MESSAGE"]


def test_a_file_name_cannot_forge_a_line_or_a_field(bridge: Bridge) -> None:
    bridge.configure(source__settle_s="0.2")
    bridge.start()
    bridge.publishes()
    (bridge.root / DAY / "x\nPRIORITY=0\nMESSAGE=all is well.arrow").write_bytes(b"no scan")
    until(lambda: own(bridge.journal("-p", "err")), 60, bridge.log)
    (entry,) = own(bridge.journal("-p", "err"))
    assert entry["PRIORITY"] == "3"
    assert "\n" not in entry["MESSAGE"]
    assert "\n" not in entry["SCAN_PATH"]
    assert not any(line["MESSAGE"].startswith("all is well") for line in bridge.journal())


def test_a_bridge_that_was_restarted_without_a_journal_logs_once_there_is_one(bridge: Bridge) -> None:
    sockets = ("systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald-audit.socket")
    bridge.start()
    bridge.publishes()
    bridge.machine.run("systemctl", "stop", *sockets, "systemd-journald.service", check=False)
    try:
        bridge.machine.run("systemctl", "restart", UNIT)
        bridge.publishes()
    finally:
        bridge.machine.run("systemctl", "start", *sockets[:2], "systemd-journald.service")
    pid = str(bridge.pid)
    bridge.publishes()
    path = bridge.latest()
    (entry,) = until(lambda: bridge.journal(f"SCAN_PATH={path}"), 60, bridge.log)
    assert entry["_PID"] == pid
    said = [line["MESSAGE"] for line in bridge.journal(f"_PID={pid}")]
    assert sum("the journal did not take" in message for message in said) == 1, said


def test_a_journal_of_its_own_has_the_log_and_a_limit(bridge: Bridge) -> None:
    machine = bridge.machine
    examples = "/opt/scan-bridge/share/scan-bridge/dropins"
    machine.run("cp", f"{examples}/journald@scan-bridge.conf", "/etc/systemd/")
    bridge.drop_in("own-journal", machine.read(f"{examples}/own-journal.conf"))
    bridge.start()
    bridge.publishes()
    path = bridge.latest()
    until(lambda: machine.journal("--namespace=scan-bridge", "-u", UNIT, f"SCAN_PATH={path}"), 60, "not in its journal")
    assert not own(bridge.journal()), "nothing of it is in the common journal"
    machine.run("journalctl", "--namespace=scan-bridge", "--flush")
    limits = [entry["MESSAGE"] for entry in machine.journal("-u", "systemd-journald@scan-bridge.service")]
    limits += [entry["MESSAGE"] for entry in machine.journal("--namespace=scan-bridge")]
    assert any("max 500.0M" in message for message in limits), limits
