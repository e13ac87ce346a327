"""A cluster that refuses the history leaves the newest scan unharmed, and the bridge says why it does not get on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from support.arrow_samples import written
from support.bridge_process import NewBridge, Target, day, land
from support.hazelcast_member import SCRIPT, Member

pytestmark = pytest.mark.hazelcast

REFUSAL = "kept: refused: SplitBrainProtectionException: Split brain protection exception: two has failed!"


def configured(folder: Path, settings: str, *java_options: str) -> Member:
    """A member with further settings, not started yet."""
    changed = folder / "hazelcast.xml"
    changed.write_text(SCRIPT.with_suffix(".xml").read_text().replace("</hazelcast>", f"{settings}</hazelcast>"))
    return Member(java_options=(*java_options, f"-Dhazelcast.config={changed}"))


@pytest.fixture
def protected(tmp_path: Path) -> Iterator[Member]:
    """A member whose map `kept` wants two of them to be written."""
    protection = """
        <split-brain-protection name="two" enabled="true">
            <minimum-cluster-size>2</minimum-cluster-size>
            <protect-on>WRITE</protect-on>
        </split-brain-protection>
        <map name="kept"><split-brain-protection-ref>two</split-brain-protection-ref></map>
    """
    member = configured(tmp_path, protection)
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


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Member]:
    """A member with a heap of 96 MB, whose map `kept` gives way at 32 MB."""
    eviction = """
        <map name="kept"><eviction eviction-policy="LRU" max-size-policy="USED_HEAP_SIZE" size="32"/></map>
    """
    member = configured(tmp_path, eviction, "-Xmx96m")
    yield member.start()
    member.close()


def test_a_history_larger_than_the_heap_gives_way_to_the_newest_scan_and_is_told_as_missing(
    new_bridge: NewBridge, small: Member
) -> None:
    target = Target(small.address, small.cluster_name, "scans")
    bridge = new_bridge(target=target, history={"keep_s": 3600.0, "map": "kept"})
    content = written([pa.record_batch({"x": [os.urandom(1000) for _ in range(200)]})], "file")
    for number in range(600):  # 120 MB
        land(bridge.root, f"{day()}/a{number:03}.arrow", content)
    bridge.start()
    client = small.client()
    bridge.wait_status(client, lambda of: of["history"]["missing"] == 0, "all were sent")

    path = land(bridge.root, f"{day()}/b.arrow", content)
    bridge.wait_log(f"published {path}")
    bridge.terminate()
    bridge.start()  # compares at once
    bridge.wait_status(client, lambda of: (of["history"]["missing"] or 0) > 0, "what was evicted is missing")
    assert "connection lost" not in bridge.log()
