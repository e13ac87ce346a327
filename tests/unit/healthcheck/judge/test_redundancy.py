"""Two bridges of one map and key: each check goes by its own, and says when the other is missed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.health_cases import RUNNING, STOPPED, ago, config, earlier, entry, judged, snapshot, status

from bridge.model.status import BridgeStatus, Statuses
from healthcheck.judge.own_bridge import Watched, own_status
from healthcheck.model.finding import Cause, Finding, Severity
from healthcheck.model.observation import Known, Unknown

OWN = status(instance="bridge-1", host="host-1", pid=100)
OTHER = status(instance="bridge-2", host="host-2", pid=200, map="scan_bridge", scan_key="latest_eigen_scan")
SILENT = OTHER.model_copy(update={"heartbeat_at": ago(70)})
HERE = Watched("host-1", 100)


def redundancy(other: BridgeStatus, before: BridgeStatus | None = None, **answers: object) -> Finding:
    bridges = {"bridge-1": OWN, "bridge-2": other}
    past = earlier(bridges={"bridge-2": before}) if before else None
    return judged(snapshot(status=OWN, bridges=bridges, **answers), past)["redundancy"]


def test_another_bridge_that_fell_silent_is_a_warning_with_its_name_since_when_and_what_to_look_at() -> None:
    found = redundancy(SILENT)
    assert (found.severity, found.cause, found.action, found.groups) == (
        Severity.WARNING, Cause.OTHER_SILENT, "alert", ("ops",),
    )  # fmt: skip
    assert found.text.startswith("bridge-2 on host-2 fell silent 70 s ago, at 2026-03-24 08:13:50 UTC")
    assert "scan-bridge status --forget bridge-2" in found.text
    assert found.look_further == "on host-2: systemctl status 'dolphin-scan-bridge*'"
    assert found.since == ago(70)


@pytest.mark.parametrize(
    ("other", "before"),
    [
        (OTHER, None),
        (SILENT.model_copy(update={"state": "stopped"}), None),
        (SILENT.model_copy(update={"map": "another"}), None),
        (SILENT.model_copy(update={"scan_key": "another"}), None),
        (SILENT, OTHER.model_copy(update={"heartbeat_at": ago(130)})),
    ],
    ids=["alive", "stopped", "another map", "another key", "alive by a clock that is behind"],
)
def test_a_bridge_that_is_alive_stopped_or_of_another_key_is_not_missed(
    other: BridgeStatus, before: BridgeStatus | None
) -> None:
    assert redundancy(other, before).severity is Severity.OK


def test_a_heartbeat_that_stands_still_is_silence_whatever_its_date() -> None:
    ahead = OTHER.model_copy(update={"heartbeat_at": ago(-30)})
    assert redundancy(ahead, before=ahead).cause is Cause.OTHER_SILENT


def test_alone_there_is_nothing_to_miss_and_unread_is_unknown() -> None:
    assert judged(snapshot())["redundancy"].severity is Severity.OK
    assert judged(snapshot(bridges=Unknown("away", "test")))["redundancy"].severity is Severity.UNKNOWN


def test_two_that_claim_one_name_are_told() -> None:
    own = config().status.instance
    twin = OTHER.model_copy(update={"instance": own})
    mine = OWN.model_copy(update={"instance": own})
    found = judged(snapshot(status=mine, bridges={own: mine, f"{own}@host-2": twin}))["redundancy"]
    assert (found.severity, found.cause) == (Severity.WARNING, Cause.CLAIMED_TWICE)
    assert "host-2 (pid 200)" in found.text


# ---- whose heartbeat is whose


@pytest.mark.parametrize("unit", [STOPPED, RUNNING], ids=["stopped", "frozen"])
def test_with_the_own_bridge_gone_and_fresh_data_it_says_through_which_bridge_it_flows(unit: object) -> None:
    own = OWN.model_copy(update={"heartbeat_at": ago(70)})
    now = snapshot(
        unit=unit, status=own, bridges={"bridge-1": own, "bridge-2": OTHER}, entry=replace(entry(1), bridge="bridge-2")
    )
    rule = "process_stopped" if unit is STOPPED else "hazelcast"
    found = judged(now)
    assert found[rule].severity.is_bad
    assert found[rule].text.endswith("; the data still flows through bridge-2")
    assert found["stale_data"].severity is Severity.OK


def test_old_data_flows_through_nobody() -> None:
    own = OWN.model_copy(update={"heartbeat_at": ago(70)})
    now = snapshot(status=own, bridges={"bridge-2": OTHER}, entry=replace(entry(90), bridge="bridge-2"))
    assert "still flows" not in judged(now)["hazelcast"].text


def test_scans_that_the_other_publishes_count_as_published() -> None:
    own = OWN.model_copy(update={"files_per_min_1m": 0.0, "files_per_min_5m": 0.0})
    assert judged(snapshot(status=own))["few_files"].severity is Severity.CRITICAL
    found = judged(snapshot(status=own, bridges={"bridge-1": own, "bridge-2": OTHER}))["few_files"]
    assert found.severity is Severity.OK
    assert found.text.endswith("by 2 bridges together")


def statuses(*bridges: BridgeStatus, **unreadable: str) -> Known[Statuses]:
    return Known(Statuses({f"{one.instance}@{one.host}": one for one in bridges}, unreadable), "test")


def test_the_own_status_is_never_anothers() -> None:
    named = config().model_copy(update={"status": config().status.model_copy(update={"instance": "bridge-1"})})
    twin = OTHER.model_copy(update={"instance": "bridge-1"})
    assert own_status(statuses(OWN, OTHER, twin), HERE, named) == Known(OWN, "test")
    assert own_status(statuses(OTHER), HERE, named) == Known(None, "test")
    taken = own_status(statuses(twin), HERE, named)
    assert isinstance(taken, Unknown)
    assert "a bridge on host-2" in taken.reason
    unreadable = own_status(statuses(OTHER, **{"bridge-1": "no JSON"}), HERE, named)
    assert unreadable == Unknown("no JSON", "test")


def test_a_unit_that_gives_its_bridge_another_name_is_found_by_its_process() -> None:
    assert own_status(statuses(OWN, OTHER), HERE, config()) == Known(OWN, "test")


def test_from_another_host_the_named_bridge_is_watched_or_whichever_is_there() -> None:
    elsewhere = Watched(None)
    assert own_status(statuses(OWN), elsewhere, config()) == Known(OWN, "test")
    fresher = OTHER.model_copy(update={"heartbeat_at": ago(0)})
    assert own_status(statuses(OWN, fresher), elsewhere, config()) == Known(fresher, "test")


def test_a_bridge_on_another_host_of_the_same_name_is_not_the_own_one() -> None:
    here = Watched("host-1", 100, "a1")
    named = config().model_copy(update={"status": config().status.model_copy(update={"instance": "bridge-1"})})
    there = OWN.model_copy(update={"host_id": "a2"})
    found = own_status(statuses(there), here, named)
    assert isinstance(found, Unknown)
    assert "is a bridge on host-1, another host of that name, not the one of this host" in found.reason
    own = OWN.model_copy(update={"host_id": "a1", "heartbeat_at": ago(300)})
    twin = there.model_copy(update={"instance": "twin"})
    assert own_status(statuses(own, twin), here, config()) == Known(own, "test")
    assert own_status(statuses(OWN), here, config()) == Known(OWN, "test"), "an earlier version does not say it"
