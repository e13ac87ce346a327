"""What a message says: what is wrong, since when, and how long it lasted, and no more than is known. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from support.health_cases import NOW, ago

from healthcheck.alert.message import Writer
from healthcheck.model.alert import Alert, Change, ChangeKind, Told
from healthcheck.model.finding import Severity

BLOCK = "slack-webhook/ops"
ALERT = Alert(
    rule="hazelcast",
    opened_at=ago(62),
    severity=Severity.CRITICAL,
    cause="producer stopped",
    sentences=("the scan in the map is 107 s old",),
    look_further="ls",
    covers=("hazelcast", "stale_data"),
    last_bad_at=NOW,
    leading="stale_data",
    known_as="stale_data (producer stopped)",
    causes=("Hazelcast away", "producer stopped"),
)


def message(alert: Alert, kind: ChangeKind = "opened") -> tuple[str, str]:
    change = Change(kind, alert.id, alert.title, alert.severity)
    written = Writer("bridge-1", NOW, "scan-bridge-health --instance gpu").compose(
        BLOCK, (change,), [alert], again=False
    )
    return written.subject, written.body


def test_subject_and_first_line_say_what_is_wrong_now() -> None:
    subject, body = message(ALERT)
    assert subject == "[scan-bridge bridge-1] CRITICAL: stale_data (producer stopped)"
    assert body.splitlines()[0] == "CRITICAL: stale_data (producer stopped)"
    assert "causes so far: Hazelcast away, then producer stopped" in body


def test_what_to_do_is_said_for_the_bridge_that_the_message_is_about() -> None:
    assert "Silence during work: scan-bridge-health --instance gpu mute 30m" in message(ALERT)[1]


def test_since_is_when_the_trouble_began_where_that_is_known() -> None:
    assert "  since: 2026-03-24 08:13:13 UTC (107 s)\n" in message(replace(ALERT, began_at=ago(107)))[1]
    assert "  since: 2026-03-24 08:13:58 UTC at the latest (62 s)\n" in message(ALERT)[1]


def test_the_end_says_how_long_the_trouble_lasted_and_not_only_its_alert() -> None:
    over = replace(ALERT, healthy_since=NOW, resolved_at=NOW + timedelta(seconds=90), began_at=ago(107))
    subject, body = message(replace(over, told={BLOCK: Told(Severity.CRITICAL, over.causes, NOW)}), "resolved")
    assert subject == "[scan-bridge bridge-1] RESOLVED: stale_data (producer stopped)"
    assert "over since 2026-03-24 08:15:00 UTC; it lasted 107 s, from 2026-03-24 08:13:13 UTC\n" in body
    assert "causes: Hazelcast away, then producer stopped" in body
    assert (
        "it lasted 62 s, from 2026-03-24 08:13:58 UTC at the latest\n"
        in message(replace(over, began_at=None), "resolved")[1]
    )
