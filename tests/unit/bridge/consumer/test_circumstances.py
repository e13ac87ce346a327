"""Why no fresh scan comes: what is concluded from what Hazelcast and the bridges say, and from their silence."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from support.scan_values import SECOND_NS, provenance

from bridge.consumer.circumstances import BridgeReport, Circumstances, LastHeard, heard, parse_report
from bridge.consumer.errors import StaleCause
from bridge.consumer.scan import Scan
from bridge.model.order import OrderKey
from bridge.model.status import BridgeStatus, SourceStatus, from_ns

NOW_NS = 1_800_000_000 * SECOND_NS
NOW_S = 5000.0
HELD = provenance("2026-03-24/b.arrow", NOW_NS)
SCAN = Scan(pa.table({}), HELD, 0, NOW_S, 0.0)
AT = (NOW_S, NOW_NS)


def report(instance: str = "bridge-1", silent_s: float = 1.0, **changes: Any) -> BridgeReport:
    values = {"heartbeat_s": 5.0, "stopped": False, "source_state": "ok", "newest": HELD.held.key}
    return BridgeReport(instance, NOW_NS - int(silent_s * SECOND_NS), **{**values, **changes})


NEWER = OrderKey(NOW_NS + 1, "2026-03-24/c.arrow")


@pytest.mark.parametrize(
    ("reports", "cause", "detail"),
    [
        ([], StaleCause.NO_BRIDGE_ALIVE, "none has said how it is"),
        ([report(silent_s=40)], StaleCause.NO_BRIDGE_ALIVE, "bridge-1 is silent for 40 s"),
        ([report(silent_s=40), report("bridge-2", 60)], StaleCause.NO_BRIDGE_ALIVE, "bridge-1 is silent for 40 s"),
        ([report(stopped=True)], StaleCause.NO_BRIDGE_ALIVE, "bridge-1 was stopped"),
        ([report(source_state="missing")], StaleCause.SOURCE_UNREADABLE, "bridge-1 says: missing"),
        ([report(newest=NEWER)], StaleCause.BRIDGE_BEHIND, "2026-03-24/c.arrow"),
        ([report()], StaleCause.PRODUCER_STOPPED, "bridge-1 sees nothing newer on disk"),
        ([report(newest=None)], StaleCause.PRODUCER_STOPPED, "bridge-1 sees nothing newer on disk"),
        # One bridge of two that sees the folder is enough to know.
        ([report(), report("bridge-2", source_state="missing")], StaleCause.PRODUCER_STOPPED, "bridge-1 sees nothing"),
        ([report(), report("bridge-2", silent_s=99)], StaleCause.PRODUCER_STOPPED, "bridge-1 sees nothing newer"),
        ([report(), report("bridge-2", newest=NEWER)], StaleCause.BRIDGE_BEHIND, "2026-03-24/c.arrow"),
    ],
)
def test_the_cause_follows_from_what_the_bridges_say(
    reports: list[BridgeReport], cause: StaleCause, detail: str
) -> None:
    known = Circumstances()
    known.is_there()
    known.told(reports, AT)

    found, said = known.cause(SCAN, NOW_S)

    assert found is cause
    assert said.startswith(detail)


def test_while_hazelcast_does_not_answer_nothing_is_concluded_from_what_the_bridges_said_before() -> None:
    known = Circumstances()
    assert known.cause(SCAN, NOW_S) == (StaleCause.HAZELCAST_AWAY, "no answer yet")
    known.is_there()
    known.told([report()], AT)
    known.asked(NOW_S)
    assert known.cause(SCAN, NOW_S + 0.1)[0] is StaleCause.PRODUCER_STOPPED
    assert known.cause(SCAN, NOW_S + 2.0) == (StaleCause.HAZELCAST_AWAY, "no answer for 2.0 s")
    known.answered()
    assert known.cause(SCAN, NOW_S + 2.0)[0] is StaleCause.PRODUCER_STOPPED
    known.is_away("Connection refused")
    assert known.cause(SCAN, NOW_S + 3.0) == (StaleCause.HAZELCAST_AWAY, "Connection refused")
    known.is_there()
    assert known.cause(SCAN, NOW_S + 4.0)[0] is StaleCause.PRODUCER_STOPPED


def test_a_bridge_whose_clock_is_off_counts_as_alive_as_long_as_its_heartbeat_changes() -> None:
    hour_s = 3600
    first = heard(report(silent_s=hour_s), None, AT, looked_s=0.0)
    assert not first.alive(NOW_S)

    second = heard(report(silent_s=hour_s - 5), first, (NOW_S + 5, NOW_NS + 5 * SECOND_NS), looked_s=NOW_S)
    assert second.alive(NOW_S + 5)
    assert not second.alive(NOW_S + 21)


def test_a_bridge_whose_clock_is_ahead_dies_too_when_its_heartbeat_stands_still() -> None:
    first = heard(report(silent_s=-3600), None, AT, looked_s=0.0)
    assert first.alive(NOW_S)

    again = heard(report(silent_s=-3600), first, (NOW_S + 20, NOW_NS + 20 * SECOND_NS), looked_s=NOW_S + 19)
    assert not again.alive(NOW_S + 20)


def test_a_heartbeat_that_changed_while_nobody_looked_counts_from_when_it_says() -> None:
    long_ago = LastHeard(report(silent_s=90), NOW_S - 90)

    now = heard(report(silent_s=60), long_ago, AT, looked_s=NOW_S - 80)

    assert now.heard_s == NOW_S - 60


STATUS = BridgeStatus(
    instance="bridge-1",
    host="h",
    pid=1,
    version="1",
    started_at=from_ns(NOW_NS),
    heartbeat_at=from_ns(NOW_NS),
    heartbeat_s=5.0,
    source=SourceStatus(root="/", state="ok", watch_mode="inotify"),
)


def test_the_status_that_a_bridge_writes_is_understood() -> None:
    assert parse_report(STATUS.model_dump_json(), "scan_bridge", "latest") == report(silent_s=0, newest=None)


def changed(**changes: Any) -> str:
    return json.dumps({**json.loads(STATUS.model_dump_json()), **changes})


def test_a_bridge_of_another_map_or_key_says_nothing_about_this_one() -> None:
    own = {"map": "scan_bridge", "scan_key": "latest"}

    assert parse_report(changed(**own, state="stopped"), map_name="scan_bridge", scan_key="latest") == report(
        silent_s=0, newest=None, stopped=True
    )
    assert parse_report(changed(**{**own, "map": "other"}), "scan_bridge", "latest") is None
    assert parse_report(changed(**{**own, "scan_key": "other"}), "scan_bridge", "latest") is None


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "[" * 100_000, changed(heartbeat_at="soon"), changed(newest=7), changed(source=[])]
)
def test_what_is_no_status_is_left_out(text: str) -> None:
    assert parse_report(text, "scan_bridge", "latest") is None
