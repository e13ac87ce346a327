"""Hazelcast away, slow or wounded: nothing hangs, memory stays flat, and the newest scan is there on its return."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import hazelcast
import pytest
from support.bridge_process import Consumer, NewBridge, Seen, Target, day, decode, eventually, land, scan
from support.hazelcast_member import Member, cluster
from support.slow_link import SlowLink

pytestmark = pytest.mark.hazelcast
# Short, so that a frozen member is noticed in the test's time.
IMPATIENT = {"call_timeout_s": 0.5, "connect_timeout_s": 1.0, "heartbeat_timeout_s": 1.0}
MAP = "scans"


def on(member: Member) -> Target:
    return Target(member.address, member.cluster_name, MAP)


@pytest.fixture
def absent() -> Iterator[Member]:
    """A member that does not run yet."""
    member = Member()
    yield member
    member.close()


def newest(client: hazelcast.HazelcastClient) -> Seen | None:
    value = client.get_map(MAP).blocking().get("latest_eigen_scan")
    return None if value is None else decode(value)


def expect(client: hazelcast.HazelcastClient, path: str) -> Seen:
    """Wait until the map holds this scan."""
    return eventually(
        lambda: (seen := newest(client)) and seen.source == path and seen,
        lambda: f"{path} in the map; it holds {newest(client)}",
    )


def land_many(root: Path, count: int) -> str:
    """Many scans of 0.1 MB; the path of the last one."""
    content = scan(rows=4000)
    return [land(root, f"{day()}/{time.time_ns()}.arrow", content) for _ in range(count)][-1]


def test_a_member_that_comes_up_after_the_bridge_gets_the_newest_scan(new_bridge: NewBridge, absent: Member) -> None:
    bridge = new_bridge(target=on(absent))
    land(bridge.root, f"{day()}/a.arrow")
    bridge.start()  # READY=1 does not wait for Hazelcast

    bridge.wait_status_line("hazelcast away")
    path = land(bridge.root, f"{day()}/b.arrow")
    absent.start()

    expect(absent.client(), path)
    bridge.wait_status_line("hazelcast connected")
    assert len(bridge.lines("connecting to Hazelcast")) <= 3  # begun, perhaps another reason, over


def test_a_member_killed_and_started_again_gets_the_newest_scan_only(new_bridge: NewBridge, own_member: Member) -> None:
    bridge = new_bridge(target=on(own_member)).start()
    before = land(bridge.root, f"{day()}/before.arrow")
    expect(own_member.client(), before)

    for _ in range(2):
        own_member.kill()
        bridge.wait_log("connection lost")
        path = land_many(bridge.root, 5)
        own_member.start()
        client = own_member.client()
        seen = expect(client, path)
        assert seen.sequence == 1  # the map was lost; those in between were overtaken
    status = bridge.wait_status(client, lambda status: status["counters"]["published"] == 3, "one each")
    assert status["counters"]["reconnects"] == 2
    assert status["counters"]["skipped"] == 8


def test_a_member_that_lost_its_data_gets_the_newest_scan_back_without_a_new_file(
    new_bridge: NewBridge, own_member: Member
) -> None:
    bridge = new_bridge(target=on(own_member)).start()
    land(bridge.root, f"{day()}/a.arrow")
    path = land(bridge.root, f"{day()}/b.arrow")
    expect(own_member.client(), path)

    own_member.kill()
    own_member.start()

    expect(own_member.client(), path)


def test_a_member_frozen_and_thawed_gets_the_newest_scan(new_bridge: NewBridge, own_member: Member) -> None:
    bridge = new_bridge(target=on(own_member), hazelcast=IMPATIENT).start()
    client = own_member.client()
    expect(client, land(bridge.root, f"{day()}/before.arrow"))

    for _ in range(2):
        own_member.pause()
        path = land_many(bridge.root, 3)
        bridge.wait_status_line("hazelcast away")
        own_member.resume()
        expect(client, path)
        bridge.wait_status_line("hazelcast connected")
    # All are looked at anew after each return, and yet none is counted twice.
    bridge.wait_status(
        client,
        lambda status: status["counters"]["published"] + status["counters"]["skipped"] == 7,
        "each of the 7 was published or skipped",
    )


def test_an_outage_costs_no_memory_however_many_scans_come(new_bridge: NewBridge, own_member: Member) -> None:
    bridge = new_bridge(target=on(own_member), hazelcast=IMPATIENT, log={"level": "info"}).start()
    client = own_member.client()
    expect(client, land_many(bridge.root, 20))
    before_kb = bridge.memory_kb()

    own_member.pause()
    land_many(bridge.root, 300)  # 30 MB
    bridge.wait_status_line("hazelcast away")
    path = land_many(bridge.root, 300)
    assert bridge.memory_kb("VmHWM") - before_kb < 15_000
    own_member.resume()

    expect(client, path)
    assert bridge.memory_kb("VmHWM") - before_kb < 15_000
    # One trouble, one story.
    assert len(bridge.lines("WARNING")) < 15


def test_over_a_slow_link_scans_arrive_in_order(new_bridge: NewBridge, own_member: Member) -> None:
    with SlowLink(own_member.port) as link:
        consumer = Consumer(own_member.client(), MAP)
        bridge = new_bridge(target=Target(link.address, own_member.cluster_name, MAP)).start()
        link.delay_s = 0.3

        for _ in range(3):
            consumer.expect(land_many(bridge.root, 3))

        consumer.assert_rising()
        assert not bridge.lines("no answer")


def test_calls_that_take_longer_than_their_deadline_are_given_up_and_never_take_the_map_back(
    new_bridge: NewBridge, own_member: Member
) -> None:
    with SlowLink(own_member.port) as link:
        consumer = Consumer(own_member.client(), MAP)
        target = Target(link.address, own_member.cluster_name, MAP)
        bridge = new_bridge(target=target, hazelcast={**IMPATIENT, "heartbeat_timeout_s": 5.0}).start()
        consumer.expect(land_many(bridge.root, 1))

        for _ in range(3):
            count = len(consumer.seen)
            link.delay_s = 0.4  # there and back longer than the deadline
            land_many(bridge.root, 5)
            eventually(lambda count=count: len(consumer.seen) > count, "a call that was given up arrives all the same")
            bridge.wait_log("no answer within 0.5 s")
            link.delay_s = 0.0
            consumer.expect(land_many(bridge.root, 1))

        consumer.assert_rising()


def test_a_cluster_of_three_that_loses_a_member_loses_no_scan(new_bridge: NewBridge) -> None:
    with cluster(3) as members:
        addresses = [member.address for member in members]
        bridge = new_bridge(target=on(members[0]), hazelcast={"members": addresses}).start()
        client = hazelcast.HazelcastClient(cluster_members=addresses, cluster_name=members[0].cluster_name)
        try:
            sequence = 0
            for number in range(30):
                if number == 10:
                    owner_of_scan(client, members).kill()
                seen = expect(client, land(bridge.root, f"{day()}/{number:02}.arrow"))
                assert seen.sequence == (sequence := sequence + 1)  # what the map held survived as well
        finally:
            client.shutdown()


def owner_of_scan(client: hazelcast.HazelcastClient, members: list[Member]) -> Member:
    """The member whose loss hurts most."""
    partitions = client.partition_service
    owner = partitions.get_partition_owner(partitions.get_partition_id("latest_eigen_scan"))
    port = next(info.address.port for info in client.cluster_service.get_members() if info.uuid == owner)
    return next(member for member in members if member.port == port)
