"""The newest scan, asked for: what `newest()` gives, and what it raises instead."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hazelcast.core import HazelcastJsonValue
from support.bridge_process import eventually
from support.hazelcast_member import Member, free_port
from support.scan_values import NewConsumer, Writer, arrow_value, provenance

from bridge.consumer import NoFreshScan, NoScan, ScanConsumer, Settings, Stale, StaleCause, Unreachable

pytestmark = pytest.mark.hazelcast

PATIENCE_S = 30.0


def wait_for(consumer: ScanConsumer, source: str) -> None:
    def is_newest() -> bool:
        try:
            return consumer.newest().provenance.source == source
        except NoFreshScan:
            return False

    eventually(is_newest, f"{source} is the newest")


def test_the_newest_scan_comes_with_its_provenance(consume: NewConsumer, member: Member, writer: Writer) -> None:
    published = writer.publish("a", rows=7)

    scan = consume(member, writer).newest()

    assert scan.provenance == published
    assert scan.table.num_rows == 7
    assert scan.key == published.held.key
    assert 0 <= scan.age_s < PATIENCE_S


def test_a_map_without_a_scan_says_so_until_there_is_one(consume: NewConsumer, member: Member, writer: Writer) -> None:
    consumer = consume(member, writer)
    with pytest.raises(NoScan, match="holds no scan yet"):
        consumer.newest()

    published = writer.publish("a")

    wait_for(consumer, published.source)


def test_nobody_at_the_address_is_unreachable_and_says_why() -> None:
    members = [f"127.0.0.1:{free_port()}"]

    with (
        ScanConsumer(Settings(members, "nobody", connect_timeout_s=0.5)) as consumer,
        pytest.raises(Unreachable, match=f"nobody@{members[0]}: Connection refused"),
    ):
        consumer.newest()


def test_a_cluster_of_another_name_is_unreachable_and_says_why(consume: NewConsumer, member: Member) -> None:
    with (
        ScanConsumer(Settings([member.address], "other", connect_timeout_s=2.0)) as consumer,
        pytest.raises(Unreachable, match=r"Authentication failed\. Check cluster name and credentials"),
    ):
        consumer.newest()


def test_one_member_that_cannot_be_reached_does_not_keep_it_from_the_other(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    published = writer.publish("a")
    members = [f"127.0.0.1:{free_port()}", member.address]

    assert consume(member, writer, members=members).newest().provenance == published


def test_an_older_value_in_the_map_is_left_out_and_told_once(
    consume: NewConsumer, member: Member, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    older = writer.publish("older", age_s=5)
    newer = writer.publish("newer")
    consumer = consume(member, writer, look_s=0.05)
    assert consumer.newest().provenance == newer

    writer.put(arrow_value(older))

    told = f"went back to {older.source}, older than {newer.source}"
    eventually(lambda: told in caplog.text, "it was told that the map went back")
    assert consumer.newest().provenance == newer
    newest = writer.publish("newest")
    wait_for(consumer, newest.source)
    assert caplog.text.count(told) == 1


class Hostile:
    """Runs code when its pickle is read."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._trace),)


@pytest.mark.parametrize("wrap", [lambda value: value, lambda value: [value]], ids=["bare", "in a list"])
def test_a_pickle_in_the_map_is_not_run_and_hides_nothing(
    consume: NewConsumer,
    member: Member,
    writer: Writer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    wrap: Any,
) -> None:
    trace = tmp_path / "trace"
    consumer = consume(member, writer, look_s=0.05)
    published = writer.publish("a")
    wait_for(consumer, published.source)

    writer.put(wrap(Hostile(trace)))

    eventually(lambda: "no bridge wrote" in caplog.text, "it was told")
    assert consumer.newest().provenance == published
    newer = writer.publish("b")
    wait_for(consumer, newer.source)
    assert not trace.exists()
    assert "away" not in caplog.text, "the connection was lost"


def test_a_scan_that_is_too_old_is_stale_and_the_bridges_say_why(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    published = writer.publish("a", age_s=100)
    consumer = consume(member, writer, max_age_s=50.0, look_s=0.05)

    def stale() -> Stale:
        with pytest.raises(Stale) as raised:
            consumer.newest()
        return raised.value

    eventually(lambda: stale().cause is StaleCause.NO_BRIDGE_ALIVE, "no bridge is alive")
    assert stale().scan.provenance == published
    assert 100 <= stale().age_s < 100 + PATIENCE_S
    status = {
        "instance": "bridge-1",
        "heartbeat_at": datetime.now(UTC).isoformat(),
        "heartbeat_s": 600.0,
        "source": {"state": "ok"},
        "newest": {"path": published.source, "mtime_ns": published.mtime_ns},
    }
    writer.statuses.set("bridge-1", HazelcastJsonValue(json.dumps(status)))
    eventually(lambda: stale().cause is StaleCause.PRODUCER_STOPPED, "the producer has stopped")
    assert "bridge-1 sees nothing newer on disk" in str(stale())


def test_it_answers_while_hazelcast_hangs_until_the_scan_is_too_old(
    consume: NewConsumer, own_member: Member, own_writer: Writer
) -> None:
    published = own_writer.publish("a")
    consumer = consume(own_member, own_writer, max_age_s=8.0, look_s=0.1, call_timeout_s=600.0)
    assert consumer.newest().provenance == published
    own_member.pause()  # with a question on its way soon, whose deadline is far off

    assert consumer.newest().provenance == published
    assert consumer.stale.wait(PATIENCE_S)
    with pytest.raises(Stale) as raised:
        consumer.newest()
    assert raised.value.cause is StaleCause.HAZELCAST_AWAY


def test_a_scan_dated_in_the_future_turns_stale_all_the_same(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    future = provenance("2026-03-24/future.arrow", time.time_ns() + 3600 * 10**9)
    writer.put(arrow_value(future))

    consumer = consume(member, writer, max_age_s=0.5)

    assert consumer.stale.wait(PATIENCE_S)
    with pytest.raises(Stale, match=r"future\.arrow"):
        consumer.newest()
