"""What Prefect shows of a report: state, table, log and events. Pure."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.health_cases import NOW, snapshot

from healthcheck.model.alert import Change, Delivery, Message
from healthcheck.model.finding import Cause, Finding, Number, Severity
from healthcheck.model.observation import JournalBatch, JournalLine, Unknown
from healthcheck.model.report import ActionTaken, MuteShown, OpenAlert, Report
from healthcheck.prefect import run_view

IMPORTS_PREFECT = pytest.mark.xdist_group("imports Prefect")  # which takes seconds: one worker does

FINE = Finding("memory", Severity.OK, "80 MB")
STALE = Finding(
    "stale_data",
    Severity.CRITICAL,
    "the scan is 65 s old",
    Cause.BRIDGE_STUCK,
    numbers=(Number("age", 65.0, "s", 30.0, 60.0),),
    look_further="scan-bridge status",
)
LAG = Finding("high_lag", Severity.WARNING, "lag 12 s")
BLIND = Finding("cpu", Severity.UNKNOWN, "no answer")
OPENED = Change("opened", "a1", "stale_data (bridge stuck)", Severity.CRITICAL)
ALERT = OpenAlert("a1", OPENED.title, Severity.CRITICAL, NOW, STALE.text, groups=("ops",))


def report(*findings: Finding, **more: Any) -> Report:
    return Report(more.pop("snapshot", snapshot()), findings, 1.25, **more)


def delivery(error: str | None) -> Delivery:
    return Delivery(Message("slack-webhook/ops", "CRITICAL: stale_data", "65 s", (OPENED,)), error)


def log(shown: Report) -> list[tuple[int, str]]:
    return list(run_view.log_lines(shown))


def events(shown: Report) -> dict[str, run_view.Event]:
    found = list(run_view.events(shown))
    assert found[-1].name == "checked", "who waits for `checked` may read the others then"
    return {event.name: event for event in found}


@pytest.mark.parametrize(
    ("findings", "type_", "name"),
    [
        ([FINE], "COMPLETED", "Healthy"),
        ([LAG, BLIND, FINE], "COMPLETED", "Degraded"),
        ([BLIND, FINE], "COMPLETED", "Unknown"),
        ([], "COMPLETED", "Unknown"),
        ([STALE, LAG, FINE], "FAILED", "Critical: stale_data (bridge stuck)"),
    ],
)
@pytest.mark.exhaustive
@IMPORTS_PREFECT
def test_the_final_state_is_the_verdict(findings: list[Finding], type_: str, name: str) -> None:
    pytest.importorskip("prefect")
    state = run_view.final_state(report(*findings))
    assert (state.type.value, state.name) == (type_, name)


@pytest.mark.exhaustive
@IMPORTS_PREFECT
def test_the_states_message_has_what_is_wrong_and_what_was_done() -> None:
    pytest.importorskip("prefect")
    mute = MuteShown(NOW + timedelta(minutes=30), "new switch", "alice")
    done = ActionTaken("stale_data", "restart_bridge", "restarted, and it publishes again", helped=True)
    message = run_view.final_state(report(STALE, FINE, mute=mute, actions=(done,), notes=("only from afar",))).message
    assert message is not None
    assert message.splitlines() == [
        "stale_data (bridge stuck): the scan is 65 s old",
        "restarted, and it publishes again",
        "muted until 2026-03-24 08:45:00 UTC by alice: new switch",
        "only from afar",
    ]


def test_the_table_has_a_row_for_every_rule() -> None:
    stale, fine = run_view.table(report(STALE, FINE))
    assert stale == {
        "rule": "stale_data",
        "verdict": "critical",
        "cause": "bridge stuck",
        "what": "the scan is 65 s old",
        "numbers": "age 65 s",
        "look further": "scan-bridge status",
    }
    assert fine["verdict"] == "ok"


def test_the_bridges_journal_is_in_the_log_with_its_levels() -> None:
    priorities = range(8)
    batch = JournalBatch(tuple(JournalLine(NOW, p, f"line {p}") for p in priorities), "c", more=True)
    lines = log(report(FINE, snapshot=snapshot(journal=batch)))
    levels = dict(
        zip(priorities, (level for level, text in lines if text.startswith("bridge, 08:15:00: line")), strict=True)
    )
    assert levels == {
        **dict.fromkeys((0, 1, 2), logging.CRITICAL),
        3: logging.ERROR,
        4: logging.WARNING,
        **dict.fromkeys((5, 6), logging.INFO),
        7: logging.DEBUG,
    }
    assert any("logged more than is shown" in text for _, text in lines)


def test_a_journal_line_can_forge_no_other_and_is_cut() -> None:
    batch = JournalBatch((JournalLine(NOW, 3, "bad\nCRITICAL forged " + "x" * 5000),), "c")
    lines = [text for _, text in log(report(FINE, snapshot=snapshot(journal=batch)))]
    assert all("\n" not in text for text in lines)
    assert max(map(len, lines)) < 1100


def test_a_journal_that_could_not_be_read_is_said() -> None:
    shown = report(FINE, snapshot=snapshot(journal=Unknown("no permission", "journalctl")))
    assert (logging.WARNING, "the bridge's journal could not be read: no permission") in log(shown)


def test_an_alert_that_was_not_delivered_stands_whole_in_the_log() -> None:
    text = next(text for level, text in log(report(STALE, deliveries=(delivery("HTTP status 503"),))) if "told" in text)
    assert "HTTP status 503" in text
    assert "CRITICAL: stale_data\n65 s" in text


def test_that_nobody_is_set_to_be_told_is_said_when_the_alert_opens_and_not_again() -> None:
    opened = report(STALE, alerts=(ALERT,), changes=(OPENED,))
    assert any("no block is set for ops" in text for _, text in log(opened))
    assert not any("no block is set" in text for _, text in log(replace(opened, changes=())))


@pytest.mark.parametrize(
    ("alert", "mute", "fate"),
    [
        (replace(ALERT, told=("slack-webhook/ops",)), None, "delivered"),
        (replace(ALERT, told=("slack-webhook/ops",), untold=("pager-duty/ops",)), None, "undelivered"),
        (ALERT, None, "nobody"),
        (replace(ALERT, untold=("slack-webhook/ops",)), MuteShown(NOW, "why", "me"), "muted"),
    ],
)
def test_a_critical_event_says_what_became_of_its_alert(alert: OpenAlert, mute: MuteShown | None, fate: str) -> None:
    event = events(report(STALE, alerts=(alert,), changes=(OPENED,), mute=mute))["critical"]
    assert event.labels["scan-bridge.alert"] == event.payload["alert"] == fate
    assert event.payload["title"] == "stale_data (bridge stuck)"


def test_a_critical_alert_that_goes_on_or_ends_is_no_new_critical_event() -> None:
    assert set(events(report(STALE, alerts=(ALERT,)))) == {"checked"}
    resolved = replace(OPENED, kind="resolved")
    assert set(events(report(FINE, changes=(resolved,)))) == {"finding.resolved", "checked"}


def test_a_warning_is_no_critical_event() -> None:
    worsened = Change("worsened", "a1", "high_lag", Severity.WARNING)
    assert set(events(report(LAG, changes=(worsened,)))) == {"finding.worsened", "checked"}


def test_a_restart_is_an_event_and_a_refused_one_is_not() -> None:
    done = ActionTaken("stale_data", "restart_bridge", "restarted", helped=False)
    assert events(report(STALE, actions=(done,)))["restarted"].payload["helped"] is False
    assert "restarted" not in events(report(STALE, actions=(replace(done, helped=None),)))


def test_a_delivery_that_failed_is_an_event() -> None:
    event = events(report(STALE, deliveries=(delivery("HTTP status 503"),)))["notify-failed"]
    assert event.payload["block"] == "slack-webhook/ops"
    assert event.payload["error"] == "HTTP status 503"


def test_the_checked_event_has_the_verdict_and_the_numbers() -> None:
    payload = events(report(STALE, FINE))["checked"].payload
    assert payload["severity"] == "critical"
    assert payload["findings"][0]["numbers"] == {"age": 65.0}
