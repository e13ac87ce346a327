"""A cluster that answers with no: said as such, in one line, by everything that asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.bridge_process import NewBridge, Target, day, land, scan_bridge
from support.hazelcast_member import SCRIPT, Member

from bridge.config import Hazelcast
from healthcheck.model.observation import Known
from healthcheck.observe import cluster

pytestmark = pytest.mark.hazelcast

UNAVAILABLE = 69
REFUSAL = "SplitBrainProtectionException: Split brain protection exception: two has failed!"

NewProtected = Callable[[str], Target]


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[NewProtected]:
    """Starts a member whose map `scans` wants two of them, for these operations: READ, WRITE or READ_WRITE."""
    with ExitStack() as stack:

        def start(operations: str) -> Target:
            protection = f"""
                <split-brain-protection name="two" enabled="true">
                    <minimum-cluster-size>2</minimum-cluster-size>
                    <protect-on>{operations}</protect-on>
                </split-brain-protection>
                <map name="scans"><split-brain-protection-ref>two</split-brain-protection-ref></map>
            </hazelcast>"""
            plain = SCRIPT.with_suffix(".xml").read_text()
            changed = tmp_path / "hazelcast.xml"
            changed.write_text(plain.replace("</hazelcast>", protection))
            member = Member(java_options=(f"-Dhazelcast.config={changed}",))
            stack.callback(member.close)
            member.start()
            return Target(member.address, member.cluster_name, "scans")

        yield start


def test_what_split_brain_protection_refuses_is_said_in_one_line_by_bridge_commands_and_check(
    new_bridge: NewBridge, protected: NewProtected
) -> None:
    target = protected("READ_WRITE")
    bridge = new_bridge(target=target).start()
    land(bridge.root, f"{day()}/a.arrow")

    line = bridge.wait_status_line("hazelcast refuses")
    assert f"hazelcast refuses ({target.cluster_name}@{target.address}): get latest_eigen_scan: {REFUSAL}" in line
    warnings = [bridge.wait_log("publishing: "), bridge.wait_log("writing the status: ")]
    assert all(f"refused: {REFUSAL}; trying again" in warning for warning in warnings)
    assert "\tat " not in bridge.log()
    assert "com.hazelcast" not in bridge.log()

    for command, key in (("status", "bridge_status"), ("latest", "latest_eigen_scan")):
        done = scan_bridge(command, "--config", bridge.config_path)
        where = f"scan-bridge: Hazelcast {target.cluster_name}@{target.address}"
        assert (done.returncode, done.stdout) == (UNAVAILABLE, "")
        assert done.stderr == f"{where} get {key}: refused: {REFUSAL}\n"

    config = Hazelcast(members=(target.address,), cluster_name=target.cluster_name, map=target.map_name)
    answer = cluster.read_map(config, 20.0).hazelcast
    assert isinstance(answer, Known)
    assert (answer.value.reachable, answer.value.refused) == (False, True)
    assert answer.value.detail == f"get latest_eigen_scan: refused: {REFUSAL}"


def test_a_bridge_that_may_read_but_not_write_says_so(new_bridge: NewBridge, protected: NewProtected) -> None:
    bridge = new_bridge(target=protected("WRITE")).start()

    bridge.wait_status_line(f": set bridge_status: {REFUSAL}")
    land(bridge.root, f"{day()}/a.arrow")

    bridge.wait_log(f"publishing: put latest_eigen_scan: refused: {REFUSAL}; trying again")


def test_a_wrong_cluster_name_is_a_refusal(new_bridge: NewBridge, member: Member) -> None:
    bridge = new_bridge(target=Target(member.address, "another", "scans"), log={"level": "error"}).start()

    reason = "Authentication failed. Check cluster name and credentials."
    bridge.wait_status_line(f"hazelcast refuses (another@{member.address}): {reason}")
    done = scan_bridge("status", "--config", bridge.config_path)
    assert (done.returncode, done.stderr) == (
        UNAVAILABLE,
        f"scan-bridge: Hazelcast another@{member.address} refused: {reason}\n",
    )
