"""The rules: what each says of which snapshot."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.health_cases import (
    ABOUT_TO_RESTART,
    AWAY,
    FAILED,
    LOCAL,
    NOW,
    REACHED,
    REFUSES,
    REMOTE,
    RUNNING,
    STOPPED,
    ago,
    clock,
    config,
    earlier,
    entry,
    evaluate,
    judged,
    scan,
    snapshot,
    status,
)

from bridge.model.status import (
    BridgeStatus,
    Counters,
    HistoryStatus,
    LagQuantiles,
    NewestStatus,
    SourceState,
    SourceStatus,
)
from healthcheck.judge.previous_check import count, remember
from healthcheck.model.condition import CheckCondition
from healthcheck.model.finding import Cause, Severity
from healthcheck.model.observation import CpuReading, DiskView, JournalBatch, JournalLine, Unknown

NOTHING = Unknown("broken", "test")
OLD = {"entry": entry(90), "disk": DiskView("ok", "", scan(90), scan(90))}
WAITING = {"entry": entry(90), "disk": DiskView("ok", "", scan(1), scan(12))}


def source_is(state: SourceState) -> BridgeStatus:
    return status(source=SourceStatus(root="/data/scans", state=state, watch_mode="inotify"))


# Nothing was published lately, and the same was so a minute ago.
BEFORE_OLD = {"entry": entry(90), "disk": DiskView("ok", "", scan(90), scan(90))}


def test_a_healthy_bridge_makes_every_rule_content() -> None:
    findings = judged(snapshot(), earlier())
    assert {f.severity for f in findings.values()} == {Severity.OK}
    assert set(findings) == {name for name, _ in config().health.rules}


def test_the_first_check_of_a_healthy_bridge_is_content_too() -> None:
    assert {f.severity for f in judged(snapshot()).values()} == {Severity.OK}


@pytest.mark.parametrize(
    ("age_s", "severity", "groups"),
    [
        (30, Severity.OK, ()),
        (31, Severity.WARNING, ("ops",)),
        (60, Severity.WARNING, ("ops",)),
        (61, Severity.CRITICAL, ("ops", "trading")),
    ],
)
def test_stale_data_warns_after_30_s_and_is_critical_after_60_s(
    age_s: float, severity: Severity, groups: tuple[str, ...]
) -> None:
    found = judged(snapshot(entry=entry(age_s), disk=DiskView("ok", "", scan(1), scan(12))))["stale_data"]
    assert (found.severity, found.groups) == (severity, groups)


STALE_CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, Cause, str]] = {
    "nothing newer on disk": (OLD, BEFORE_OLD, Cause.PRODUCER_STOPPED, "alert"),
    "a newer scan has just landed": (
        {**OLD, "disk": DiskView("ok", "", scan(2), scan(90))},
        BEFORE_OLD,
        Cause.PRODUCER_STOPPED,
        "alert",
    ),
    "an old file was moved in just now": (
        {**OLD, "disk": DiskView("ok", "", scan(40, landed_s=1), scan(90))},
        BEFORE_OLD,
        Cause.PRODUCER_STOPPED,
        "alert",
    ),
    "a newer scan waits, the bridge is alive": (WAITING, BEFORE_OLD, Cause.BRIDGE_STUCK, "restart_bridge"),
    "a newer scan waits, the bridge is silent": (
        {**WAITING, "status": status(80)},
        BEFORE_OLD,
        Cause.BRIDGE_STUCK,
        "restart_bridge",
    ),
    "more new files than a look keeps": (
        {"entry": entry(200), "disk": DiskView("ok", "", scan(1), None)},
        {"entry": entry(200), "disk": DiskView("ok", "", scan(61), scan(72))},
        Cause.BRIDGE_STUCK,
        "restart_bridge",
    ),
    "a newer scan waits, but the cluster was away a minute ago": (
        WAITING,
        {**BEFORE_OLD, "hazelcast": AWAY, "status": NOTHING},
        Cause.RECOVERING,
        "alert",
    ),
    "a newer scan waits, but the source was away a minute ago": (
        WAITING,
        {**BEFORE_OLD, "disk": DiskView("missing", "gone")},
        Cause.RECOVERING,
        "alert",
    ),
    "a newer scan waits, but the bridge has just started": (
        {**WAITING, "unit": replace(RUNNING, uptime_s=3.0)},
        BEFORE_OLD,
        Cause.RECOVERING,
        "alert",
    ),
    "only bad files since the last publish": (
        {**WAITING, "status": status(counters=Counters(published=900, bad=4))},
        BEFORE_OLD,
        Cause.ALL_BAD,
        "alert",
    ),
    "bad files, but the bridge does not know the one that waits": (
        {
            **WAITING,
            "status": status(
                counters=Counters(published=900, bad=4),
                newest=NewestStatus(path="2026-03-24/scan.arrow", mtime_ns=1),
            ),
        },
        BEFORE_OLD,
        Cause.BRIDGE_STUCK,
        "restart_bridge",
    ),
    "the cluster is away": (
        {**OLD, "hazelcast": AWAY, "entry": NOTHING, "status": NOTHING},
        BEFORE_OLD,
        Cause.HAZELCAST_AWAY,
        "alert",
    ),
    "the bridge was stopped": ({**WAITING, "unit": STOPPED}, BEFORE_OLD, Cause.BRIDGE_DOWN, "alert"),
    "the bridge has failed": ({**WAITING, "unit": FAILED}, BEFORE_OLD, Cause.BRIDGE_DOWN, "alert"),
    "the source is gone": (
        {**OLD, "disk": DiskView("missing", "/data/scans does not exist"), "status": source_is("missing")},
        BEFORE_OLD,
        Cause.SOURCE_AWAY,
        "alert",
    ),
    "the source does not answer": (
        {**OLD, "disk": DiskView("unreadable", "no answer within 8 s")},
        BEFORE_OLD,
        Cause.SOURCE_AWAY,
        "alert",
    ),
    "the source is gone, and the bridge is silent": (
        {**OLD, "disk": DiskView("missing", "/data/scans does not exist"), "status": status(80)},
        BEFORE_OLD,
        Cause.SOURCE_AWAY,
        "alert",
    ),
    "the source is hidden from the check, not from the bridge": (
        {**OLD, "disk": DiskView("missing", "/data/scans does not exist"), "status": status(newest=None)},
        BEFORE_OLD,
        Cause.PRODUCER_STOPPED,
        "alert",
    ),
    "the source has no day folder any more": (
        {**OLD, "disk": DiskView("empty", "no day folder"), "status": source_is("empty")},
        BEFORE_OLD,
        Cause.SOURCE_AWAY,
        "alert",
    ),
    "the disk is unknown, the bridge says the source is gone": (
        {
            **OLD,
            "disk": NOTHING,
            "status": source_is("missing"),
        },
        BEFORE_OLD,
        Cause.SOURCE_AWAY,
        "alert",
    ),
    "the disk is unknown, the bridge sees a newer scan": (
        {**OLD, "disk": NOTHING},
        BEFORE_OLD,
        Cause.BRIDGE_STUCK,
        "alert",
    ),
    "the disk is unknown, the bridge sees nothing newer": (
        {**OLD, "disk": NOTHING, "status": status(newest=None)},
        BEFORE_OLD,
        Cause.PRODUCER_STOPPED,
        "alert",
    ),
    "from elsewhere, the bridge is silent": (
        {**OLD, "scope": REMOTE, "unit": NOTHING, "disk": NOTHING, "status": status(80)},
        BEFORE_OLD,
        Cause.BRIDGE_SILENT,
        "alert",
    ),
    "from elsewhere, the bridge does not publish what it sees": (
        {**OLD, "scope": REMOTE, "unit": NOTHING, "disk": NOTHING},
        BEFORE_OLD,
        Cause.BRIDGE_STUCK,
        "alert",
    ),
    "from elsewhere, all new files are bad": (
        {
            **OLD,
            "scope": REMOTE,
            "unit": NOTHING,
            "disk": NOTHING,
            "status": status(counters=Counters(published=900, bad=4)),
        },
        BEFORE_OLD,
        Cause.ALL_BAD,
        "alert",
    ),
}


@pytest.mark.parametrize("case", STALE_CASES)
def test_the_cause_of_stale_data_is_named_and_only_the_action_that_helps_is_taken(case: str) -> None:
    answers, before, cause, action = STALE_CASES[case]
    found = judged(snapshot(**answers), earlier(**before) if before is not None else None)["stale_data"]
    assert (found.severity, found.cause, found.action) == (Severity.CRITICAL, cause, action)
    assert found.text
    assert found.look_further


DENIED = "/data/scans/2026-03-24: Permission denied"


def source_says(state: SourceState, reason: str, **more: Any) -> BridgeStatus:
    source = SourceStatus(root="/data/scans", state=state, watch_mode="inotify", reason=reason)
    return status(source=source, **more)


@pytest.mark.parametrize("state", ["ok", "unreadable"])
def test_a_folder_that_only_the_bridge_cannot_read_is_told_with_its_reason_and_no_restart(state: SourceState) -> None:
    """The check is run by root, say; the folder's mode keeps the bridge out."""
    found = judged(snapshot(**WAITING, status=source_says(state, DENIED)), earlier(**BEFORE_OLD))["stale_data"]
    assert (found.cause, found.action) == (Cause.SOURCE_AWAY, "alert")
    assert DENIED in found.text
    assert found.look_further == "namei -l /data/scans/2026-03-24/scan.arrow"


def test_another_folder_that_the_bridge_cannot_read_does_not_excuse_one_that_is_stuck_but_is_told() -> None:
    older = "/data/scans/2026-03-20: Permission denied"
    found = judged(snapshot(**WAITING, status=source_says("ok", older)), earlier(**BEFORE_OLD))["stale_data"]
    assert (found.cause, found.action) == (Cause.BRIDGE_STUCK, "restart_bridge")
    assert older in found.text


def test_a_source_that_only_the_bridge_misses_is_told_so_and_a_restart_may_bring_it_back() -> None:
    """A mount that came after the unit's own view of the file systems, say."""
    missing = source_says("missing", "/data/scans does not exist")
    found = judged(snapshot(**WAITING, status=missing), earlier(**BEFORE_OLD))["stale_data"]
    assert (found.cause, found.action) == (Cause.BRIDGE_STUCK, "restart_bridge")
    assert "the bridge says of its source: /data/scans does not exist" in found.text


def test_without_a_look_at_the_disk_what_the_bridge_cannot_read_explains_that_it_sees_nothing_newer() -> None:
    blind = source_says("ok", DENIED, newest=None)
    found = judged(snapshot(**OLD | {"disk": NOTHING}, status=blind), earlier(**BEFORE_OLD))["stale_data"]
    assert found.cause is Cause.SOURCE_AWAY
    assert DENIED in found.text


def test_where_both_see_a_source_that_is_away_but_differently_both_reasons_are_told() -> None:
    hangs = DiskView("unreadable", "/data/scans: no answer within 8 s")
    found = judged(snapshot(**OLD | {"disk": hangs}, status=source_says("missing", "gone")), earlier(**BEFORE_OLD))
    assert "no answer within 8 s; the bridge says: gone" in found["stale_data"].text


def test_bad_files_counted_since_a_restart_of_the_bridge_explain_that_nothing_was_published() -> None:
    restarted = status(started_at=ago(40), counters=Counters(published=0, bad=2))
    found = judged(snapshot(**WAITING, status=restarted), earlier(**BEFORE_OLD))["stale_data"]
    assert found.cause is Cause.ALL_BAD


def test_bad_files_of_the_interval_in_which_the_last_scan_was_published_count_as_since_then() -> None:
    """When in it they came cannot be told, and a needless restart would be worse than none."""
    counted = None
    for published, bad in [(900, 1), (950, 4), (950, 4)]:
        counted = count(status(counters=Counters(published=published, bad=bad)), counted)
    assert counted is not None
    assert counted.bad_since_published == 3


def test_bad_files_before_the_last_publish_do_not_excuse_a_bridge_that_is_stuck() -> None:
    old_bad = status(counters=Counters(published=900, bad=4))
    before = earlier(**BEFORE_OLD, status=status(61, counters=Counters(published=900, bad=4)))
    assert judged(snapshot(**WAITING, status=old_bad), before)["stale_data"].cause is Cause.BRIDGE_STUCK


def test_a_misdated_scan_that_the_bridge_rightly_leaves_alone_does_not_count_as_waiting() -> None:
    landed_earlier = scan(-7200, landed_s=300)
    on_disk = DiskView("ok", "", landed_earlier, landed_earlier)
    found = judged(snapshot(entry=entry(90), disk=on_disk), earlier(**BEFORE_OLD))["stale_data"]
    assert found.cause is Cause.PRODUCER_STOPPED


def test_an_empty_map_is_unknown_at_first_sight_and_stale_once_it_lasts() -> None:
    empty = snapshot(entry=None)
    first = judged(empty, earlier())["stale_data"]
    lasting = replace(earlier(), no_entry_s=10.0, entry=None, entry_age_s=None)
    later = judged(empty, lasting)["stale_data"]
    assert (first.severity, later.severity) == (Severity.UNKNOWN, Severity.CRITICAL)
    assert later.cause is Cause.BRIDGE_STUCK


def test_without_any_earlier_check_an_empty_map_is_as_old_as_the_bridge() -> None:
    assert judged(snapshot(entry=None))["stale_data"].severity is Severity.CRITICAL
    young = snapshot(entry=None, unit=replace(RUNNING, uptime_s=5.0))
    assert judged(young)["stale_data"].severity is Severity.UNKNOWN


def test_a_source_without_any_day_folder_is_no_lost_mount_while_nothing_was_ever_published() -> None:
    empty = snapshot(entry=None, disk=DiskView("empty", "no day folder"), status=source_is("empty"))
    found = judged(empty)["stale_data"]
    assert found.cause is Cause.PRODUCER_STOPPED


@pytest.mark.parametrize("before_s", [10.0, 60.0])
@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_clock_makes_nothing_stale_and_is_told_as_what_it_is(step_s: float, before_s: float) -> None:
    stepped = snapshot(clock=clock(step_s=step_s))
    findings = judged(stepped, earlier(before_s))
    assert findings["clock"].severity is Severity.WARNING
    assert findings["clock"].cause is Cause.CLOCK_STEPPED
    assert not findings["stale_data"].severity.is_bad
    assert not findings["hazelcast"].severity.is_bad


def test_data_that_stays_old_through_a_step_of_the_clock_is_still_stale() -> None:
    stepped = snapshot(**WAITING, clock=clock(step_s=-3600))
    found = judged(stepped, earlier(**BEFORE_OLD))["stale_data"]
    assert found.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("landed_s", "cause"), [(12, Cause.BRIDGE_STUCK), (RUNNING.uptime_s + 100, Cause.PRODUCER_STOPPED)]
)
def test_after_the_clock_was_stepped_back_only_what_landed_since_the_bridge_started_waits(
    landed_s: float, cause: Cause
) -> None:
    """As the bridge has it: what lay there before may be older than what it holds, whose time is yet to come."""
    on_disk = scan(landed_s, landed_s=landed_s)
    before = replace(earlier(60.0), entry=entry(-7200), entry_age_s=100.0)
    found = judged(snapshot(entry=entry(-7200), disk=DiskView("ok", "", on_disk, on_disk)), before)["stale_data"]
    assert (found.severity, found.cause) == (Severity.CRITICAL, cause)


def test_what_another_bridge_published_by_a_clock_ahead_is_as_new_as_it_says() -> None:
    on_disk = scan(12)
    ahead = replace(entry(-7200), bridge="bridge-2")
    before = replace(earlier(60.0), entry=ahead, entry_age_s=100.0)
    found = judged(snapshot(entry=ahead, disk=DiskView("ok", "", on_disk, on_disk)), before)["stale_data"]
    assert found.cause is Cause.PRODUCER_STOPPED, "the bridge does not publish what is on disk, and is right"


def test_a_scan_published_in_the_future_is_told_even_without_an_earlier_check() -> None:
    findings = judged(snapshot(entry=entry(-100)))
    assert findings["clock"].cause is Cause.CLOCK_STEPPED
    assert findings["stale_data"].severity is Severity.UNKNOWN


def test_a_cluster_that_the_check_cannot_reach_is_critical_and_no_reason_to_restart() -> None:
    found = judged(snapshot(hazelcast=AWAY, entry=NOTHING, status=NOTHING), earlier())["hazelcast"]
    assert (found.severity, found.cause, found.action) == (Severity.CRITICAL, Cause.HAZELCAST_AWAY, "alert")
    assert found.groups == ("ops",)


def test_a_cluster_that_refuses_the_check_is_told_as_such_and_is_no_reason_to_restart() -> None:
    findings = judged(snapshot(hazelcast=REFUSES, entry=NOTHING, status=NOTHING), earlier(**BEFORE_OLD))
    for rule, groups in {"hazelcast": ("ops",), "stale_data": ("ops", "trading")}.items():
        found = findings[rule]
        assert (found.severity, found.cause, found.action) == (Severity.CRITICAL, Cause.HAZELCAST_REFUSES, "alert")
        assert found.groups == groups
        assert "refused: Authentication failed" in found.text
        assert "cannot reach" not in found.text


def test_a_bridge_that_the_cluster_refuses_says_so_where_it_cannot_write_its_status_and_is_not_restarted() -> None:
    own_word = "published 7; hazelcast refuses (prod@10.0.0.5:5701): set bridge_status: SplitBrainProtectionException"
    found = judged(snapshot(status=status(21), unit=replace(RUNNING, status_text=own_word)), earlier())["hazelcast"]
    assert (found.severity, found.cause, found.action) == (Severity.CRITICAL, Cause.HAZELCAST_REFUSES, "alert")
    assert own_word in found.text


@pytest.mark.parametrize("heard", [status(21), None])
def test_a_bridge_that_is_not_heard_through_a_cluster_within_reach_is_restarted(heard: object) -> None:
    found = judged(snapshot(status=heard), earlier())["hazelcast"]
    assert (found.severity, found.cause, found.action) == (Severity.CRITICAL, Cause.CLIENT_WEDGED, "restart_bridge")


def test_a_heartbeat_that_stands_still_is_silence_whatever_its_date() -> None:
    ahead = status(-600)
    before = earlier(status=ahead)
    assert judged(snapshot(status=ahead), before)["hazelcast"].cause is Cause.CLIENT_WEDGED


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ({"status": status(40)}, {"hazelcast": AWAY, "status": NOTHING}),
        ({"status": status(40), "unit": replace(RUNNING, uptime_s=2.0)}, {}),
    ],
)
def test_a_bridge_that_is_just_back_is_not_restarted_and_not_called_healthy(
    now: dict[str, Any], before: dict[str, Any]
) -> None:
    found = judged(snapshot(**now), earlier(**before))["hazelcast"]
    assert (found.severity, found.cause) == (Severity.UNKNOWN, Cause.RECOVERING)


@pytest.mark.parametrize("away", [{"hazelcast": AWAY, "status": NOTHING}, {"disk": DiskView("missing", "gone")}])
def test_checks_within_seconds_of_each_other_give_what_is_just_back_the_same_time(away: dict[str, Any]) -> None:
    back = {"status": status(40), "disk": DiskView("ok", "", scan(1), scan(12))}
    second = remember(snapshot(**back, clock=clock(-4)), earlier(8, **away), 5.0)
    found = judged(snapshot(**back), second)["hazelcast"]
    assert (found.severity, found.cause) == (Severity.UNKNOWN, Cause.RECOVERING), "8 s ago, and grace_s is 10"
    third = remember(snapshot(**back), second, 5.0)
    assert judged(snapshot(**back, clock=clock(4)), third)["hazelcast"].cause is Cause.CLIENT_WEDGED


def test_from_elsewhere_a_silent_bridge_is_told_but_nothing_is_restarted() -> None:
    found = judged(snapshot(scope=REMOTE, unit=NOTHING, disk=NOTHING, status=status(40)), earlier())
    assert (found["hazelcast"].cause, found["hazelcast"].action) == (Cause.BRIDGE_SILENT, "alert")
    assert not {"process_crash", "process_stopped", "cpu", "memory"} & set(found)
    assert found["blind"].severity is Severity.OK


def test_a_stopped_bridge_is_no_failure_of_the_cluster() -> None:
    assert judged(snapshot(unit=STOPPED, status=status(600)), earlier())["hazelcast"].severity is Severity.OK


CRASH_CASES: dict[str, tuple[Any, Any, Severity, Cause | None]] = {
    "running on": (RUNNING, RUNNING, Severity.OK, None),
    "restarted by systemd": (replace(RUNNING, n_restarts=1), RUNNING, Severity.CRITICAL, Cause.CRASHED),
    "restarted by hand": (replace(RUNNING, invocation_id="b2"), RUNNING, Severity.OK, None),
    "restarted by hand, then crashed": (
        replace(RUNNING, n_restarts=1),
        replace(RUNNING, n_restarts=4),
        Severity.CRITICAL,
        Cause.CRASHED,
    ),
    "dead, systemd restarts it": (ABOUT_TO_RESTART, RUNNING, Severity.CRITICAL, Cause.CRASHED),
    "that crash was told already": (replace(RUNNING, n_restarts=1), ABOUT_TO_RESTART, Severity.OK, None),
    "crashed again after that": (
        replace(RUNNING, n_restarts=2),
        ABOUT_TO_RESTART,
        Severity.CRITICAL,
        Cause.CRASHED,
    ),
    "systemd gave up": (FAILED, RUNNING, Severity.CRITICAL, Cause.GAVE_UP),
    "systemd gave up, first check": (FAILED, None, Severity.CRITICAL, Cause.GAVE_UP),
    "crashes before the first check": (replace(RUNNING, n_restarts=9), None, Severity.OK, None),
    "stopped by an operator": (STOPPED, RUNNING, Severity.OK, None),
    "starting": (
        replace(STOPPED, active_state="activating", sub_state="start"),
        STOPPED,
        Severity.UNKNOWN,
        None,
    ),
    "unknown": (NOTHING, RUNNING, Severity.UNKNOWN, None),
}


@pytest.mark.parametrize("case", CRASH_CASES)
def test_a_crash_is_told_once_and_a_deliberate_restart_is_none(case: str) -> None:
    unit, before, severity, cause = CRASH_CASES[case]
    found = judged(snapshot(unit=unit), earlier(unit=before) if before else None)["process_crash"]
    assert (found.severity, found.cause) == (severity, cause)
    if severity is Severity.CRITICAL:
        assert found.action == "auto_restart"


def test_a_unit_whose_sandbox_systemd_cannot_make_is_told_with_what_that_may_be() -> None:
    failed = replace(FAILED, exec_main_code="exited", exec_main_status=226)
    assert "is there no room left on /" in judged(snapshot(unit=failed), earlier())["process_crash"].text


def test_a_unit_that_failed_is_told_with_what_happens_next() -> None:
    assert "its retry timer starts it again" in judged(snapshot(unit=FAILED), earlier())["process_crash"].text
    hung = replace(FAILED, result="timeout")
    assert "when it was stopped, so it was killed" in judged(snapshot(unit=hung), earlier())["process_crash"].text


def test_a_crash_is_told_with_what_the_journal_says_of_it() -> None:
    line = JournalLine(NOW, 4, "x.service: Main process exited, code=killed, status=9/KILL\n")
    crashed = snapshot(unit=replace(RUNNING, n_restarts=1), journal=JournalBatch((line,), "c"))
    assert r"status=9/KILL\n)" in judged(crashed, earlier())["process_crash"].text


def test_a_crash_for_want_of_memory_is_called_that() -> None:
    exited = JournalLine(NOW, 4, "x.service: Main process exited, code=killed, status=9/KILL")
    failed = JournalLine(NOW, 4, "x.service: Failed with result 'oom-kill'.")
    crashed = snapshot(unit=replace(RUNNING, n_restarts=1), journal=JournalBatch((exited, failed), "c"))
    assert "out of memory: the kernel killed it at MemoryMax=" in judged(crashed, earlier())["process_crash"].text


def test_a_bridge_stopped_by_an_operator_is_a_warning_of_its_own() -> None:
    findings = judged(snapshot(unit=STOPPED), earlier())
    stopped = findings["process_stopped"]
    assert (stopped.severity, stopped.cause, stopped.action) == (Severity.WARNING, Cause.STOPPED, "alert")
    assert "since the last check" in stopped.text
    assert findings["cpu"].severity is findings["memory"].severity is Severity.OK


MASKED = replace(STOPPED, is_masked=True, ended_at=ago(70))


def test_a_masked_unit_is_called_masked() -> None:
    stopped = judged(snapshot(unit=MASKED), earlier())["process_stopped"]
    assert stopped.title == "process_stopped (unit masked)"
    assert "its unit is masked, so nothing can start it" in stopped.text
    failed = judged(snapshot(unit=replace(FAILED, is_masked=True)), earlier())["process_crash"]
    assert (failed.title, failed.action) == ("process_crash (unit masked)", "alert")
    assert "nothing can start it" in failed.text
    assert "retry timer" not in failed.text
    running = judged(snapshot(unit=replace(RUNNING, is_masked=True)), earlier())["process_stopped"]
    assert (running.severity, running.text) == (Severity.OK, "the unit is active (running), masked")


def test_when_the_trouble_began_is_told_where_it_is_known() -> None:
    died = JournalLine(ago(40), 5, "x.service: Main process exited, code=killed, status=9/KILL")
    again = JournalLine(ago(20), 5, "x.service: Main process exited, code=killed, status=9/KILL")
    crashed = {"unit": replace(RUNNING, n_restarts=2), "journal": JournalBatch((died, again), "c")}
    cases: list[tuple[str, dict[str, Any], datetime | None]] = [
        ("stale_data", WAITING, ago(90)),
        ("process_stopped", {"unit": MASKED}, ago(70)),
        ("process_crash", {"unit": replace(FAILED, ended_at=ago(15))}, ago(15)),
        ("process_crash", crashed, ago(40)),
        ("process_crash", {"unit": replace(RUNNING, n_restarts=2)}, None),
        ("hazelcast", {"status": status(40)}, ago(40)),
        ("hazelcast", {"hazelcast": AWAY, "entry": NOTHING, "status": NOTHING}, None),
        ("memory", {"memory_bytes": 10**9}, None),
    ]
    for rule, answers, since in cases:
        found = judged(snapshot(**answers), earlier(**BEFORE_OLD))[rule]
        assert found.severity.is_bad
        assert found.since == since, (rule, answers)


def test_outside_expected_hours_the_silence_before_them_is_no_part_of_the_trouble() -> None:
    just_opened = config(expected=[{"from": "08:14:20", "to": "17:00"}])
    assert judged(snapshot(**OLD), earlier(**BEFORE_OLD), just_opened)["stale_data"].since == ago(40)


@pytest.mark.parametrize(
    ("used_s", "severity"),
    [(127.0, Severity.OK), (127.1, Severity.WARNING), (145.0, Severity.WARNING), (145.1, Severity.CRITICAL)],
)
def test_cpu_is_measured_from_check_to_check(used_s: float, severity: Severity) -> None:
    found = judged(snapshot(cpu=CpuReading(used_s, "systemd a1")), earlier())["cpu"]
    assert (found.severity, found.action) == (severity, "alert" if severity.is_bad else "log_only")


def test_cpu_of_a_new_process_is_measured_since_its_start_once_it_is_old_enough() -> None:
    new = {"cpu": CpuReading(40.0, "systemd b2")}
    young = judged(snapshot(**new, unit=replace(RUNNING, uptime_s=29.0)), earlier())["cpu"]
    old = judged(snapshot(**new, unit=replace(RUNNING, uptime_s=50.0)), earlier())["cpu"]
    assert (young.severity, old.severity) == (Severity.UNKNOWN, Severity.WARNING)
    assert old.numbers[0].value == pytest.approx(80)


@pytest.mark.parametrize(
    ("used", "severity", "action"),
    [
        (100_000_000, Severity.OK, "log_only"),
        (100_000_001, Severity.WARNING, "alert"),
        (500_000_000, Severity.WARNING, "alert"),
        (500_000_001, Severity.CRITICAL, "restart_bridge"),
    ],
)
def test_memory_over_100_mb_is_told_and_over_500_mb_restarted(used: int, severity: Severity, action: str) -> None:
    found = judged(snapshot(memory_bytes=used), earlier())["memory"]
    assert (found.severity, found.action) == (severity, action)


@pytest.mark.parametrize(("p90_ms", "severity"), [(10_000.0, Severity.OK), (10_001.0, Severity.WARNING)])
def test_high_lag_is_logged_only(p90_ms: float, severity: Severity) -> None:
    found = judged(snapshot(status=status(lag_ms=LagQuantiles(p90=p90_ms))), earlier())["high_lag"]
    assert (found.severity, found.action) == (severity, "log_only")


@pytest.mark.parametrize(
    ("minute", "five", "up_s", "severity"),
    [
        (1.0, 1.0, 3600, Severity.OK),
        (0.0, 0.2, 3600, Severity.WARNING),
        (0.0, 0.0, 3600, Severity.CRITICAL),
        (0.0, 0.0, 200, Severity.WARNING),  # not yet up for five minutes
        (0.0, 0.0, 50, Severity.OK),
    ],
)
def test_few_files_are_judged_over_windows_the_bridge_was_up_for(
    minute: float, five: float, up_s: float, severity: Severity
) -> None:
    bridge = status(files_per_min_1m=minute, files_per_min_5m=five, started_at=ago(up_s + 1))
    assert judged(snapshot(status=bridge), earlier())["few_files"].severity is severity


def test_the_first_scan_after_a_pause_counts_though_the_bridges_status_is_older_than_it() -> None:
    none = {"files_per_min_1m": 0.0, "files_per_min_5m": 0.0}
    found = judged(snapshot(status=status(4, **none), entry=entry(1)), earlier())["few_files"]
    assert (found.severity, found.text) == (Severity.OK, "1 scans published in the last minute, 1 in the last 5 min")
    known = judged(snapshot(status=status(1, **none), entry=entry(4)), earlier())["few_files"]
    assert known.severity is Severity.CRITICAL


def test_few_files_are_explained_by_stale_data_and_stale_data_by_what_is_down() -> None:
    none = status(files_per_min_1m=0.0, files_per_min_5m=0.0)
    stopped_producer = judged(snapshot(**OLD, status=none), earlier(**BEFORE_OLD))
    assert stopped_producer["few_files"].explained_by == "stale_data"
    assert stopped_producer["stale_data"].explained_by is None
    down = judged(snapshot(**WAITING, unit=STOPPED), earlier(**BEFORE_OLD))
    assert down["stale_data"].explained_by == "process_stopped"
    away = judged(snapshot(hazelcast=AWAY, entry=NOTHING, status=NOTHING), earlier(**BEFORE_OLD))
    assert away["stale_data"].explained_by == "hazelcast"


@pytest.mark.parametrize(
    ("history", "severity", "text"),
    [
        (None, Severity.OK, "no history is kept"),
        (HistoryStatus(missing=0), Severity.OK, "is complete"),
        (HistoryStatus(missing=9000, per_s=300, behind_s=299), Severity.OK, "lacks 9000 scans and gets 300 a second"),
        (HistoryStatus(missing=9000, per_s=2, behind_s=301), Severity.WARNING, "has lacked 9000 scans for 5 min"),
        (
            HistoryStatus(missing=0, behind_s=301, trouble="lost 7"),
            Severity.WARNING,
            "not stayed complete for 5 min: lost 7",
        ),
        (
            HistoryStatus(behind_s=3600, trouble="put: refused"),
            Severity.WARNING,
            "lacked scans for 60 min: put: re",
        ),
    ],
)
def test_a_history_that_stays_incomplete_is_told_by_the_bridges_own_word(
    history: HistoryStatus | None, severity: Severity, text: str
) -> None:
    found = judged(snapshot(status=status(history=history)), earlier())["history_behind"]
    assert found.severity is severity
    assert text in found.text
    assert found.cause is (Cause.HISTORY_BEHIND if severity is Severity.WARNING else None)


def test_with_a_history_which_has_a_process_of_its_own_twice_the_memory_is_usual() -> None:
    for used, severity in ((180e6, Severity.OK), (210e6, Severity.WARNING), (510e6, Severity.CRITICAL)):
        found = judged(snapshot(status=status(history=HistoryStatus()), memory_bytes=int(used)), earlier())["memory"]
        assert found.severity is severity
    assert judged(snapshot(memory_bytes=180_000_000), earlier())["memory"].severity is Severity.WARNING


def test_the_processor_may_be_busy_while_the_history_is_made_good() -> None:
    busy = {"cpu": CpuReading(160.0, "systemd a1")}
    before = earlier(cpu=CpuReading(100.0, "systemd a1"))
    assert judged(snapshot(**busy), before)["cpu"].severity is Severity.CRITICAL
    catching_up = status(history=HistoryStatus(missing=9000, per_s=300))
    assert judged(snapshot(**busy, status=catching_up), before)["cpu"].severity is Severity.OK


def test_outside_expected_hours_silence_is_healthy_and_the_process_is_still_watched() -> None:
    evening = config(expected=[{"from": "09:00", "to": "17:00"}])  # NOW is 08:15 UTC
    none = status(files_per_min_1m=0.0, files_per_min_5m=0.0)
    findings = judged(snapshot(**OLD, status=none, unit=FAILED), earlier(**BEFORE_OLD), evening)
    assert findings["stale_data"].severity is findings["few_files"].severity is Severity.OK
    assert findings["process_crash"].severity is Severity.CRITICAL


def test_silence_counts_from_the_hour_at_which_scans_are_expected() -> None:
    just_opened = config(expected=[{"from": "08:14:20", "to": "17:00"}])
    found = judged(snapshot(**OLD), earlier(**BEFORE_OLD), just_opened)["stale_data"]
    assert found.severity is Severity.WARNING  # 40 s of 90 s


def test_a_probe_without_an_answer_is_unknown_at_once_and_told_when_it_lasts() -> None:
    blind = snapshot(journal=NOTHING)
    assert judged(blind, earlier())["blind"].severity is Severity.UNKNOWN
    assert judged(blind, earlier(journal=NOTHING))["blind"].severity is Severity.UNKNOWN  # 60 s
    lasting = replace(earlier(journal=NOTHING), unknown_s={"journal": 31.0})
    found = judged(blind, lasting)["blind"]
    assert (found.severity, found.cause) == (Severity.WARNING, Cause.PROBE_BLIND)


def test_what_cannot_be_read_because_the_cluster_or_the_process_is_away_is_not_told_as_blindness() -> None:
    away = snapshot(hazelcast=AWAY, entry=NOTHING, status=NOTHING, unit=STOPPED, cpu=NOTHING, memory_bytes=NOTHING)
    assert judged(away, earlier())["blind"].severity is Severity.OK


def test_a_group_that_cannot_be_reached_is_not_told_of_that_itself() -> None:
    both = config(rules={"notifier": {"notify": ["ops", "trading"]}})
    found = judged(snapshot(), earlier(), both, CheckCondition(unreachable={"slack-webhook/ops": "HTTP 500"}))[
        "notifier"
    ]
    assert (found.severity, found.cause, found.groups) == (Severity.WARNING, Cause.NOTIFIER_FAILED, ("trading",))


def test_a_state_that_is_kept_in_the_spare_place_is_told() -> None:
    found = judged(snapshot(), earlier(), None, CheckCondition("/var/lib/x: No space left on device"))["state"]
    assert (found.severity, found.cause) == (Severity.WARNING, Cause.STATE_NOT_WRITABLE)


def test_of_the_check_itself_no_more_is_said_than_is_known() -> None:
    quiet = judged(snapshot(), earlier())
    assert quiet["notifier"].text == "no delivery has failed"
    assert judged(snapshot(), earlier(), config(groups={}))["notifier"].text == "no recipient is set: nobody is told"
    assert "written" not in quiet["state"].text, "a look writes nothing"


def test_a_rule_that_is_switched_off_says_nothing() -> None:
    off = config(rules={"cpu": {"enabled": False}, "stale_data": {"critical_s": "off"}})
    findings = judged(snapshot(**WAITING), earlier(**BEFORE_OLD), off)
    assert "cpu" not in findings
    assert findings["stale_data"].severity is Severity.WARNING


def test_threshold_action_and_recipients_can_be_changed() -> None:
    changed = config(
        rules={
            "high_lag": {"critical_s": 0.001, "critical_action": "restart_bridge", "critical_notify": ["trading"]},
            "process_stopped": {"severity": "critical", "action": "log_only"},
        }
    )
    findings = judged(snapshot(unit=STOPPED), earlier(), changed)
    assert (findings["high_lag"].severity, findings["high_lag"].action) == (Severity.CRITICAL, "restart_bridge")
    assert findings["high_lag"].groups == ("trading",)
    assert findings["process_stopped"].severity is Severity.CRITICAL


PROBED = ["hazelcast", "entry", "status", "unit", "cpu", "memory_bytes", "disk", "journal"]
NEEDS = {
    "stale_data": {"entry"},
    "hazelcast": {"hazelcast", "status"},
    "process_crash": {"unit"},
    "process_stopped": {"unit"},
    "cpu": {"cpu"},
    "memory": {"memory_bytes"},
    "high_lag": {"status"},
    "few_files": {"status"},
    "history_behind": {"status"},
    "blind": set(PROBED),
}

answers = st.fixed_dictionaries(
    {
        "hazelcast": st.sampled_from([REACHED, AWAY, NOTHING]),
        "entry": st.one_of(st.just(NOTHING), st.none(), st.floats(-100, 1000).map(entry)),
        "status": st.one_of(st.just(NOTHING), st.none(), st.floats(-100, 1000).map(status)),
        "unit": st.sampled_from([NOTHING, RUNNING, STOPPED, FAILED, ABOUT_TO_RESTART, replace(RUNNING, n_restarts=2)]),
        "cpu": st.one_of(st.just(NOTHING), st.floats(0, 500).map(lambda s: CpuReading(s, "systemd a1"))),
        "memory_bytes": st.one_of(st.just(NOTHING), st.integers(0, 10**9)),
        "disk": st.one_of(
            st.just(NOTHING),
            st.sampled_from([DiskView("missing", "x"), DiskView("empty", "x"), DiskView("unreadable", "x")]),
            st.tuples(st.floats(0, 1000), st.floats(0, 1000)).map(
                lambda ages: DiskView("ok", "", scan(min(ages)), scan(max(ages)))
            ),
        ),
        "journal": st.sampled_from([NOTHING, JournalBatch((), None)]),
        "scope": st.sampled_from([LOCAL, REMOTE]),
        "clock": st.floats(-4000, 4000).map(lambda step: clock(step_s=step if abs(step) > 100 else 0)),
    }
)


@given(now=answers, before=st.one_of(st.none(), answers))
def test_for_any_snapshot_every_rule_gives_one_finding_and_never_calls_the_unknown_healthy(
    now: dict[str, Any], before: dict[str, Any] | None
) -> None:
    present = snapshot(**now)
    past = earlier(**{**before, "clock": clock(-60)}) if before else None
    findings = evaluate(present, past)
    by_rule = {finding.rule: finding for finding in findings}
    assert len(by_rule) == len(findings)
    assert [f.severity.rank for f in findings] == sorted((f.severity.rank for f in findings), reverse=True)
    unit_is_down = present.unit != NOTHING and not present.unit.value.is_running  # type: ignore[union-attr]
    for rule, needed in NEEDS.items():
        if rule not in by_rule or by_rule[rule].severity is not Severity.OK:
            continue
        missing = {probe for probe in needed if getattr(present, probe) == NOTHING}
        if rule in ("cpu", "memory") and unit_is_down:
            continue
        if rule == "hazelcast" and unit_is_down:
            missing -= {"status"}
        if rule == "blind":
            missing -= {"unit", "cpu", "memory_bytes", "disk", "journal"} if not present.scope.is_local else set()
            missing -= {"cpu", "memory_bytes"} if unit_is_down else set()
            missing -= {"entry", "status"} if AWAY in (getattr(present.hazelcast, "value", None),) else set()
        assert not missing, (rule, by_rule[rule])
    for finding in findings:
        assert finding.text
        assert finding.severity is not Severity.UNKNOWN or not finding.groups
        if finding.severity.is_bad:
            assert finding.look_further
        if finding.explained_by:
            assert by_rule[finding.explained_by].severity.is_bad


@given(now=answers, before=st.one_of(st.none(), answers))
def test_a_restart_is_asked_for_only_where_one_can_help(now: dict[str, Any], before: dict[str, Any] | None) -> None:
    present = snapshot(**now)
    past = earlier(**{**before, "clock": clock(-60)}) if before else None
    for finding in evaluate(present, past):
        if finding.action == "restart_bridge":
            assert finding.severity is Severity.CRITICAL
            assert finding.cause in (Cause.BRIDGE_STUCK, Cause.CLIENT_WEDGED, Cause.OVER_LIMIT)
            if finding.cause is not Cause.OVER_LIMIT:
                assert not present.scope.is_local or getattr(present.unit, "value", RUNNING).is_running
                assert present.hazelcast != NOTHING
                assert getattr(present.hazelcast, "value", AWAY).reachable


def test_the_snapshot_has_no_probe_that_the_properties_leave_out() -> None:
    others = {"clock", "scope", "bridges"}
    assert {field.name for field in fields(snapshot())} - others == set(PROBED)
