"""One alert per problem: from findings to what each group has yet to be told. Pure; no I/O, no clock.

An alert records what is wrong and what every recipient was told of it; messages are the difference. So nothing is
told twice, nothing that was not delivered counts as told, and whoever could not be reached is told afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from healthcheck.config.settings import Alerts
from healthcheck.model.alert import Change, ChangeKind
from healthcheck.model.finding import Block, Cause, Finding, Group, Rule, Severity, worst

Addresses = Mapping[Group, tuple[Block, ...]]  # who belongs to each group

# A passing explanation, no news.
NOT_NEWS = (Cause.RECOVERING,)


@dataclass(frozen=True, slots=True)
class Told:
    """What a recipient was last told of an alert, and when."""

    severity: Severity
    causes: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """One problem, from its first finding until it is over and everybody knows."""

    rule: Rule
    opened_at: datetime
    severity: Severity
    cause: str
    words: tuple[str, ...]
    look_further: str
    covers: tuple[Rule, ...]  # this problem's rules: the first one and its consequences
    last_bad_at: datetime
    wanted: dict[Group, Severity] = field(default_factory=dict)  # who must know, and the worst of it for them
    causes: tuple[str, ...] = ()  # all so far, in order
    done: tuple[str, ...] = ()
    healthy_since: datetime | None = None
    resolved_at: datetime | None = None
    reopened: int = 0  # how often in a row it came back soon after its end
    told: dict[Block, Told] = field(default_factory=dict)
    told_end: tuple[Block, ...] = ()

    @property
    def id(self) -> str:
        """Unique: a rule opens at most one alert in a check."""
        return f"{self.rule}@{self.opened_at.isoformat()}"

    @property
    def title(self) -> str:
        """`stale_data (bridge stuck)`."""
        return f"{self.rule} ({self.cause})" if self.cause else self.rule

    def recipients(self, addresses: Addresses) -> dict[Block, Severity]:
        """Who must know, and the worst of it for them. A block that belongs to two groups is one recipient."""
        found: dict[Block, Severity] = {}
        for group, severity in self.wanted.items():
            for block in addresses.get(group, ()):
                found[block] = worst([severity, found.get(block, severity)])
        return found

    def is_settled(self, addresses: Addresses) -> bool:
        """Over, and everybody who had to know was told so."""
        return self.resolved_at is not None and set(self.recipients(addresses)) <= set(self.told_end)


def plan(
    alerts: Sequence[Alert],
    past: Sequence[Alert],
    findings: Iterable[Finding],
    now: datetime,
    settings: Alerts,
    *,
    muted: bool = False,
) -> tuple[Alert, ...]:
    """The alerts after this check.

    1. A finding of a rule that an open alert covers belongs to that alert.
    2. Any other opens one, together with the findings that are its consequences.
    3. An alert none of whose rules is bad, or unknown, for long enough is over.

    Args:
        alerts: open ones, and those that are over but not yet told.
        past: settled ones, to notice what comes back soon.
        muted: nothing is told now. What comes and goes meanwhile is never told.
    """
    by_rule = {finding.rule: finding for finding in findings}
    bad = {rule: finding for rule, finding in by_rule.items() if finding.severity.is_bad}
    standing = [_not_after(alert, now) for alert in alerts]
    owner = {rule: index for index, alert in enumerate(standing) if not alert.resolved_at for rule in alert.covers}
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
    updated = [_update(alert, by_rule, now, settings, muted) for alert in standing]
    opened = [_open(bad[root], members, now, settings, [*standing, *past]) for root, members in new.items()]
    return (*updated, *opened)


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


def untold(
    alerts: Iterable[Alert], addresses: Addresses, now: datetime, settings: Alerts
) -> dict[Block, tuple[Change, ...]]:
    """What each recipient has not been told yet, worst first."""
    news: dict[Block, list[Change]] = {}
    for alert in alerts:
        for block, severity in alert.recipients(addresses).items():
            kind = _kind(alert, block, severity, now, settings)
            if kind:
                news.setdefault(block, []).append(_change(kind, alert))
    return {
        block: tuple(sorted(items, key=lambda item: (item.kind == "resolved", -item.severity.rank)))
        for block, items in sorted(news.items())
    }


def tell(
    alerts: Iterable[Alert], addresses: Addresses, block: Block, changes: Iterable[Change], now: datetime
) -> tuple[Alert, ...]:
    """The alerts after a message with these changes reached the recipient."""
    kinds = {change.alert_id: change.kind for change in changes}
    return tuple(
        _mark(alert, addresses, block, kinds[alert.id], now) if alert.id in kinds else alert for alert in alerts
    )


def note(alerts: Iterable[Alert], rule: Rule, done: str, cause: Cause | None = None) -> tuple[Alert, ...]:
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


def hold_s(alert: Alert, settings: Alerts) -> float:
    """How long the problem must stay gone to be over: doubled each time it came back soon."""
    return min(
        settings.resolve_after_s * 2.0 ** min(alert.reopened, 30), max(settings.repeat_s, settings.resolve_after_s)
    )


def _root(finding: Finding, bad: Mapping[Rule, Finding]) -> Rule:
    seen = {finding.rule}
    while finding.explained_by and finding.explained_by in bad and finding.explained_by not in seen:
        finding = bad[finding.explained_by]
        seen.add(finding.rule)
    return finding.rule


def _open(
    root: Finding, members: Sequence[Finding], now: datetime, settings: Alerts, earlier: Iterable[Alert]
) -> Alert:
    soon = timedelta(seconds=settings.flap_s)
    flaps = [
        alert.reopened + 1
        for alert in earlier
        if alert.rule == root.rule and alert.resolved_at and now - alert.resolved_at <= soon
    ]
    alert = Alert(
        rule=root.rule,
        opened_at=now,
        severity=root.severity,
        cause="",
        words=(),
        look_further="",
        covers=(root.rule, *(finding.rule for finding in members if finding.rule != root.rule)),
        last_bad_at=now,
        reopened=max(flaps, default=0),
    )
    return _still_bad(alert, members, now)


def _update(alert: Alert, by_rule: Mapping[Rule, Finding], now: datetime, settings: Alerts, muted: bool) -> Alert:
    if alert.resolved_at:
        return alert
    members = [by_rule[rule] for rule in alert.covers if rule in by_rule]
    bad = [finding for finding in members if finding.severity.is_bad]
    if bad:
        return _still_bad(alert, bad, now)
    if any(finding.severity is Severity.UNKNOWN for finding in members):
        return replace(alert, healthy_since=None)
    since = alert.healthy_since or now
    if (now - since).total_seconds() < hold_s(alert, settings):
        return replace(alert, healthy_since=since)
    # What came and went while all was muted is nobody's business; whoever was told of it hears the end.
    wanted = alert.wanted if alert.told or not muted else {}
    return replace(alert, healthy_since=since, resolved_at=now, wanted=wanted)


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
    news = () if leading.cause in NOT_NEWS or cause in alert.causes else (cause,)
    return replace(
        alert,
        severity=worst(finding.severity for finding in bad),
        cause=cause if leading.rule == alert.rule else alert.cause,
        words=tuple(found.words if found.rule == alert.rule else f"{found.rule}: {found.words}" for found in ordered),
        look_further=leading.look_further,
        wanted=wanted,
        causes=(*alert.causes, *news),
        last_bad_at=now,
        healthy_since=None,
    )


def _kind(alert: Alert, block: Block, severity: Severity, now: datetime, settings: Alerts) -> ChangeKind | None:
    told = alert.told.get(block)
    if alert.resolved_at:
        return None if block in alert.told_end else "resolved"
    if told is None:
        return "opened"
    if severity.rank > told.severity.rank:
        return "worsened"
    if set(alert.causes) - set(told.causes):
        return "changed"
    if alert.healthy_since is None and (now - told.at).total_seconds() >= settings.repeat_s:
        return "repeated"
    return None


def _mark(alert: Alert, addresses: Addresses, block: Block, kind: ChangeKind, now: datetime) -> Alert:
    known = Told(alert.recipients(addresses).get(block, alert.severity), alert.causes, now)
    ended = (*alert.told_end, block) if kind == "resolved" else alert.told_end
    return replace(alert, told={**alert.told, block: known}, told_end=ended)


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
