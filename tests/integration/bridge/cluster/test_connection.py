"""The connection to Hazelcast keeps its deadlines and leaves nothing behind, whatever the member does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hazelcast.core import HazelcastJsonValue
from support.hazelcast_member import Member, free_port
from support.slow_link import SlowLink

from bridge.cluster.connection import Cluster, ClusterError
from bridge.cluster.hazelcast_client import ByteArray
from bridge.cluster.hazelcast_wire import MOST_AT_ONCE
from bridge.config import Hazelcast

pytestmark = pytest.mark.hazelcast
PATIENT = {"call_timeout_s": 10.0, "connect_timeout_s": 10.0, "heartbeat_timeout_s": 10.0}
IMPATIENT = {"call_timeout_s": 0.3, "connect_timeout_s": 0.5}


def to(address: str, name: str = "dev", **options: Any) -> Cluster:
    """A cluster so patient that a busy machine makes no difference, unless told otherwise."""
    return Cluster(Hazelcast(members=(address,), cluster_name=name, **{**PATIENT, **options}), "test")


def run(test: Coroutine[Any, Any, None], address: str) -> None:
    """Run the test, and see that it ends in time and leaves no task and no connection to `address` behind."""

    before = connections(address)  # such as of what emptied the member for this test

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # as the bridge does
        try:
            async with asyncio.timeout(30):
                await test
                while len(asyncio.all_tasks()) > 1 or connections(address) - before:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            left = [task.get_coro() for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            pytest.fail(f"it hangs, or left behind: {left}, {connections(address) - before}")

    asyncio.run(whole())


def connections(address: str) -> set[str]:
    """The sockets of this process that are connected to `address`."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed, or not connected
            if (name := os.readlink(link)).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(link.name))) as copy:
                    peer = copy.getpeername()
                    if isinstance(peer, tuple) and f"{peer[0]}:{peer[1]}" == address:
                        found.add(name)
    return found


def test_a_value_goes_in_and_comes_out_and_nothing_is_left_after_the_end(own_member: Member) -> None:
    async def test() -> None:
        for _ in range(3):
            cluster = to(own_member.address, own_member.cluster_name)
            await cluster.connect()
            assert cluster.connected
            await cluster.set("key", ByteArray.of(b"value"))
            assert await cluster.get("key") == ByteArray.of(b"value")
            await cluster.close()
            assert not cluster.connected

    run(test(), own_member.address)


def test_large_values_go_out_whole_and_in_order_with_small_ones_among_them(own_member: Member) -> None:
    """They are sent in pieces, as the socket takes them."""

    async def test() -> None:
        config = Hazelcast(
            members=(own_member.address,), cluster_name=own_member.cluster_name, call_timeout_s=8, connect_timeout_s=8
        )
        cluster = Cluster(config, "test")
        await cluster.connect()
        held = ByteArray.of(b"first")
        await cluster.set("key", held)
        for size in (MOST_AT_ONCE - 1, MOST_AT_ONCE, 3 * MOST_AT_ONCE + 7, 20 * MOST_AT_ONCE, 5):
            value = ByteArray.of(random.Random(size).randbytes(size))
            small = [cluster.set(f"small {number}", ByteArray.of(b"%d" % number)) for number in range(20)]
            replaced, *_ = await asyncio.gather(cluster.replace_if_same("key", held, value), *small)
            assert replaced
            assert await cluster.get("key") == value
            assert not await cluster.replace_if_same("key", held, value)
            held = value
        assert [await cluster.get(f"small {number}") for number in range(20)] == [
            ByteArray.of(b"%d" % number) for number in range(20)
        ]
        await cluster.close()

    run(test(), own_member.address)


def test_a_value_that_takes_longer_to_read_than_a_call_may_last_is_read_in_the_end(own_member: Member) -> None:
    """Its size is not known before; else a large scan in the map would keep the bridge from it for ever."""

    async def test() -> None:
        with SlowLink(own_member.port) as link:
            cluster = to(link.address, own_member.cluster_name, call_timeout_s=1.0)
            await cluster.connect()
            await cluster.set("key", ByteArray.of(b"value"))
            link.delay_s = 0.6  # each way
            complaints = []
            for _ in range(6):
                try:
                    assert await cluster.get("key") == ByteArray.of(b"value")
                    break
                except ClusterError as error:
                    complaints.append(str(error))
            else:
                pytest.fail(f"never read: {complaints}")
            assert complaints[0] == "get key: no answer within 1 s"
            await cluster.close()

    run(test(), own_member.address)


class Exploding:
    """Its pickle, when it is read, calls what must not be called."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return pytest.fail, ("a pickle was run",)


@pytest.mark.parametrize(
    "value", [Exploding(), "text", 7, bytearray(b"scan"), HazelcastJsonValue("{}")], ids=lambda v: type(v).__name__
)
def test_whatever_the_map_holds_it_is_read_without_running_it_and_replaced_by_compare_and_set(
    own_member: Member, value: object
) -> None:
    async def test() -> None:
        cluster = to(own_member.address, own_member.cluster_name)
        await cluster.connect()
        held = await cluster.get("key")
        assert held is not None
        assert not await cluster.replace_if_same("key", ByteArray.of(b"something else"), ByteArray.of(b"ours"))
        assert await cluster.replace_if_same("key", held, ByteArray.of(b"ours"))
        assert not await cluster.replace_if_same("key", held, ByteArray.of(b"late"))
        assert await cluster.get("key") == ByteArray.of(b"ours")
        await cluster.close()

    client = own_member.client()
    client.get_map(Hazelcast().map).blocking().set("key", value)
    client.shutdown()
    run(test(), own_member.address)


def test_connecting_anew_leaves_nothing_of_the_connection_before(own_member: Member) -> None:
    async def test() -> None:
        cluster = to(own_member.address, own_member.cluster_name)
        for _ in range(5):
            await cluster.connect()
        assert cluster.connected
        await cluster.close()

    run(test(), own_member.address)


def test_nobody_there_is_said_at_once() -> None:
    async def test() -> None:
        with pytest.raises(ClusterError, match="refused"):
            await to(address).connect()

    address = f"127.0.0.1:{free_port()}"
    run(test(), address)


def test_another_cluster_name_is_said(own_member: Member) -> None:
    async def test() -> None:
        with pytest.raises(ClusterError, match=r"(?i)auth"):
            await to(own_member.address, "another").connect()

    run(test(), own_member.address)


def test_who_listens_but_is_no_hazelcast_is_given_up() -> None:
    async def test() -> None:
        with pytest.raises(ClusterError):
            await to(address, **IMPATIENT).connect()

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        run(test(), address)


def test_connecting_to_a_frozen_member_is_given_up(own_member: Member) -> None:
    async def test() -> None:
        cluster = to(own_member.address, own_member.cluster_name, **IMPATIENT)
        for _ in range(3):
            with pytest.raises(ClusterError, match=r"no answer within 0\.5 s"):
                await cluster.connect()
        await cluster.close()

    own_member.pause()
    try:
        run(test(), own_member.address)
    finally:
        own_member.resume()


@pytest.mark.parametrize("delay_s", [0.05, 0.1, 0.15, 0.2])
def test_connecting_over_a_link_so_slow_that_it_ends_half_way_leaves_nothing(
    own_member: Member, delay_s: float
) -> None:
    # Several round trips make a connection: the deadline falls between any two of them.
    async def test() -> None:
        cluster = to(link.address, own_member.cluster_name, **IMPATIENT)
        with contextlib.suppress(ClusterError):
            await cluster.connect()
        await cluster.close()

    with SlowLink(own_member.port) as link:
        link.delay_s = delay_s
        run(test(), link.address)


def test_cancelling_while_connecting_leaves_nothing(own_member: Member) -> None:
    async def test() -> None:
        cluster = to(own_member.address, own_member.cluster_name, **IMPATIENT)
        connecting = asyncio.create_task(cluster.connect())
        await asyncio.sleep(0.1)
        connecting.cancel()
        await asyncio.wait({connecting})
        await cluster.close()

    own_member.pause()
    try:
        run(test(), own_member.address)
    finally:
        own_member.resume()


def test_a_call_to_a_frozen_member_is_given_up_and_the_loss_is_told(own_member: Member) -> None:
    async def test() -> None:
        options = {"call_timeout_s": 1.0, "heartbeat_timeout_s": 2.0}
        cluster = to(own_member.address, own_member.cluster_name, **options)
        await cluster.connect()
        own_member.pause()
        with pytest.raises(ClusterError, match=r"get key: no answer within 1 s"):
            await cluster.get("key")
        await cluster.lost.wait()
        assert not cluster.connected
        with pytest.raises(ClusterError, match="not connected"):
            await cluster.get("key")
        own_member.resume()
        await cluster.connect()
        assert cluster.connected
        await cluster.close()

    try:
        run(test(), own_member.address)
    finally:
        own_member.resume()


def test_a_member_that_dies_is_told_as_a_loss(own_member: Member) -> None:
    async def test() -> None:
        cluster = to(own_member.address, own_member.cluster_name)
        await cluster.connect()
        await asyncio.gather(asyncio.to_thread(own_member.kill), cluster.lost.wait())
        await cluster.close()

    run(test(), own_member.address)
