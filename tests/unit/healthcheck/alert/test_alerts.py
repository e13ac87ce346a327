"""One alert per problem: what is told to whom, when, and how often. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthcheck.alert import alerts
from healthcheck.alert.alerts import Alerting
from healthcheck.config.settings import Alerts
from healthcheck.model.alert import Alert, Change
from healthcheck.model.finding import Action, Cause, Finding, Severity

START = datetime(2026, 3, 24, 8, 15, tzinfo=UTC)
ADDRESSES = {"ops": ("slack/ops", "mail/ops"), "trading": ("slack/trading",), "nobody": ()}
LIMITS = Alerts(repeat_s=3600, resolve_after_s=90, flap_s=1800)
OK, UNKNOWN, WARNING, CRITICAL = Severity.OK, Severity.UNKNOWN, Severity.WARNING, Severity.CRITICAL


def finding(
    rule: str = "memory",
    severity: Severity = CRITICAL,
    *,
    cause: Cause | None = Cause.OVER_LIMIT,
    groups: tuple[str, ...] = ("ops",),
    action: Action = "alert",
    explained_by: str | None = None,
) -> Finding:
    if not severity.is_bad:
        return Finding(rule, severity, "fine")
    return Finding(rule, severity, f"{rule} is {severity}", cause, action, groups, (), "look", explained_by)


class Story:
    """Checks one after the other, a minute apart, with every message delivered unless a block is in `deaf`."""

    def __init__(self, limits: Alerts = LIMITS) -> None:
        self.now = START
        self.alerts: tuple[Alert, ...] = ()
        self.past: tuple[Alert, ...] = ()
        self.deaf: set[str] = set()
        self.heard: dict[str, list[Change]] = defaultdict(list)
        self._limits = limits

    def check(self, *findings: Finding, muted: bool = False, after_s: float = 60) -> dict[str, list[str]]:
        """One check; what was delivered, as `kind rule`, by block."""
        self.now += timedelta(seconds=after_s)
        alerting = Alerting(self.now, self._limits, ADDRESSES, muted)
        self.alerts = alerting.plan(self.alerts, self.past, findings)
        told: dict[str, list[str]] = {}
        news = {} if muted else alerting.untold(self.alerts)
        for block, changes in news.items():
            if block in self.deaf:
                continue
            self.alerts = alerting.mark_told(self.alerts, block, changes)
            self.heard[block] += changes
            told[block] = [f"{change.kind} {change.title.split(' ')[0]}" for change in changes]
        over = [alert for alert in self.alerts if alert.is_settled(ADDRESSES)]
        self.past += tuple(over)
        self.alerts = tuple(alert for alert in self.alerts if alert not in over)
        return told

    def healthy(self, checks: int = 3, *rules: str) -> list[dict[str, list[str]]]:
        return [self.check(*(finding(rule, OK) for rule in rules or ("memory",))) for _ in range(checks)]


def test_a_problem_is_told_once_while_it_lasts_and_once_when_it_is_over() -> None:
    story = Story()
    assert story.check(finding()) == {"slack/ops": ["opened memory"], "mail/ops": ["opened memory"]}
    assert all(story.check(finding()) == {} for _ in range(10))
    assert story.healthy(5) == [
        {},
        {},
        {"slack/ops": ["resolved memory"], "mail/ops": ["resolved memory"]},
        {},
        {},
    ]
    assert story.alerts == ()


def test_a_problem_that_gets_worse_is_told_again_and_told_to_whom_it_now_concerns() -> None:
    story = Story()
    story.check(finding("stale_data", WARNING))
    told = story.check(finding("stale_data", CRITICAL, groups=("ops", "trading")))
    assert told == {
        "slack/ops": ["worsened stale_data"],
        "mail/ops": ["worsened stale_data"],
        "slack/trading": ["opened stale_data"],
    }


def test_a_problem_that_gets_better_and_worse_again_is_not_told_twice() -> None:
    story = Story()
    story.check(finding(severity=CRITICAL))
    told = [story.check(finding(severity=severity)) for severity in (WARNING, CRITICAL, WARNING, CRITICAL)]
    assert told == [{}] * 4


def test_a_problem_that_lasts_is_repeated_after_an_hour() -> None:
    story = Story()
    story.check(finding())
    told = [story.check(finding()) for _ in range(125)]
    assert [index for index, messages in enumerate(told) if messages] == [59, 119]
    assert told[59]["slack/ops"] == ["repeated memory"]


def test_a_cause_that_changes_is_news_once_and_no_new_problem() -> None:
    story = Story()
    story.check(finding("stale_data", cause=Cause.PRODUCER_STOPPED))
    changed = story.check(finding("stale_data", cause=Cause.BRIDGE_STUCK))
    assert changed["slack/ops"] == ["changed stale_data"]
    assert story.check(finding("stale_data", cause=Cause.PRODUCER_STOPPED)) == {}
    assert story.check(finding("stale_data", cause=Cause.RECOVERING)) == {}
    assert len(story.alerts) == 1


def test_a_consequence_belongs_to_the_problem_it_follows_from() -> None:
    story = Story()
    away = finding("hazelcast", cause=Cause.HAZELCAST_AWAY)
    story.check(away)
    stale = finding("stale_data", groups=("ops", "trading"), explained_by="hazelcast")
    assert story.check(away, stale) == {"slack/trading": ["opened hazelcast"]}
    # The cluster is back, the data not yet: still that problem, and over only when both are.
    back = finding("hazelcast", OK)
    assert story.check(back, replace(stale, explained_by=None, cause=Cause.RECOVERING)) == {}
    told = story.check(back, replace(stale, explained_by=None, cause=Cause.BRIDGE_STUCK))
    assert told["slack/ops"] == ["changed stale_data"]
    told = story.healthy(3, "hazelcast", "stale_data")
    assert told[-1] == {block: ["resolved stale_data"] for block in ("mail/ops", "slack/ops", "slack/trading")}


def test_the_title_is_what_is_wrong_now_also_where_a_consequence_outlives_its_cause() -> None:
    story = Story()
    away = finding("hazelcast", cause=Cause.HAZELCAST_AWAY)
    stale = finding("stale_data", cause=Cause.HAZELCAST_AWAY, explained_by="hazelcast")
    story.check(away, stale)
    back = finding("hazelcast", OK)
    story.check(back, finding("stale_data", cause=Cause.RECOVERING))
    assert story.alerts[0].title == "stale_data (just back, catching up)"
    story.check(back, finding("stale_data", cause=Cause.PRODUCER_STOPPED))
    assert story.heard["slack/ops"][-1].title == story.alerts[0].title == "stale_data (producer stopped)"
    assert story.alerts[0].sentences == ("stale_data is critical",)


def test_the_end_has_the_title_that_was_told_not_that_of_the_passing_return() -> None:
    story = Story()
    away = finding("hazelcast", cause=Cause.HAZELCAST_AWAY)
    story.check(away, finding("stale_data", cause=Cause.HAZELCAST_AWAY, explained_by="hazelcast"))
    story.check(finding("hazelcast", OK), finding("stale_data", cause=Cause.RECOVERING))
    story.healthy(3, "hazelcast", "stale_data")
    assert [change.title for change in story.heard["slack/ops"]] == ["hazelcast (Hazelcast away)"] * 2


def test_a_new_problem_while_an_old_one_is_called_over_is_told_under_its_own_title() -> None:
    story = Story()
    cut_off = finding("hazelcast", cause=Cause.CLIENT_WEDGED)
    story.check(cut_off, finding("stale_data", cause=Cause.BRIDGE_STUCK, explained_by="hazelcast"))
    story.healthy(1, "hazelcast", "stale_data")
    masked = finding("process_stopped", WARNING, cause=Cause.MASKED)
    stale = finding("stale_data", cause=Cause.BRIDGE_DOWN, groups=("ops", "trading"), explained_by="process_stopped")
    told = story.check(finding("hazelcast", OK), masked, stale)
    assert told["slack/ops"] == told["slack/trading"] == ["opened process_stopped"]
    assert story.alerts[-1].covers == ("process_stopped", "stale_data")
    told = story.check(finding("hazelcast", OK), masked, stale)
    assert told["slack/ops"] == ["resolved hazelcast"], "the old problem ends by itself"


def test_a_consequence_that_comes_back_alone_after_its_cause_was_gone_is_a_problem_of_its_own() -> None:
    story = Story()
    away = finding("hazelcast", cause=Cause.HAZELCAST_AWAY)
    story.check(away, finding("stale_data", cause=Cause.HAZELCAST_AWAY, explained_by="hazelcast"))
    story.healthy(1, "hazelcast", "stale_data")
    told = story.check(finding("hazelcast", OK), finding("stale_data", cause=Cause.PRODUCER_STOPPED))
    assert told["slack/ops"] == ["opened stale_data"]
    assert [alert.covers for alert in story.alerts] == [("hazelcast",), ("stale_data",)]


def test_a_problem_that_comes_back_before_it_was_called_over_is_the_same_one() -> None:
    story = Story()
    story.check(finding())
    story.healthy(1)
    assert story.check(finding()) == {}
    assert len(story.alerts) == 1


def test_whoever_was_not_told_how_bad_it_has_become_counts_as_untold() -> None:
    story = Story()
    story.check(finding("stale_data", WARNING))
    story.deaf = {"slack/ops"}
    story.check(finding("stale_data", CRITICAL))
    (shown,) = Alerting(story.now, LIMITS, ADDRESSES).standing(story.alerts)
    assert (shown.told, shown.untold) == (("mail/ops",), ("slack/ops",))


def test_a_reminder_that_failed_leaves_nobody_untold() -> None:
    story = Story()
    story.check(finding())
    story.deaf = {"slack/ops"}
    story.check(finding(), after_s=4000)
    assert Alerting(story.now, LIMITS, ADDRESSES).standing(story.alerts)[0].untold == ()


def test_an_alert_says_since_when_the_trouble_has_been_and_not_only_when_it_was_noticed() -> None:
    story = Story()
    began = START - timedelta(seconds=45)
    story.check(finding())
    story.check(finding(), replace(finding("stale_data"), since=began, explained_by="memory"))
    assert story.alerts[0].since == began
    assert (story.check(finding()), story.alerts[0].since) == ({}, began), "what is known stays known"
    later = Story()
    later.check(finding())
    assert (later.alerts[0].began_at, later.alerts[0].since) == (None, later.now)


def test_several_problems_of_one_check_come_in_one_message() -> None:
    told = Story().check(finding("memory", WARNING), finding("cpu", CRITICAL))
    assert told["slack/ops"] == ["opened cpu", "opened memory"]


def test_what_is_only_logged_is_kept_and_never_told() -> None:
    story = Story()
    assert story.check(finding("high_lag", WARNING, action="log_only")) == {}
    assert [alert.rule for alert in story.alerts] == ["high_lag"]
    story.healthy(3, "high_lag")
    assert [alert.rule for alert in story.past] == ["high_lag"]


def test_a_group_without_recipients_keeps_no_alert_from_ending() -> None:
    story = Story()
    story.check(finding(groups=("nobody",)))
    story.healthy()
    assert story.alerts == ()


def test_unknown_is_not_the_end_of_a_problem() -> None:
    story = Story()
    story.check(finding())
    assert [story.check(finding(severity=UNKNOWN)) for _ in range(10)] == [{}] * 10
    assert len(story.alerts) == 1
    # Nor do healthy checks count that an unknown one interrupts.
    for _ in range(5):
        story.check(finding(severity=OK))
        story.check(finding(severity=UNKNOWN))
    assert len(story.alerts) == 1


def test_a_rule_that_is_switched_off_ends_its_alert() -> None:
    story = Story()
    story.check(finding())
    assert [story.check() for _ in range(3)][-1]["slack/ops"] == ["resolved memory"]


def test_a_problem_that_flaps_is_told_a_bounded_number_of_times() -> None:
    story = Story()
    for minute in range(600):
        story.check(finding(severity=CRITICAL if minute % 4 == 0 else OK))
    kinds = [change.kind for change in story.heard["slack/ops"]]
    # Without damping it would be 150 openings and 150 ends. After one end it is called over only once it stays away.
    assert kinds.count("opened") == 2
    assert kinds.count("resolved") == 1
    assert kinds.count("repeated") <= 10


def test_a_flapping_problem_that_stays_away_is_over_in_the_end() -> None:
    story = Story()
    for minute in range(60):
        story.check(finding(severity=CRITICAL if minute % 4 == 0 else OK))
    story.healthy(70)
    assert story.alerts == ()
    assert story.heard["slack/ops"][-1].kind == "resolved"


def test_a_problem_that_comes_back_much_later_is_told_at_once() -> None:
    story = Story()
    story.check(finding())
    story.healthy(60)
    assert story.check(finding())["slack/ops"] == ["opened memory"]
    assert story.alerts[0].reopened == 0


def test_whoever_could_not_be_reached_is_told_when_he_can_and_nobody_else_again() -> None:
    story = Story()
    story.deaf = {"mail/ops"}
    assert story.check(finding()) == {"slack/ops": ["opened memory"]}
    assert story.check(finding()) == {}
    story.deaf = set()
    assert story.check(finding()) == {"mail/ops": ["opened memory"]}


def test_a_problem_that_came_and_went_unheard_is_told_afterwards_in_one_message() -> None:
    story = Story()
    story.deaf = {"mail/ops"}
    story.check(finding())
    story.healthy(5)
    assert len(story.alerts) == 1
    story.deaf = set()
    assert story.healthy(2) == [{"mail/ops": ["resolved memory"]}, {}]
    assert story.alerts == ()


def test_a_mute_holds_everything_back_and_what_still_stands_is_told_at_its_end() -> None:
    story = Story()
    assert story.check(finding(), muted=True) == {}
    assert story.check(finding())["slack/ops"] == ["opened memory"]


def test_what_comes_and_goes_during_a_mute_is_never_told() -> None:
    story = Story()
    story.check(finding(), muted=True)
    for _ in range(3):
        story.check(finding(severity=OK), muted=True)
    assert story.healthy(3) == [{}] * 3
    assert [alert.rule for alert in story.past] == ["memory"]


def test_whoever_was_told_before_a_mute_hears_the_end_after_it() -> None:
    story = Story()
    story.check(finding())
    for _ in range(4):
        assert story.check(finding(severity=OK), muted=True) == {}
    assert story.healthy(1)[0]["slack/ops"] == ["resolved memory"]


def test_a_block_in_two_groups_gets_one_message() -> None:
    shared = {"ops": ("slack/all",), "trading": ("slack/all",)}
    alerting = Alerting(START, LIMITS, shared)
    planned = alerting.plan((), (), [finding(groups=("ops", "trading"))])
    assert list(alerting.untold(planned)) == ["slack/all"]


def test_a_recipient_added_later_is_told_what_stands() -> None:
    alerting = Alerting(START, LIMITS, ADDRESSES)
    planned = alerting.plan((), (), [finding()])
    for block in ADDRESSES["ops"]:
        planned = alerting.mark_told(planned, block, alerts.changes((), planned))
    more = {**ADDRESSES, "ops": (*ADDRESSES["ops"], "pagerduty/ops")}
    assert list(Alerting(START, LIMITS, more).untold(planned)) == ["pagerduty/ops"]


@pytest.mark.parametrize("step_s", [-7200, 7200])
def test_a_step_of_the_clock_neither_holds_an_alert_open_for_ever_nor_doubles_it(step_s: float) -> None:
    story = Story()
    story.check(finding())
    story.check(finding(severity=OK))
    story.check(finding(severity=OK), after_s=step_s)
    story.healthy(4)
    assert story.alerts == ()
    assert [change.kind for change in story.heard["slack/ops"]] == ["opened", "resolved"]


def test_what_was_done_and_that_it_did_not_help_is_told_once() -> None:
    story = Story()
    story.check(finding())
    for _ in range(3):
        story.alerts = alerts.note_done(story.alerts, "memory", "not again", Cause.RESTART_DID_NOT_HELP)
        story.check(finding())
    assert [change.kind for change in story.heard["slack/ops"]] == ["opened", "changed"]
    assert story.alerts[0].done == ("not again",)


def test_changes_name_what_a_check_did_to_the_alerts() -> None:
    first = Alerting(START, LIMITS).plan((), (), [finding(severity=WARNING)])
    later = Alerting(START + timedelta(minutes=1), LIMITS)
    second = later.plan(first, (), [finding(severity=CRITICAL)])
    third = later.plan(second, (), [finding(severity=CRITICAL, cause=Cause.RECOVERING)])
    assert [[change.kind for change in alerts.changes(*pair)] for pair in (((), first), (first, second))] == [
        ["opened"],
        ["worsened"],
    ]
    assert alerts.changes(second, third) == ()


# --- For any history ---------------------------------------------------------------------------------------------

RULES = ("hazelcast", "stale_data", "memory")
severities = st.sampled_from([OK, OK, UNKNOWN, WARNING, CRITICAL])
steps = st.fixed_dictionaries(
    {
        "severities": st.tuples(severities, severities, severities),
        "explained": st.booleans(),
        "causes": st.sampled_from([Cause.OVER_LIMIT, Cause.BRIDGE_STUCK]),
        "muted": st.sampled_from([False, False, False, True]),
        "deaf": st.sets(st.sampled_from(["slack/ops", "mail/ops", "slack/trading"])),
        "after_s": st.sampled_from([60, 60, 60, 600, 4000]),
    }
)


def findings_of(step: dict[str, object]) -> list[Finding]:
    levels = dict(zip(RULES, step["severities"], strict=True))  # type: ignore[call-overload]
    explained = "hazelcast" if step["explained"] and levels["hazelcast"].is_bad else None
    return [
        finding("hazelcast", levels["hazelcast"], cause=Cause.HAZELCAST_AWAY),
        finding(
            "stale_data",
            levels["stale_data"],
            cause=step["causes"],  # type: ignore[arg-type]
            groups=("ops", "trading"),
            explained_by=explained,
        ),
        finding("memory", levels["memory"]),
    ]


def by_alert(changes: Iterable[Change]) -> dict[str, list[Change]]:
    sorted_out: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        sorted_out[change.alert_id].append(change)
    return sorted_out


@pytest.mark.exhaustive
@settings(max_examples=200)
@given(st.lists(steps, max_size=30))
def test_for_any_history_nobody_is_told_twice_and_nothing_is_lost(history: list[dict[str, object]]) -> None:
    story = Story()
    for step in history:
        story.deaf = step["deaf"]  # type: ignore[assignment]
        found = findings_of(step)
        bad = {f.rule for f in found if f.severity.is_bad}
        blurred = bad | {f.rule for f in found if f.severity is UNKNOWN}
        before = {alert.id: alert for alert in story.alerts}
        story.check(*found, muted=bool(step["muted"]), after_s=float(step["after_s"]))  # type: ignore[arg-type]
        standing = [alert for alert in story.alerts if not alert.resolved_at]
        covered = [rule for alert in standing for rule in alert.covers]
        assert len(covered) == len(set(covered)), "a rule belongs to one open alert"
        assert bad <= set(covered), "every problem has an alert"
        ended = [a for a in (*story.alerts, *story.past) if a.resolved_at == story.now and a.id in before]
        assert not any(set(alert.covers) & blurred for alert in ended), "nothing ends that is bad or unknown"

    story.deaf = set()
    everything = [*story.alerts, *story.past]
    for _ in range(130):
        story.check(*(finding(rule, OK) for rule in RULES))
    assert story.alerts == (), "everything ends once all is well and everybody can be reached"
    never_heard = {alert.id for alert in everything} - {c.alert_id for cs in story.heard.values() for c in cs}
    for alert in story.past:
        if alert.id in never_heard:
            assert not alert.told
        for block in alert.recipients(ADDRESSES):
            kinds = [change.kind for change in by_alert(story.heard[block])[alert.id]]
            assert kinds.count("resolved") == 1, (alert, block)
    for changes in story.heard.values():
        for told in by_alert(changes).values():
            kinds = [change.kind for change in told]
            assert kinds.count("opened") <= 1
            assert "resolved" not in kinds[:-1], "nothing after the end"
            assert kinds[0] in ("opened", "resolved")
            assert kinds.count("worsened") <= 1
            assert kinds.count("changed") <= 2
