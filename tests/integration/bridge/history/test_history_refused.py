"""A cluster that refuses the history leaves the newest scan unharmed, and the bridge says why it does not get on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bridge_process import NewBridge, Target, day, land
from support.hazelcast_member import SCRIPT, Member

pytestmark = pytest.mark.hazelcast

REFUSAL = "kept: refused: SplitBrainProtectionException: Split brain protection exception: two has failed!"


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[Member]:
    """A member whose map `kept` wants two of them to be written."""
    protection = """
        <split-brain-protection name="two" enabled="true">
            <minimum-cluster-size>2</minimum-cluster-size>
            <protect-on>WRITE</protect-on>
        </split-brain-protection>
        <map name="kept"><split-brain-protection-ref>two</split-brain-protection-ref></map>
    </hazelcast>"""
    changed = tmp_path / "hazelcast.xml"
    changed.write_text(SCRIPT.with_suffix(".xml").read_text().replace("</hazelcast>", protection))
    member = Member(java_options=(f"-Dhazelcast.config={changed}",))
    yield member.start()
    member.close()


def test_what_the_cluster_refuses_to_keep_is_told_and_the_newest_scan_is_published_all_the_same(
    new_bridge: NewBridge, protected: Member
) -> None:
    target = Target(protected.address, protected.cluster_name, "scans")
    bridge = new_bridge(target=target, history={"keep_s": 3600.0, "map": "kept"}).start()
    for name in "abc":
        path = land(bridge.root, f"{day()}/{name}.arrow")
        bridge.wait_log(f"published {path}")

    line = bridge.wait_status_line(f"history behind: {REFUSAL}")
    assert "hazelcast connected to" in line
    assert f"history: it does not get on: {REFUSAL}; trying again" in bridge.log()
    assert "\tat " not in bridge.log()
    status = bridge.wait_status(protected.client(), lambda of: of["history"]["trouble"] == REFUSAL, "why")
    assert status["history"]["missing"] == 3
