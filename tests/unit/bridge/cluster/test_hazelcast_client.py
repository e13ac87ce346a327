"""The adapter refuses a client that renamed what it overrides, and reads no foreign value."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hazelcast.config import Config
from hazelcast.core import HazelcastJsonValue
from hazelcast.internal.asyncio_proxy.base import task_id
from hazelcast.protocol.codec import map_replace_if_same_codec
from hazelcast.serialization import SerializationServiceV1
from hazelcast.serialization.data import Data
from hypothesis import given
from hypothesis import strategies as st
from support import process

from bridge.cluster import hazelcast_client, hazelcast_wire
from bridge.cluster.hazelcast_client import ByteArray, Foreign, read_key, read_value
from bridge.cluster.hazelcast_wire import replace_request
from bridge.cluster.private_names import require

SERIALIZATION = SerializationServiceV1(Config())  # type: ignore[no-untyped-call]


def data(value: object) -> Data:
    return SERIALIZATION.to_data(value)  # type: ignore[no-any-return, no-untyped-call]


class Exploding:
    """Its pickle, when it is read, calls what must not be called."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return pytest.fail, ("a pickle was run",)


class Renamed:
    """A client in which everything has another name."""

    def function(self) -> None:
        self.another_name()


@pytest.mark.parametrize(
    "name", [name for _, _, name in (*hazelcast_client.PRIVATE_NAMES, *hazelcast_wire.PRIVATE_NAMES)]
)
def test_a_client_that_no_longer_uses_a_private_name_is_refused(name: str) -> None:
    with pytest.raises(ImportError, match=f"does not use {name} in Renamed.function"):
        require(((Renamed, "function", name),))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "renamed",
    [
        "asyncio_connection.ConnectionManager._trigger_cluster_reconnection",
        "asyncio_invocation.InvocationService._start_clean_resources_timer",
        "asyncio_proxy.map.Map._get_internal",
        "asyncio_reactor.AsyncioConnection._write",
    ],
)
def test_a_client_that_renamed_a_method_cannot_be_imported(renamed: str) -> None:
    module, owner, name = renamed.rsplit(".", 2)
    code = (
        f"from hazelcast.internal.{module} import {owner}\ndel {owner}.{name}\nimport bridge.cluster.hazelcast_client"
    )

    done = process.run([sys.executable, "-c", code])

    assert done.returncode == 1
    last_line = done.stderr.splitlines()[-1]
    assert last_line.startswith("ImportError: hazelcast-python-client 5.7")
    assert name in last_line


def test_nothing_comes_out_as_nothing() -> None:
    assert read_value(data(None)) is None


@pytest.mark.parametrize("pieces", [[], [b""], [b"scan"], [b"a", bytearray(b"b"), memoryview(b"cd")], [bytes(2**20)]])
def test_bytes_are_written_and_read_as_the_client_does_it(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert ByteArray.of(*pieces).data == data(bytearray(whole))
    found = read_value(data(bytearray(whole)))
    assert found == ByteArray.of(*pieces)
    assert isinstance(found, ByteArray)
    assert found.content == whole
    assert found.consists_of(*pieces)
    assert not found.consists_of(*pieces, b"more")
    assert not whole or not found.consists_of(whole[:-1])
    assert SERIALIZATION.to_object(ByteArray.of(*pieces).data) == whole  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("old", ["text", bytearray(b"scan"), HazelcastJsonValue("{}"), bytearray(), {}])
def test_a_compare_and_set_is_sent_as_the_client_would_send_it(old: object) -> None:
    key, new = data("latest_eigen_scan"), data(bytearray(b"newer"))

    async def both() -> tuple[bytes, bytes]:
        theirs = map_replace_if_same_codec.encode_request("map", key, data(old), new, task_id())  # type: ignore[no-untyped-call]
        ours = replace_request("map", key, data(old), new)
        return bytes(theirs.buf), b"".join([ours.buf, *ours.rest])

    theirs, ours = asyncio.run(both())
    assert ours == theirs


def test_json_comes_out_as_it_went_in() -> None:
    found = read_value(data(HazelcastJsonValue('{"name": "Übersicht"}')))

    assert isinstance(found, HazelcastJsonValue)
    assert found.to_string() == '{"name": "Übersicht"}'


@pytest.mark.parametrize(
    ("value", "type_name"),
    [("text", "string"), (7, "integer"), ([1], "array list"), (True, "boolean"), (1.5, "double"), ({}, "pickle")],
)
def test_any_other_value_is_foreign_and_says_what_it_is(value: object, type_name: str) -> None:
    found = read_value(data(value))

    assert isinstance(found, Foreign)
    assert found.type_name == type_name
    assert found.data == data(value)  # as the cluster has it, for a compare-and-set


def test_a_key_that_is_a_string_is_read() -> None:
    assert read_key(read_value(data("00001774340100000000 2026-03-24/Übersicht.arrow"))) == (
        "00001774340100000000 2026-03-24/Übersicht.arrow"
    )
    assert read_key(read_value(data(""))) == ""


@pytest.mark.parametrize("key", [7, bytearray(b"key"), HazelcastJsonValue("{}"), {}, None])
def test_a_key_that_is_no_string_is_none(key: object) -> None:
    assert read_key(read_value(data(key))) is None


def test_a_pickle_is_not_run() -> None:
    found = read_value(data(Exploding()))

    assert isinstance(found, Foreign)
    with pytest.raises(pytest.fail.Exception):  # what the client would do by itself
        SERIALIZATION.to_object(data(Exploding()))  # type: ignore[no-untyped-call]


@given(st.sampled_from([-12, -130, -120, -11, 0, 5]), st.binary(max_size=40))
def test_whatever_bytes_the_map_holds_they_are_read_or_foreign(type_id: int, content: bytes) -> None:
    found = read_value(Data(bytes(4) + type_id.to_bytes(4, signed=True) + content))

    if isinstance(found, ByteArray):
        assert content == len(found.content).to_bytes(4) + found.content
    elif isinstance(found, HazelcastJsonValue):
        assert content[4:] == found.to_string().encode()
    else:
        assert isinstance(found, Foreign) or type_id == 0
