"""Whether the bridge is restarted: only if a rule asks for it, nothing forbids it and the budget allows it. Pure.

Where a restart cannot help, no rule asks for it: that is decided by the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from healthcheck.config.settings import Restarts
from healthcheck.model.finding import Cause, Finding, Rule, Severity
from healthcheck.model.observation import Snapshot, value_of
from healthcheck.text import duration


@dataclass(frozen=True, slots=True)
class RestartLog:
    """The restarts the budget counts, and whether it is used up until the bridge is healthy again."""

    times: tuple[datetime, ...] = ()
    exhausted: bool = False

    def within(self, window_s: float, now: datetime) -> RestartLog:
        """Without those that count no more. Times in the future are from before a step of the clock: as of now."""
        window = timedelta(seconds=window_s)
        return replace(self, times=tuple(min(at, now) for at in self.times if now - at < window))


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do. Without `restart`, only watch whether systemd's own restart worked."""

    rule: Rule
    restart: bool
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is done although a rule asks for it; a cause here is news to be told."""

    rule: Rule
    text: str
    cause: Cause | None = None


def obstacle(snapshot: Snapshot, *, muted: bool) -> str | None:
    """Why nothing can or may be done to the bridge from here, whatever is found."""
    if not snapshot.scope.is_local:
        return snapshot.scope.reason
    if muted:
        return "muted"
    unit = value_of(snapshot.unit)
    return "its unit is masked" if unit is not None and unit.is_masked else None


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """What holds for this check: the budget, the time, and why nothing may be done at all."""

    settings: Restarts
    now: datetime
    obstacle: str | None = None

    def decide(self, findings: Sequence[Finding], log: RestartLog) -> tuple[Decision | Refusal | None, RestartLog]:
        """What to do about the findings (worst first), and the restart log with that restart in it.

        At most one restart a check, for the worst finding that asks. The budget used up, none until a check has found
        nothing critical and nothing unknown.
        """
        limits = self.settings
        log = log.within(limits.window_s, self.now)
        wishes = [finding for finding in findings if finding.severity.is_bad and _asks(finding)]
        wish = next((finding for finding in wishes if finding.action == "restart_bridge"), None)
        if wish is None:
            if _calm(findings):
                log = replace(log, exhausted=False)
            watched = wishes[0] if wishes and not self.obstacle else None
            return (Decision(watched.rule, False, watched.title) if watched else None), log
        if self.obstacle:
            return Refusal(wish.rule, f"not restarted: {self.obstacle}"), log
        if limits.max == 0:
            return Refusal(wish.rule, "not restarted: restarts.max = 0 forbids it"), log
        if log.exhausted or len(log.times) >= limits.max:
            text = (
                f"not restarted again: {limits.max} restarts in {duration(limits.window_s)} did not help;"
                " no more until the bridge is healthy"
            )
            return Refusal(wish.rule, text, Cause.RESTART_DID_NOT_HELP), replace(log, exhausted=True)
        return Decision(wish.rule, True, wish.title), replace(log, times=(*log.times, self.now))


def _asks(finding: Finding) -> bool:
    return finding.action in ("restart_bridge", "auto_restart")


def _calm(findings: Iterable[Finding]) -> bool:
    return all(finding.severity in (Severity.OK, Severity.WARNING) for finding in findings)
