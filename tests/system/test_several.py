"""Two bridges on one machine, from the same units: apart in everything, and each restarted alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hazelcast import HazelcastClient
from support.hazelcast_member import Member
from support.machine import Machine, until
from support.service import Bridge, FurtherBridge
from support.watch import SHORT, STATE, Inbox, Watch

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

SCRIPT = "/opt/scan-bridge/bin/scan_bridge_restart.sh"


@pytest.fixture
def further(machine: Machine, member: Member, map_name: str, client: HazelcastClient) -> Iterator[FurtherBridge]:
    bridge = FurtherBridge(machine, member, f"{map_name}_b", client)
    bridge.configure()
    yield bridge
    bridge.clean()
    for name in (f"{map_name}_b", f"{map_name}_b_status"):
        client.get_map(name).blocking().destroy()


@pytest.fixture
def both(bridge: Bridge, further: FurtherBridge) -> tuple[Bridge, FurtherBridge]:
    """Both publish."""
    for one in (bridge, further):
        one.start()
        one.publishes()
    return bridge, further


def test_each_has_its_own_state_and_journal_and_is_reloaded_and_restarted_alone(
    both: tuple[Bridge, FurtherBridge],
) -> None:
    bridge, further = both
    machine, pid = bridge.machine, bridge.pid
    assert machine.read("/var/lib/scan-bridge@b/in-hand") is not None
    assert {line["SYSLOG_IDENTIFIER"] for line in further.journal("SCAN_PATH=" + str(further.latest()))} == {
        "scan-bridge@b"
    }
    assert {line["SYSLOG_IDENTIFIER"] for line in bridge.journal("SCAN_PATH=" + str(bridge.latest()))} == {
        "scan-bridge"
    }
    shown = json.loads(machine.run("scan-bridge", "--instance", "b", "check-config").stdout)
    host = machine.run("hostname").stdout.strip()
    assert (shown["status"]["instance"], shown["hazelcast"]["map"]) == (f"{host}-b", further.root.name)

    further.configure(log__level='"debug"')
    machine.run("systemctl", "reload", further.unit)
    until(lambda: any("configuration reloaded" in str(line["MESSAGE"]) for line in further.journal()), 60, further.log)

    before = further.pid
    output = machine.run(SCRIPT, "b").stdout
    assert f"after : active (running), pid {further.pid}" in output
    assert further.pid != before

    further.configure(nonsense="1")
    further.kill("KILL")
    until(lambda: further.show("ActiveState") == "failed", 60, further.log)
    retry = "dolphin-scan-bridge-retry@dolphin-scan-bridge@b.timer"
    until(lambda: machine.show(retry, "ActiveState")["ActiveState"] == "active", 60, further.log)

    def alarms() -> str:
        return " ".join(str(line["MESSAGE"]) for line in machine.journal("--identifier=scan-bridge-alarm"))

    until(lambda: "dolphin-scan-bridge@b.service has failed" in alarms(), 60, alarms)
    machine.run("systemctl", "stop", further.unit)
    bridge.publishes()
    assert (bridge.pid, bridge.restarts) == (pid, 0), "the other one was not touched"


def test_the_fallback_timer_checks_each_of_them_and_what_befalls_one_is_told_of_that_one(
    watch: Watch, further: FurtherBridge, inbox: Inbox
) -> None:
    machine, unwatched_s = watch.machine, 5
    quiet = {"health__rules__stale_data__critical_s": "600.0", "health__rules__few_files__enabled": "false"}
    watch.configure(**quiet)
    further.configure(**SHORT | quiet)
    for one in (watch.bridge, further):
        one.start()
        one.publishes()
    machine.run("systemctl", "enable", further.unit)
    watch.run_while_unwatched(unwatched_s, "--all")

    def completed(state: str) -> tuple[str, str]:
        text = machine.run("cat", f"{state}/state.json", check=False).stdout or "{}"
        found = json.loads(text)
        return found.get("completed_by", ""), found.get("completed_at", "")

    states = (STATE, f"{STATE}/@b")
    until(lambda: all(completed(state)[0] == "timer" for state in states), 120, watch.log)
    before = [completed(state)[1] for state in states]
    until(lambda: all(completed(state)[1] != at for state, at in zip(states, before, strict=True)), 120, watch.log)
    assert inbox.messages == []

    machine.run("systemctl", "stop", further.unit)
    until(lambda: inbox.to("ops"), 120, watch.log)
    name = f"{machine.run('hostname').stdout.strip()}-b"
    assert f"[scan-bridge {name}] WARNING: process_stopped" in inbox.messages[0].subject
    assert "scan-bridge-health --instance b mute" in inbox.messages[0].body
    machine.run("systemctl", "start", further.unit)
    until(lambda: len(inbox.to("ops")) == 2, 120, watch.log)
    inbox.told_once("process_stopped (stopped, not failed)", "ops")
    machine.run("systemctl", "disable", further.unit)


def test_what_is_no_name_is_refused_in_one_line(bridge: Bridge) -> None:
    machine = bridge.machine
    for name in ("config", "a:b"):
        machine.run("systemctl", "start", f"dolphin-scan-bridge@{name}.service", check=False)
        said = machine.run("journalctl", "-q", "-u", f"dolphin-scan-bridge@{name}.service", "--no-pager").stdout
        assert f"'{name}' is no name for a bridge" in said
        machine.run("systemctl", "stop", f"dolphin-scan-bridge@{name}.service", check=False)
    assert "is no name for a bridge" in machine.run(SCRIPT, "../b", check=False).stderr
    assert "there is no /etc/scan-bridge/nobody.toml" in machine.run(SCRIPT, "nobody", check=False).stderr


def test_the_health_check_may_restart_the_bridges_by_their_exact_names_only(
    both: tuple[Bridge, FurtherBridge],
) -> None:
    bridge, further = both
    machine, pids = bridge.machine, (bridge.pid, further.pid)
    # What only looks like a bridge: installed, so that nothing but the rule stands in the way.
    hostile = ("dolphin-scan-bridge@a:b", "dolphin-scan-bridge@x@y", "dolphin-scan-bridgeX", "x-dolphin-scan-bridge@b")
    for name in hostile:
        machine.write(f"/run/systemd/system/{name}.service", "[Service]\nExecStart=/bin/sleep 1000\n")
    machine.run("systemctl", "daemon-reload")
    verbs = (
        "restart dolphin-scan-bridge.service|restart dolphin-scan-bridge@b.service|stop dolphin-scan-bridge@b.service"
    )
    verbs += "".join(f"|restart {name}.service" for name in hostile) + "|restart dolphin-scan-bridge@b.timer"
    script = "IFS='|'; for words in $1; do unset IFS; systemctl --no-ask-password $words && echo \"did $words\"; done"
    output = machine.run("sh", "-c", script + "; true", "sh", verbs, user="dolphin-healthcheck").stdout
    assert output.splitlines() == [
        "did restart dolphin-scan-bridge.service",
        "did restart dolphin-scan-bridge@b.service",
    ]
    assert bridge.pid not in pids
    assert further.pid not in pids
    machine.run("sh", "-c", "rm -f " + " ".join(f"/run/systemd/system/{name}.service" for name in hostile))
    machine.run("systemctl", "daemon-reload")
