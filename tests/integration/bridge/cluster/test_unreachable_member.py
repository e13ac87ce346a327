"""A member that cannot be reached, or does not answer, does not keep anybody from those that do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.bridge_process import NewBridge, Target, day, land, scan_bridge
from support.hazelcast_member import Member, cluster, free_port
from support.slow_link import SlowLink
from support.unreachable import unreachable

from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.hazelcast_client import ByteArray
from bridge.config import Hazelcast

pytestmark = pytest.mark.hazelcast
# What waits for a member that cannot be reached waits far longer than any test.
PATIENT: dict[str, Any] = {"connect_timeout_s": 3600.0, "call_timeout_s": 10.0}
KEYS = [f"key {number}" for number in range(40)]  # spread over all partitions


@dataclass(frozen=True)
class Pair:
    """A cluster of two; clients are told to reach the second one at `hidden`."""

    first: Member
    second: Member
    hidden: str

    def connection(self, *members: str, **options: Any) -> Cluster:
        config = Hazelcast(members=members, cluster_name=self.first.cluster_name, **{**PATIENT, **options})
        return Cluster(config, "test")


@contextlib.contextmanager
def pair(hidden: str, port: int | None = None) -> Iterator[Pair]:
    ports = [free_port(), port or free_port()]
    addresses = tuple(f"127.0.0.1:{port}" for port in ports)
    first = Member(members=addresses, port=ports[0])
    option = f"-Dhazelcast.local.publicAddress={hidden}"
    second = Member(first.cluster_name, members=addresses, port=ports[1], java_options=(option,))
    try:
        yield Pair(first.start(), second.start(), hidden)
    finally:
        second.close()
        first.close()


@pytest.fixture(scope="module")
def half_hidden() -> Iterator[Pair]:
    """Clients are told of the second one by an address that drops what they send."""
    with unreachable() as hidden, pair(hidden) as members:
        yield members


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run the test, and see that it ends in time and leaves no task behind."""

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # as the bridge does
        async with asyncio.timeout(60):
            await test
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)

    asyncio.run(whole())


async def use(connection: Cluster) -> None:
    """Every call succeeds, wherever its partition is."""
    for key in KEYS:
        await connection.set(key, ByteArray.of(key.encode()))
        assert await connection.get(key) == ByteArray.of(key.encode())


async def knows(connection: Cluster, address: str) -> None:
    """Wait until the cluster has told of this member."""
    client = connection._client
    assert client is not None
    while address not in client.member_addresses:
        await asyncio.sleep(0.01)


def test_a_member_learnt_of_that_cannot_be_reached_holds_nothing_up(half_hidden: Pair) -> None:
    async def test() -> None:
        connection = half_hidden.connection(half_hidden.first.address)
        for _ in range(2):
            await connection.connect()
            await knows(connection, half_hidden.hidden)
            await use(connection)
        await connection.close()

    run(test())


@pytest.mark.parametrize("silent", [False, True], ids=["drops what is sent", "accepts and does not answer"])
def test_two_of_three_that_cannot_be_reached_hold_nothing_up(own_member: Member, silent: bool) -> None:
    async def test(holes: list[str]) -> None:
        for place in range(3):
            members = [*holes[:place], own_member.address, *holes[place:]]
            config = Hazelcast(members=tuple(members), cluster_name=own_member.cluster_name, **PATIENT)
            connection = Cluster(config, "test")
            await connection.connect()
            await use(connection)
            await connection.close()

    with contextlib.ExitStack() as stack:
        if silent:
            listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
            holes = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
        else:
            holes = [stack.enter_context(unreachable()) for _ in range(2)]
        run(test(holes))


def test_a_name_of_which_one_address_cannot_be_reached_is_connected_to_by_another(own_member: Member) -> None:
    # localhost is ::1 and 127.0.0.1, where a member listens on the latter only.
    async def test() -> None:
        members = (f"localhost:{own_member.port}",)
        connection = Cluster(Hazelcast(members=members, cluster_name=own_member.cluster_name, **PATIENT), "test")
        await connection.connect()
        await connection.close()

    with socket.socket(socket.AF_INET6) as listener, contextlib.ExitStack() as stack:
        listener.bind(("::1", own_member.port))
        listener.listen(0)
        for _ in range(3):
            caller = stack.enter_context(socket.socket(socket.AF_INET6))
            caller.setblocking(False)
            caller.connect_ex(("::1", own_member.port))
        run(test())


def test_a_member_that_becomes_unreachable_later_holds_up_no_more_than_its_silence() -> None:
    port = free_port()
    with SlowLink(port) as link, pair(link.address, port) as members:

        async def test() -> None:
            connection = members.connection(members.first.address, heartbeat_timeout_s=2.0, call_timeout_s=3.0)
            await connection.connect()
            await knows(connection, link.address)
            client = connection._client
            while len(client._connection_manager.active_connections) < 2:  # type: ignore[union-attr]
                await asyncio.sleep(0.01)
            await use(connection)

            link.delay_s = 3600.0

            while True:
                try:
                    await use(connection)
                    break
                except ClusterError:
                    continue
            assert not connection.lost.is_set()
            await connection.close()

        run(test())


def test_members_learnt_of_are_tried_when_the_configured_one_is_gone() -> None:
    with cluster(2) as (first, second):

        async def test() -> None:
            config = Hazelcast(members=(first.address,), cluster_name=first.cluster_name, **PATIENT)
            connection = Cluster(config, "test")
            await connection.connect()
            await knows(connection, second.address)
            await asyncio.to_thread(first.kill)

            await connection.connect()

            await use(connection)
            await connection.close()

        run(test())


def test_all_that_cannot_be_reached_are_named_with_their_reasons() -> None:
    async def test(hole: str) -> None:
        config = Hazelcast(members=(hole, nobody, "no-such-host.invalid:5701"), connect_timeout_s=1.0)
        with pytest.raises(ClusterError) as raised:
            await Cluster(config, "test").connect()
        assert f"{hole}: no answer within 1 s; {nobody}: Connection refused; no-such-host.invalid:5701: " in str(
            raised.value
        )

    nobody = f"127.0.0.1:{free_port()}"
    with unreachable() as hole:
        run(test(hole))


def test_the_bridge_publishes_though_one_member_of_its_list_and_one_it_learns_of_cannot_be_reached(
    new_bridge: NewBridge, half_hidden: Pair
) -> None:
    with unreachable() as hole:
        target = Target(half_hidden.first.address, half_hidden.first.cluster_name, "scans")
        options = {"members": [hole, half_hidden.first.address], "connect_timeout_s": 3600.0}
        bridge = new_bridge(target=target, hazelcast=options).start()
        path = land(bridge.root, f"{day()}/a.arrow")

        bridge.wait_status_line(f"last {path}")
        bridge.wait_status_line("hazelcast connected")


def test_the_commands_answer_though_one_member_cannot_be_reached(new_bridge: NewBridge, own_member: Member) -> None:
    with unreachable() as hole:
        target = Target(own_member.address, own_member.cluster_name, "empty")
        options = {"members": [hole, own_member.address], "connect_timeout_s": 3600.0}
        config_path = new_bridge(target=target, hazelcast=options).config_path

        assert "has the bridge ever run" in scan_bridge("status", "--config", config_path).stderr
        assert "no scan yet" in scan_bridge("latest", "--config", config_path).stderr
