"""Each bridge has an entry of its own in the status map: whoever asks hears of every one, and of which one is gone."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import hazelcast
import pytest
from hazelcast.core import HazelcastJsonValue
from hazelcast.predicate import sql
from support.bridge_process import BridgeProcess, Consumer, NewBridge, Target, day, eventually, land, scan_bridge

pytestmark = pytest.mark.hazelcast
FAILED = 1


class Statuses:
    """The status map as any client sees it."""

    def __init__(self, client: hazelcast.HazelcastClient, target: Target) -> None:
        self.name = f"{target.map_name}_status"
        self.map = client.get_map(self.name).blocking()

    def __getitem__(self, key: str) -> dict[str, Any]:
        entry = self.map.get(key)
        return json.loads(entry.to_string()) if entry else {}

    def wait_pid(self, key: str, bridge: BridgeProcess) -> dict[str, Any]:
        """Wait until this bridge's word stands under this key."""
        return eventually(
            lambda: (found := self[key]).get("pid") == bridge.pid and found,
            lambda: f"{key} is of {bridge.pid}: {self[key]}",
        )


@pytest.fixture
def statuses(client: hazelcast.HazelcastClient, target: Target) -> Statuses:
    return Statuses(client, target)


@pytest.fixture
def pair(new_bridge: NewBridge) -> tuple[BridgeProcess, BridgeProcess]:
    """Two running bridges with one ROOT and one map."""
    first = new_bridge("bridge-1").start()
    return first, new_bridge("bridge-2", root=first.root).start()


def test_a_bridge_stands_there_under_its_name_for_sql_too(
    bridge: BridgeProcess, statuses: Statuses, target: Target
) -> None:
    status = statuses.wait_pid("bridge", bridge)

    assert (status["map"], status["scan_key"]) == (target.map_name, "latest_eigen_scan")
    assert (status["role"], status["state"]) == ("active", "running")
    assert isinstance(statuses.map.get("bridge"), HazelcastJsonValue)
    assert statuses.map.key_set(sql("state = 'running' AND source.state = 'empty'")) == ["bridge"]


def test_a_bridge_that_is_told_to_end_says_so_and_one_that_is_killed_does_not(
    pair: tuple[BridgeProcess, BridgeProcess], statuses: Statuses
) -> None:
    for bridge in pair:
        statuses.wait_pid(bridge.folder.name, bridge)

    assert pair[0].terminate() == 0
    pair[1].kill()

    assert statuses["bridge-1"]["state"] == "stopped"
    assert statuses["bridge-2"]["state"] == "running"


def test_a_bridge_that_takes_another_name_says_that_the_old_one_is_stopped(
    bridge: BridgeProcess, statuses: Statuses
) -> None:
    statuses.wait_pid("bridge", bridge)
    bridge.configure(status={"instance": "another"})
    bridge.send(signal.SIGHUP)

    statuses.wait_pid("another", bridge)

    assert statuses["bridge"]["state"] == "stopped"


def test_of_two_with_one_name_neither_writes_over_the_other_and_the_log_says_what_to_do(
    new_bridge: NewBridge, statuses: Statuses
) -> None:
    first = new_bridge("bridge-1", status={"instance": "twin"}).start()
    statuses.wait_pid("twin", first)
    second = new_bridge("bridge-2", status={"instance": "twin"}, root=first.root).start()

    second.wait_log(f"(pid {first.pid}) calls itself twin too")
    first.wait_log(f"(pid {second.pid}) calls itself twin too")
    aside = eventually(lambda: [key for key in statuses.map.key_set() if key != "twin"], "the later one steps aside")[0]
    statuses.wait_pid(aside, second)
    statuses.wait_pid("twin", first)
    shown = scan_bridge("status", "--config", first.config_path)
    assert shown.stdout.count("claimed twice") == 2

    first.kill()
    statuses.wait_pid("twin", second)  # once the name has been silent for long enough
    eventually(lambda: statuses.map.key_set() == ["twin"], "the key aside is gone")


# ---- the command


def test_status_shows_all_bridges_in_a_table_and_one_with_all_it_says(
    pair: tuple[BridgeProcess, BridgeProcess], statuses: Statuses, consumer: Consumer
) -> None:
    for bridge in pair:
        statuses.wait_pid(bridge.folder.name, bridge)
    config = ("--config", pair[0].config_path)
    consumer.expect(land(pair[0].root, f"{day()}/a.arrow"))

    both = scan_bridge("status", *config)
    assert (both.returncode, both.stderr) == (0, "")
    assert re.findall(r"(?m)^(\S+) +alive +active", both.stdout) == ["bridge-1", "bridge-2"]
    lines = [json.loads(line) for line in scan_bridge("status", "--json", *config).stdout.splitlines()]
    assert [line["instance"] for line in lines] == ["bridge-1", "bridge-2"]
    one = scan_bridge("status", "--instance", "bridge-2", *config)
    assert one.returncode == 0
    assert f"pid {pair[1].pid}" in one.stdout
    unknown = scan_bridge("status", "--instance", "nobody", *config)
    assert (unknown.returncode, unknown.stdout) == (FAILED, "")
    assert "there are: bridge-1, bridge-2" in unknown.stderr

    pair[1].kill()
    eventually(lambda: scan_bridge("status", *config).returncode == FAILED, "a dead one is no success")
    assert re.search(r"(?m)^bridge-2 +DEAD for", scan_bridge("status", *config).stdout)


def test_forget_removes_what_a_dead_bridge_left_and_refuses_for_a_living_one(
    pair: tuple[BridgeProcess, BridgeProcess], statuses: Statuses
) -> None:
    for bridge in pair:
        statuses.wait_pid(bridge.folder.name, bridge)
    config = ("--config", pair[0].config_path)
    alive = scan_bridge("status", "--forget", "bridge-2", *config)
    assert alive.returncode == FAILED
    assert "bridge-2 is alive" in alive.stderr

    statuses.map.put("left-over", bytearray(b"no status"))
    assert scan_bridge("status", "--forget", "left-over", *config).returncode == 0
    assert sorted(statuses.map.key_set()) == ["bridge-1", "bridge-2"]

    pair[1].terminate()
    gone = scan_bridge("status", "--forget", "bridge-2", *config)

    assert (gone.returncode, gone.stdout, gone.stderr) == (0, "", "")
    assert statuses.map.key_set() == ["bridge-1"]
    pair[0].terminate()
    assert scan_bridge("status", "--forget", "bridge-1", *config).returncode == 0
    assert "no status yet" in scan_bridge("status", *config).stderr, "nor is it left where version 1.0 looked"
    again = scan_bridge("status", "--forget", "bridge-2", *config)
    assert again.returncode == FAILED
    assert "no entry bridge-2" in again.stderr


def test_a_bridge_of_version_1_0_which_knows_no_such_map_is_shown_too(
    bridge: BridgeProcess, statuses: Statuses, client: hazelcast.HazelcastClient, target: Target
) -> None:
    of_now = statuses.wait_pid("bridge", bridge)
    old = {name: value for name, value in of_now.items() if name not in ("map", "scan_key", "role", "state")}
    old["heartbeat_at"] = old["started_at"] = "2026-03-24T08:15:00.000000Z"
    bridge.terminate()
    statuses.map.delete("bridge")
    client.get_map(target.map_name).blocking().set("bridge_status", HazelcastJsonValue(json.dumps(old)))

    shown = scan_bridge("status", "--config", bridge.config_path)

    assert f"bridge (pid {of_now['pid']}" in shown.stdout
    assert scan_bridge("status", "--forget", "bridge", "--config", bridge.config_path).returncode == 0
    assert "no status yet" in scan_bridge("status", "--config", bridge.config_path).stderr
