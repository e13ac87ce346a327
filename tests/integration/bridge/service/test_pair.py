"""Two bridges for the same scans: whatever happens to either of them, a consumer does not notice."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import hazelcast
import pytest
from support.bridge_process import Consumer, NewBridge, day, land
from support.hazelcast_member import Member
from support.pair import FAULTS, Pair, member_behind_relays

pytestmark = pytest.mark.hazelcast
STANDBY_S = 0.25
# Far above what it takes (docs/performance.md), for machines that are busy.
LONGEST_WAIT_MS = 10_000
# More of it: SCAN_BRIDGE_PAIR_S=600
LEAST_S = float(os.environ.get("SCAN_BRIDGE_PAIR_S", "0"))


@pytest.fixture(scope="module")
def hidden_member() -> Iterator[Member]:
    """A member that clients reach through their relays only."""
    member = member_behind_relays()
    try:
        yield member.start()
    finally:
        member.close()


@pytest.fixture
def pair(hidden_member: Member, tmp_path: Path) -> Iterator[Pair]:
    """Both bridges, running."""
    client = hidden_member.client()
    pair = Pair(tmp_path, hidden_member, client, STANDBY_S)
    try:
        yield pair
    finally:
        pair.close()
        for name in ("pair", "pair_status"):
            client.get_map(name).blocking().destroy()


def test_whatever_happens_to_either_of_two_the_consumer_gets_every_newest_scan_whole_and_in_order(pair: Pair) -> None:
    began_s, seed = time.monotonic(), random.randrange(10**6)
    rounds = list(itertools.product(FAULTS, pair.sides))
    print(f"seed {seed}")  # pytest shows it if the test fails
    chance = random.Random(seed)

    with pair.producing():
        while True:
            chance.shuffle(rounds)
            for fault, side in rounds:
                pair.suffer(fault, side)
            if time.monotonic() - began_s >= LEAST_S:
                break

    pair.consumer.assert_rising()
    waits_ms = pair.record().waits_ms()  # none is missing: every scan, or a newer one, was seen
    assert {seen.metadata["scan_bridge.bridge"] for seen in pair.consumer.seen} == {"active", "standby"}
    print(f"{len(waits_ms)} scans, longest wait {max(waits_ms):.0f} ms")
    assert max(waits_ms) < LONGEST_WAIT_MS


def test_a_standby_publishes_nothing_as_long_as_the_other_does_and_goes_on_at_once_when_it_is_gone(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    first = new_bridge("first").start()
    consumer.expect(land(first.root, f"{day()}/0.arrow"))
    second = new_bridge("second", root=first.root, source={"standby_s": 1.0}).start()
    for number in range(1, 20):
        consumer.expect(land(first.root, f"{day()}/{number:02}.arrow"))
    by = [seen.metadata["scan_bridge.bridge"] for seen in consumer.seen]
    assert by.count("second") <= 1  # a machine that stood still for a second may make it act

    first.kill()
    # Scans come faster than it waits, and still it does not wait for ever.
    for number in itertools.count(20):
        land(first.root, f"{day()}/{number:04}.arrow")
        if consumer.seen[-1].metadata["scan_bridge.bridge"] == "second":
            break
        time.sleep(0.05)
        assert number < 600
    status = second.wait_status(client, lambda status: status["role"] == "active", "it is the active one now")
    assert status["published"]

    first.start()
    consumer.expect(land(first.root, f"{day()}/last.arrow"))
    consumer.assert_rising()
