"""The guard against stale data: when it trips, what it tells, and that nothing holds it up."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from support.bridge_process import eventually
from support.hazelcast_member import Member
from support.scan_values import NewConsumer, Writer

from bridge.consumer import NoScan, Stale, StaleCause, Unreachable

pytestmark = pytest.mark.hazelcast

PATIENCE_S = 30.0


class Changes:
    """What the guard told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def on_stale(self, reason: Any) -> None:
        self.told.append(("stale", reason))

    def on_fresh(self, scan: Any) -> None:
        self.told.append(("fresh", scan))

    def expect(self, *names: str) -> Any:
        """Wait until just this was told; the last of it."""
        eventually(lambda: len(self.told) >= len(names), lambda: f"{names}, so far: {self.told}")
        assert [name for name, _ in self.told] == list(names)
        return self.told[-1][1]


def test_it_trips_while_hazelcast_hangs_and_tells_when_there_is_a_fresh_scan_again(
    consume: NewConsumer, own_member: Member, own_writer: Writer
) -> None:
    changes = Changes()
    own_writer.publish("a")
    consumer = consume(own_member, own_writer, max_age_s=6.0, on_stale=changes.on_stale, on_fresh=changes.on_fresh)
    changes.expect("fresh")
    assert (consumer.fresh.is_set(), consumer.stale.is_set()) == (True, False)

    own_member.pause()
    reason = changes.expect("fresh", "stale")
    assert isinstance(reason, Stale)
    assert reason.cause is StaleCause.HAZELCAST_AWAY
    assert reason.age_s >= 6.0
    assert (consumer.fresh.is_set(), consumer.stale.is_set()) == (False, True)

    own_member.resume()
    published = own_writer.publish("b")
    assert changes.expect("fresh", "stale", "fresh").provenance == published
    assert (consumer.fresh.is_set(), consumer.stale.is_set()) == (True, False)


def test_scans_that_go_on_coming_keep_it_from_tripping(consume: NewConsumer, member: Member, writer: Writer) -> None:
    changes = Changes()
    consumer = consume(member, writer, max_age_s=5.0, on_stale=changes.on_stale, on_fresh=changes.on_fresh)
    changes.expect("stale")  # there is none to begin with

    first = writer.publish("0")
    eventually(consumer.fresh.is_set, "the first scan")
    number = 0
    while consumer.newest().provenance.mtime_ns - first.mtime_ns < 8 * 10**9:  # longer than max_age_s
        number += 1
        writer.publish(str(number))
        consumer.stale.wait(0.1)

    changes.expect("stale", "fresh")


def test_without_any_scan_it_tells_so_once(consume: NewConsumer, member: Member, writer: Writer) -> None:
    changes = Changes()
    consumer = consume(member, writer, on_stale=changes.on_stale, on_fresh=changes.on_fresh, look_s=0.05)

    assert isinstance(changes.expect("stale"), NoScan)
    published = writer.publish("a")
    assert changes.expect("stale", "fresh").provenance == published
    assert consumer.newest().provenance == published


def test_without_an_answer_it_tells_so_at_the_deadline(
    consume: NewConsumer, own_member: Member, own_writer: Writer
) -> None:
    changes = Changes()
    own_member.pause()

    consume(own_member, own_writer, connect_timeout_s=0.5, on_stale=changes.on_stale, on_fresh=changes.on_fresh)

    assert isinstance(changes.expect("stale"), Unreachable)
    own_member.resume()
    own_writer.publish("a")
    changes.expect("stale", "fresh")


def test_a_callback_that_hangs_holds_up_neither_the_guard_nor_scans(
    consume: NewConsumer, member: Member, writer: Writer
) -> None:
    hung, let_go = threading.Event(), threading.Event()
    scans: list[Any] = []

    def hang(_: object) -> None:
        hung.set()
        let_go.wait(PATIENCE_S)

    consumer = consume(member, writer, max_age_s=5.0, on_stale=hang, on_scan=scans.append)
    assert hung.wait(PATIENCE_S)
    writer.publish("a")

    assert consumer.fresh.wait(PATIENCE_S)
    eventually(lambda: scans, "the scan")
    assert consumer.stale.wait(PATIENCE_S)
    let_go.set()


def test_what_a_callback_raises_is_logged_and_the_next_call_comes_all_the_same(
    consume: NewConsumer, member: Member, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def raising(name: str) -> Any:
        def callback(_: object) -> None:
            calls.append(name)
            raise RuntimeError(f"a fault in {name}")

        return callback

    consume(
        member,
        writer,
        max_age_s=5.0,
        on_stale=raising("on_stale"),
        on_fresh=raising("on_fresh"),
        on_scan=raising("on_scan"),
    )
    eventually(lambda: calls == ["on_stale"], lambda: f"the first call, so far: {calls}")
    writer.publish("a")
    eventually(lambda: calls.count("on_stale") == 2, lambda: f"the second call of on_stale, so far: {calls}")
    writer.publish("b")
    eventually(lambda: calls.count("on_scan") == 2, lambda: f"the second call of on_scan, so far: {calls}")

    assert caplog.text.count("on_stale raised an exception") == 1
    assert caplog.text.count("RuntimeError: a fault in on_scan") == 1
