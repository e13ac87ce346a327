"""The words of a message: what, since when, why, what was done, where to look further. Pure.

Plain text, because it goes to chats, mails and pagers alike; the first line alone must say what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from healthcheck.model.alert import Alert, Change, Message
from healthcheck.model.finding import Block
from healthcheck.text import clock, duration

MOST_ITEMS = 20  # in one message; a chat cuts off longer ones

_SHOWN = {
    "opened": "",
    "worsened": " — got worse",
    "changed": " — news",
    "repeated": " — still so",
}


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and when: the bridge's name, for those who watch several, the time of the check, its command."""

    instance: str
    now: datetime
    command: str

    def compose(self, block: Block, changes: tuple[Change, ...], alerts: Iterable[Alert], *, again: bool) -> Message:
        """One recipient's message.

        Args:
            changes: what to tell, worst first; of alerts among `alerts`.
            again: an earlier attempt was cut off, so the recipient may have got this already.
        """
        by_id = {alert.id: alert for alert in alerts}
        paragraphs = [_paragraph(change, by_id[change.alert_id], self.now) for change in changes[:MOST_ITEMS]]
        if len(changes) > MOST_ITEMS:
            paragraphs.append(f"… and {len(changes) - MOST_ITEMS} more: {self.command} alerts")
        if again:
            paragraphs.append("(The check was cut off while sending this before: you may have got it already.)")
        signature = f"scan-bridge {self.instance}, {clock(self.now)}."
        paragraphs.append(f"{signature} Silence during work: {self.command} mute 30m --why …")
        return Message(block, _subject(changes, by_id, self.instance), "\n\n".join(paragraphs), changes)


def _subject(changes: tuple[Change, ...], by_id: Mapping[str, Alert], instance: str) -> str:
    first = changes[0]
    more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
    return f"[scan-bridge {instance}] {_word(first)}: {by_id[first.alert_id].title}{more}"


def _word(change: Change) -> str:
    return "RESOLVED" if change.kind == "resolved" else change.severity.upper()


def _paragraph(change: Change, alert: Alert, now: datetime) -> str:
    if change.kind == "resolved":
        return _resolved(alert)
    lines = [
        f"{_word(change)}: {alert.title}{_SHOWN[change.kind]}",
        *(f"  {sentence}" for sentence in alert.sentences),
        f"  since: {clock(alert.since)}{_at_the_latest(alert)}{_lasting(alert, now)}",
    ]
    if len(alert.causes) > 1:
        lines.append(f"  causes so far: {', then '.join(alert.causes)}")
    lines += [f"  done: {done}" for done in alert.done[-3:]]
    if alert.reopened:
        lines.append(f"  it comes and goes: {alert.reopened + 1} times in a row")
    lines.append(f"  look further: {alert.look_further}")
    return "\n".join(lines)


def _at_the_latest(alert: Alert) -> str:
    """Where only the check that noticed it is known."""
    return "" if alert.began_at else " at the latest"


def _lasting(alert: Alert, now: datetime) -> str:
    return f" ({duration((now - alert.since).total_seconds())})" if now > alert.since else ""


def _resolved(alert: Alert) -> str:
    over = alert.healthy_since or alert.resolved_at or alert.last_bad_at
    lasted = duration((over - alert.since).total_seconds())
    lines = [
        f"RESOLVED: {alert.title}",
        f"  over since {clock(over)}; it lasted {lasted}, from {clock(alert.since)}{_at_the_latest(alert)}",
    ]
    if len(alert.causes) > 1:
        lines.append(f"  causes: {', then '.join(alert.causes)}")
    if not alert.told:
        lines += ["  you could not be told earlier; it was:", *(f"  {sentence}" for sentence in alert.sentences)]
    lines += [f"  done: {done}" for done in alert.done[-3:]]
    return "\n".join(lines)
