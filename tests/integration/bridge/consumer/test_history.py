"""Every scan since a moment, then each further one: what was put there is handed out, once, whatever happens."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from datetime import UTC, datetime

import pytest
from hazelcast import HazelcastClient
from hazelcast.core import HazelcastJsonValue
from support.bridge_process import eventually
from support.hazelcast_member import Member
from support.relay import Relay
from support.scan_values import SECOND_NS, NewConsumer, Writer, arrow_value, history_key, provenance

from bridge.consumer import History, NoFreshScan, NoScan, Unreachable
from bridge.consumer import history as history_module

pytestmark = pytest.mark.hazelcast

PATIENCE_S = 30.0
BEGIN_NS = 1_774_340_100 * SECOND_NS


def sources(history: History, count: int) -> list[str]:
    """The next `count` scans, whether or not there is a fresh one as well."""
    found: list[str] = []

    def take() -> None:
        while len(found) < count:
            with contextlib.suppress(NoFreshScan):
                found.append(next(history).provenance.source)

    threading.Thread(target=take, daemon=True).start()
    eventually(lambda: len(found) == count, lambda: f"{count} scans, so far {len(found)}: {found[-5:]}", 2 * PATIENCE_S)
    return found


def test_scans_since_a_moment_come_in_rising_order_whatever_the_order_they_were_kept_in(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    kept = [writer.keep(str(number), BEGIN_NS + number * SECOND_NS) for number in (4, 2, 0, 1, 3)]
    same_time = [writer.keep(name, BEGIN_NS + 2 * SECOND_NS) for name in ("b", "a")]
    consumer = consume(member, writer)

    since = list(consumer.history(datetime.fromtimestamp(BEGIN_NS // SECOND_NS + 1, UTC)))

    expected = sorted(
        (of for of in (*kept, *same_time) if of.mtime_ns >= BEGIN_NS + SECOND_NS), key=lambda of: of.held.key
    )
    assert [scan.provenance for scan in since] == expected
    assert all(scan.table.num_rows == 3 for scan in since)
    assert list(consumer.history(BEGIN_NS + 5 * SECOND_NS)) == []
    with pytest.raises(ValueError, match="no time zone"):
        consumer.history(datetime(2026, 3, 24))  # noqa: DTZ001


def test_what_is_no_scan_in_the_history_is_left_out_and_named(
    consume: NewConsumer, member: Member, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    kept = writer.keep("good", BEGIN_NS)
    writer.history.set(f"{BEGIN_NS + 1:020d} bad.arrow", bytearray(b"no Arrow"))
    writer.history.set("no key of a scan", arrow_value(kept))

    found = list(consume(member, writer).history(0))

    assert [scan.provenance for scan in found] == [kept]
    assert f"{BEGIN_NS + 1:020d} bad.arrow: not an Arrow stream" in caplog.text


def test_scans_that_are_kept_meanwhile_come_once_each_also_late_ones_and_after_lost_connections(
    consume: NewConsumer, member: Member, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MOST_AHEAD", 7)
    monkeypatch.setattr(history_module, "LOOK_S", 3600.0)  # what a new connection finds, not what time does
    rng = random.Random(5)
    numbers = list(range(400))
    late = set(rng.sample(numbers, 100))
    relay = Relay(member.port)
    relay.open()
    done = threading.Event()

    def keep_all() -> None:
        held_back: list[int] = []
        for number in numbers:
            if number in late:
                held_back.append(number)
            else:
                writer.keep(str(number), BEGIN_NS + number)
            if number % 50 == 49:
                while held_back:
                    back = held_back.pop()
                    writer.keep(str(back), BEGIN_NS + back)
        done.set()

    def cut() -> None:
        while not done.wait(0.5):
            relay.shut()
            relay.open()

    for number in range(-20, 0):
        writer.keep(str(number), BEGIN_NS + number)
    threads = [threading.Thread(target=keep_all), threading.Thread(target=cut)]
    consumer = consume(member, writer, members=[relay.address])
    history = consumer.history(BEGIN_NS - 10, follow=True)
    first = sources(history, 1)
    for thread in threads:
        thread.start()
    found = first + sources(history, 409)
    for thread in threads:
        thread.join()
    relay.shut()

    assert sorted(found) == sorted(f"2026-03-24/{number}.arrow" for number in range(-10, 400))


def test_what_the_cluster_lost_and_was_given_again_does_not_come_again(
    consume: NewConsumer, member: Member, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "LOOK_S", 0.05)
    kept = [writer.keep(str(number), BEGIN_NS + number) for number in range(5)]
    history = consume(member, writer).history(0, follow=True)
    assert sources(history, 5) == [of.source for of in kept]

    writer.history.clear()
    for of in kept:
        writer.history.put_if_absent(history_key(of), arrow_value(of))
    further = writer.keep("further", BEGIN_NS + 9)

    assert sources(history, 1) == [further.source]


def test_what_the_cluster_lost_before_it_was_handed_out_comes_once_it_is_there_again(
    consume: NewConsumer, member: Member, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "LOOK_S", 0.05)
    monkeypatch.setattr(history_module, "MOST_AHEAD", 1)
    kept = [writer.keep(str(number), BEGIN_NS + number) for number in range(4)]
    history = consume(member, writer).history(0, follow=True)
    assert sources(history, 1) == [kept[0].source]

    writer.history.clear()
    threading.Timer(
        1.0, lambda: [writer.history.put_if_absent(history_key(of), arrow_value(of)) for of in kept]
    ).start()

    assert sorted(sources(history, 3)) == [of.source for of in kept[1:]]


def test_what_expired_while_it_was_waited_for_is_left_out_and_counted_in_the_log(
    consume: NewConsumer,
    member: Member,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(history_module, "MOST_AHEAD", 1)
    kept = [writer.keep(str(number), BEGIN_NS + number) for number in range(4)]
    history = consume(member, writer).history(0)
    assert next(history).provenance == kept[0]

    writer.history.delete(history_key(kept[2]))

    assert [scan.provenance for scan in history] == [kept[1], kept[3]]
    assert "1 scans were gone (expired, or lost) before they were read" in caplog.text


def test_it_says_when_hazelcast_does_not_answer_and_goes_on_where_it_was(
    consume: NewConsumer, own_member: Member, own_writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_module, "MOST_AHEAD", 1)
    kept = [own_writer.keep(str(number), BEGIN_NS + number) for number in range(3)]
    history = consume(own_member, own_writer, connect_timeout_s=3.0).history(0)
    assert sources(history, 1) == [kept[0].source]

    own_member.pause()
    with pytest.raises(Unreachable, match="no answer"):
        next(history)
    own_member.resume()

    assert sources(history, 2) == [of.source for of in kept[1:]]
    assert next(history, None) is None


def test_following_tells_once_that_there_is_no_fresh_scan_and_is_ended_by_closing_it(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    with consume(member, writer).history(time.time_ns(), follow=True) as history:
        with pytest.raises(NoScan):
            next(history)
        kept = provenance("2026-03-24/a.arrow")
        threading.Timer(0.3, writer.history.set, [history_key(kept), arrow_value(kept)]).start()
        assert next(history).provenance == kept


def test_closing_it_ends_it_for_a_thread_that_waits_for_the_next_scan(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    consumer = consume(member, writer)
    history = consumer.history(time.time_ns(), follow=True)
    with pytest.raises(NoScan):
        next(history)
    waiting = threading.Thread(target=next, args=(history, None), daemon=True)
    waiting.start()
    history.close()
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive()
    assert next(history, None) is None
    with pytest.raises(NoScan):
        consumer.newest()  # goes on


def test_old_keys_are_forgotten_but_what_they_stood_for_does_not_come_again(
    consume: NewConsumer, member: Member, writer: Writer, monkeypatch: pytest.MonkeyPatch, client: HazelcastClient
) -> None:
    monkeypatch.setattr(history_module, "LOOK_S", 0.05)
    monkeypatch.setattr(history_module, "MOST_KNOWN", 10)
    kept = [writer.keep(str(number), BEGIN_NS + number) for number in range(20)]
    history = consume(member, writer).history(0, follow=True)
    assert sources(history, 20) == [of.source for of in kept]

    more = [writer.keep(str(number), BEGIN_NS + number) for number in range(20, 60)]

    # Not in their order: two that are put there in the same moment may be heard of the other way round.
    assert sorted(sources(history, 40)) == [of.source for of in more]


def test_following_a_history_that_no_bridge_keeps_says_so_once(
    consume: NewConsumer,
    member: Member,
    writer: Writer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history_module, "LOOK_S", 0.1)
    writer.publish("newest")
    now = datetime.now(UTC).isoformat()
    status = {
        "instance": "bridge-1",
        "heartbeat_at": now,
        "heartbeat_s": 60.0,
        "source": {"state": "ok"},
        "newest": None,
    }
    writer.statuses.set("bridge-1", HazelcastJsonValue(json.dumps(status)))
    consumer = consume(member, writer)

    with consumer.history(BEGIN_NS, follow=True) as history:
        following = threading.Thread(target=lambda: next(history), daemon=True)
        following.start()
        eventually(lambda: "keeps no history" in caplog.text, lambda: caplog.text, PATIENCE_S)
        kept = writer.keep("late", BEGIN_NS)
        following.join(PATIENCE_S)

    assert not following.is_alive(), f"{kept.source} was not handed out"
    told = [record.getMessage() for record in caplog.records if "keeps no history" in record.getMessage()]
    assert told == [f"{writer.history.name} holds nothing: bridge-1 keeps no history (history.keep_s = 0)"]
