"""One alert per problem: from findings to what each recipient has yet to be told. Pure; no I/O, no clock.

An alert records what is wrong and what every recipient was told of it; messages are the difference. So nothing is
told twice, nothing that was not delivered counts as told, and whoever could not be reached is told afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from healthcheck.config.settings import Alerts
from healthcheck.model.alert import Addresses, Alert, Change, ChangeKind, Told
from healthcheck.model.finding import Block, Cause, Finding, Rule, Severity, worst
from healthcheck.model.report import OpenAlert

# A passing explanation, no news.
NOT_NEWS = (Cause.RECOVERING,)


@dataclass(frozen=True, slots=True)
class Alerting:
    """One check's view of its alerts: the time, how often is told what, and whom."""

    now: datetime
    settings: Alerts
    addresses: Addresses = field(default_factory=dict)
    muted: bool = False  # nothing is told now. What comes and goes meanwhile is never told.

    def plan(self, alerts: Sequence[Alert], past: Sequence[Alert], findings: Iterable[Finding]) -> tuple[Alert, ...]:
        """The alerts after this check.

        1. A finding of a rule that an open alert covers belongs to that alert, unless it is a new problem: the old
           one was gone, or this is now the consequence of another.
        2. Any other opens one, together with the findings that are its consequences.
        3. An alert none of whose rules is bad, or unknown, for long enough is over.

        Args:
            alerts: open ones, and those that are over but not yet told.
            past: settled ones, to notice what comes back soon.
        """
        by_rule = {finding.rule: finding for finding in findings}
        bad = {rule: finding for rule, finding in by_rule.items() if finding.severity.is_bad}
        standing = _without_new_problems([_not_after(alert, self.now) for alert in alerts], bad)
        owner = _owners(standing)
        new: dict[Rule, list[Finding]] = {}
        for finding in bad.values():
            if finding.rule in owner:
                continue
            root = _root(finding, bad)
            if root in owner:
                index = owner[root]
                standing[index] = replace(standing[index], covers=(*standing[index].covers, finding.rule))
            else:
                new.setdefault(root, []).append(finding)
        updated = [self._update(alert, by_rule) for alert in standing]
        opened = [self._open(bad[root], members, [*standing, *past]) for root, members in new.items()]
        return (*updated, *opened)

    def untold(self, alerts: Iterable[Alert]) -> dict[Block, tuple[Change, ...]]:
        """What each recipient has not been told yet, worst first."""
        news: dict[Block, list[Change]] = {}
        for alert in alerts:
            for block, severity in alert.recipients(self.addresses).items():
                if kind := self._news(alert, block, severity):
                    news.setdefault(block, []).append(_change(kind, alert))
        return {
            block: tuple(sorted(items, key=lambda item: (item.kind == "resolved", -item.severity.rank)))
            for block, items in sorted(news.items())
        }

    def mark_told(self, alerts: Iterable[Alert], block: Block, changes: Iterable[Change]) -> tuple[Alert, ...]:
        """The alerts after a message with these changes reached the recipient."""
        kinds = {change.alert_id: change.kind for change in changes}
        return tuple(
            self._told(alert, block, ended=kinds[alert.id] == "resolved") if alert.id in kinds else alert
            for alert in alerts
        )

    def standing(self, alerts: Iterable[Alert]) -> tuple[OpenAlert, ...]:
        """The open alerts, for those who show them. Told is who knows how bad it is now, and why."""
        shown = []
        for alert in alerts:
            if alert.resolved_at:
                continue
            recipients = alert.recipients(self.addresses)
            told = [
                block
                for block, severity in recipients.items()
                if self._news(alert, block, severity) in (None, "repeated")
            ]
            shown.append(
                OpenAlert(
                    alert.id,
                    alert.title,
                    alert.severity,
                    alert.opened_at,
                    "; ".join(alert.sentences),
                    groups=tuple(alert.wanted),
                    told=tuple(told),
                    untold=tuple(block for block in recipients if block not in told),
                    began_at=alert.began_at,
                )
            )
        return tuple(shown)

    def hold_s(self, alert: Alert) -> float:
        """How long the problem must stay gone to be over: doubled each time it came back soon."""
        longest = max(self.settings.repeat_s, self.settings.resolve_after_s)
        return min(self.settings.resolve_after_s * 2.0 ** min(alert.reopened, 30), longest)

    def _open(self, root: Finding, members: Sequence[Finding], earlier: Iterable[Alert]) -> Alert:
        soon = timedelta(seconds=self.settings.flap_s)
        flaps = [
            alert.reopened + 1
            for alert in earlier
            if alert.rule == root.rule and alert.resolved_at and self.now - alert.resolved_at <= soon
        ]
        alert = Alert(
            rule=root.rule,
            opened_at=self.now,
            severity=root.severity,
            cause="",
            sentences=(),
            look_further="",
            covers=(root.rule, *(finding.rule for finding in members if finding.rule != root.rule)),
            last_bad_at=self.now,
            reopened=max(flaps, default=0),
        )
        return _still_bad(alert, members, self.now)

    def _update(self, alert: Alert, by_rule: Mapping[Rule, Finding]) -> Alert:
        if alert.resolved_at:
            return alert
        members = [by_rule[rule] for rule in alert.covers if rule in by_rule]
        bad = [finding for finding in members if finding.severity.is_bad]
        if bad:
            return _still_bad(alert, bad, self.now)
        if any(finding.severity is Severity.UNKNOWN for finding in members):
            return replace(alert, healthy_since=None)
        since = alert.healthy_since or self.now
        if (self.now - since).total_seconds() < self.hold_s(alert):
            return replace(alert, healthy_since=since)
        # What came and went while all was muted is nobody's business; whoever was told of it hears the end.
        wanted = alert.wanted if alert.told or not self.muted else {}
        return replace(alert, healthy_since=since, resolved_at=self.now, wanted=wanted)

    def _news(self, alert: Alert, block: Block, severity: Severity) -> ChangeKind | None:
        told = alert.told.get(block)
        if alert.resolved_at:
            return None if block in alert.told_end else "resolved"
        if told is None:
            return "opened"
        if severity.rank > told.severity.rank:
            return "worsened"
        if set(alert.causes) - set(told.causes):
            return "changed"
        if alert.healthy_since is None and (self.now - told.at).total_seconds() >= self.settings.repeat_s:
            return "repeated"
        return None

    def _told(self, alert: Alert, block: Block, *, ended: bool) -> Alert:
        known = Told(alert.recipients(self.addresses).get(block, alert.severity), alert.causes, self.now)
        told_end = (*alert.told_end, block) if ended else alert.told_end
        return replace(alert, told={**alert.told, block: known}, told_end=told_end)


def changes(before: Sequence[Alert], after: Sequence[Alert]) -> tuple[Change, ...]:
    """What this check changed, whoever is told of it."""
    known = {alert.id: alert for alert in before}
    found = []
    for alert in after:
        old = known.get(alert.id)
        kind: ChangeKind | None = None
        if old is None:
            kind = "opened"
        elif alert.resolved_at and not old.resolved_at:
            kind = "resolved"
        elif alert.severity.rank > old.severity.rank:
            kind = "worsened"
        elif len(alert.causes) > len(old.causes):
            kind = "changed"
        if kind:
            found.append(_change(kind, alert))
    return tuple(found)


def note_done(alerts: Iterable[Alert], rule: Rule, done: str, cause: Cause | None = None) -> tuple[Alert, ...]:
    """Write what was done into the open alert that covers the rule; a cause given here is told as news, once."""
    return tuple(
        replace(
            alert,
            done=(*alert.done, done)[-10:] if alert.done[-1:] != (done,) else alert.done,
            causes=(*alert.causes, cause) if cause else alert.causes,
        )
        if rule in alert.covers and not alert.resolved_at and (cause is None or cause not in alert.causes)
        else alert
        for alert in alerts
    )


def _owners(alerts: Sequence[Alert]) -> dict[Rule, int]:
    """Which open alert each rule belongs to, by its place."""
    return {rule: place for place, alert in enumerate(alerts) if not alert.resolved_at for rule in alert.covers}


def _without_new_problems(alerts: Sequence[Alert], bad: Mapping[Rule, Finding]) -> list[Alert]:
    """The alerts, each without the rules whose findings are no part of its problem any more."""
    alerts = list(alerts)
    owner = _owners(alerts)

    def release(rule: Rule) -> None:
        place = owner.pop(rule)
        covers = tuple(covered for covered in alerts[place].covers if covered != rule)
        alerts[place] = replace(alerts[place], covers=covers)

    ordered = sorted(bad.values(), key=lambda finding: _root(finding, bad) != finding.rule)  # roots first
    for finding in ordered:
        if finding.rule not in owner:
            continue
        alert, root = alerts[owner[finding.rule]], _root(finding, bad)
        was_gone = alert.healthy_since is not None
        if root == finding.rule:
            if was_gone and finding.rule not in (alert.rule, alert.leading):
                release(finding.rule)
        elif owner.get(root) != owner[finding.rule] and (was_gone or finding.rule != alert.rule):
            release(finding.rule)
    return alerts


def _root(finding: Finding, bad: Mapping[Rule, Finding]) -> Rule:
    passed = {finding.rule}
    while finding.explained_by and finding.explained_by in bad and finding.explained_by not in passed:
        finding = bad[finding.explained_by]
        passed.add(finding.rule)
    return finding.rule


def _still_bad(alert: Alert, bad: Sequence[Finding], now: datetime) -> Alert:
    # The first rule speaks for the problem as long as it is bad; then the worst of the others.
    leading = next((finding for finding in bad if finding.rule == alert.rule), None)
    leading = leading or max(bad, key=lambda finding: finding.severity.rank)
    ordered = [leading, *(finding for finding in bad if finding is not leading)]
    wanted = dict(alert.wanted)
    for finding in bad:
        for group in finding.groups if finding.action != "log_only" else ():
            wanted[group] = worst([finding.severity, wanted.get(group, finding.severity)])
    cause = str(leading.cause or "")
    passing = leading.cause in NOT_NEWS
    news = () if passing or cause in alert.causes else (cause,)
    known = [moment for moment in (alert.began_at, *(finding.since for finding in bad)) if moment is not None]
    return replace(
        alert,
        severity=worst(finding.severity for finding in bad),
        cause=cause,
        leading=leading.rule,
        known_as=alert.known_as if passing and alert.known_as else leading.title,
        sentences=tuple(found.text if found is leading else f"{found.rule}: {found.text}" for found in ordered),
        look_further=leading.look_further,
        wanted=wanted,
        causes=(*alert.causes, *news),
        last_bad_at=now,
        healthy_since=None,
        began_at=min(known) if known and min(known) <= alert.opened_at else None,
    )


def _change(kind: ChangeKind, alert: Alert) -> Change:
    return Change(kind, alert.id, alert.title, alert.severity)


def _not_after(alert: Alert, now: datetime) -> Alert:
    """Without times in the future: after the clock was stepped back, waiting for them could take for ever."""
    return replace(
        alert,
        last_bad_at=min(alert.last_bad_at, now),
        healthy_since=min(alert.healthy_since, now) if alert.healthy_since else None,
        told={block: replace(told, at=min(told.at, now)) for block, told in alert.told.items()},
    )
