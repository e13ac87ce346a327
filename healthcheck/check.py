"""One check, start to end: look, judge, act, tell, remember.

The only place where these steps are put in order. Both the Prefect flow and the timer's fallback call
`run_check`; a file lock keeps two of them from running at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from healthcheck.act import dead_mans_switch, deliver, restart
from healthcheck.act.deliver import NotDelivered, Notifier
from healthcheck.act.restart import Decision, Refusal
from healthcheck.alert import alerts
from healthcheck.alert.alerts import Alert
from healthcheck.config.settings import HealthConfig
from healthcheck.judge import previous_check
from healthcheck.judge.facts import Facts
from healthcheck.judge.previous_check import Seen
from healthcheck.judge.rules import rules
from healthcheck.keep import mute
from healthcheck.keep.state import LockedError, State, StateError, Store
from healthcheck.model.alert import Change, Delivery
from healthcheck.model.finding import Finding
from healthcheck.model.observation import Snapshot
from healthcheck.model.report import ActionTaken, MuteShown, OpenAlert, Report
from healthcheck.observe import probes
from healthcheck.observe.probes import Taken
from healthcheck.present import textfile

__all__ = ["AlreadyRunning", "Hands", "NotDelivered", "Notifier", "last_completed", "look", "run_check"]

log = logging.getLogger(__name__)


class AlreadyRunning(Exception):
    """Another check holds the lock; this one did nothing."""


@dataclass(frozen=True, slots=True)
class Hands:
    """How a check sees and touches the world. Other hands are for tests of the order of steps."""

    take: Callable[[HealthConfig, Seen | None, int | None], Taken] = probes.take
    perform: Callable[[Decision, Snapshot, HealthConfig], ActionTaken] = restart.perform


def run_check(config: HealthConfig, notifier: Notifier, *, by: str, hands: Hands = Hands()) -> Report:
    """Look, judge, act and tell, once. Never raises for what a probe, an action or the notifier did.

    In order, so that a kill between any two steps neither loses nor doubles an alert:

    1. take the lock, read the state, and write it back: what cannot be written must not be acted upon;
    2. ask every probe side by side, each with its deadline;
    3. judge (`rules.evaluate`) and plan (`alerts.plan`, `restart.decide`), all pure;
    4. write the state: alerts opened and resolved, the restart intended;
    5. act, write what was done;
    6. tell each recipient what it has not been told, and write that after each delivery;
    7. write that the check completed; request the heartbeat URL; write the metrics.

    One gap cannot be closed from this side: killed after a service took a message and before that was written, the
    check sends it again, and the message says that it may be a repeat.

    Args:
        by: who runs it, for the record: "prefect" or "timer".

    Raises:
        AlreadyRunning: another check is under way.
        state.StateError: the state can be written nowhere, so no alert could be sent exactly once.
    """
    store = Store(config.health)
    try:
        with store.lock():
            return _Check(config, notifier, store, hands).run(by)
    except LockedError as error:
        raise AlreadyRunning(str(error)) from error


def look(config: HealthConfig) -> Report:
    """Look and judge only: sends nothing, restarts nothing, writes nothing. For Nagios and for people."""
    started = time.monotonic()
    store = Store(config.health)
    try:
        state = store.load(may_repair=False)
        notes = store.notes
    except StateError as error:
        state = State()
        notes = (f"without the last check's state, so less can be told: {error}",)
    taken = probes.take(config, state.seen, state.hung_probe)
    findings = rules.evaluate(replace(taken.snapshot, unreachable=state.unreachable), state.seen, config)
    return Report(
        taken.snapshot,
        findings,
        time.monotonic() - started,
        state.completed_at,
        alerts=_open(state.alerts, config),
        mute=_mute(config, taken.snapshot.at),
        notes=(*notes, *_scope_note(taken.snapshot)),
    )


def last_completed(config: HealthConfig) -> datetime | None:
    """When the last `run_check` completed, whoever ran it; None if never or unknown. Never raises."""
    try:
        return Store(config.health).load(may_repair=False).completed_at
    except StateError:
        return None


class _Check:
    """One run, under the lock. Its methods are the steps of `run_check`."""

    def __init__(self, config: HealthConfig, notifier: Notifier, store: Store, hands: Hands) -> None:
        self._config = config
        self._health = config.health
        self._notifier = notifier
        self._store = store
        self._hands = hands
        self._state = State()

    def run(self, by: str) -> Report:
        started = time.monotonic()
        self._state = before = self._store.load()
        notes = list(self._store.notes)
        self._save(self._state)
        snapshot = self._look()
        now = snapshot.at
        silence = _mute(self._config, now)
        findings = rules.evaluate(snapshot, before.seen, self._config)
        todo = self._plan(findings, snapshot, before, muted=silence is not None)
        done = self._act(todo, snapshot)
        changes = alerts.changes(before.alerts, self._state.alerts)
        deliveries = () if silence else self._tell(changes, now)
        self._finish(now, by)
        notes += _scope_note(snapshot)
        if self._health.heartbeat_url_file and (problem := dead_mans_switch.ping(self._health.heartbeat_url_file)):
            log.warning("%s", problem)
            notes.append(problem)
        report = Report(
            snapshot,
            self._with_deliveries(findings, snapshot, before.seen),
            time.monotonic() - started,
            before.completed_at,
            alerts=_open(self._state.alerts, self._config),
            changes=changes,
            deliveries=deliveries,
            actions=tuple(done),
            mute=silence,
            notes=tuple(notes),
        )
        target, restarts = self._health.textfile, len(self._state.restarts.times)
        if target and (problem := textfile.write(target, report, restarts)):
            log.warning("%s", problem)
            report = replace(report, notes=(*report.notes, problem))
        return report

    def _save(self, state: State) -> None:
        self._state = self._store.save(state)

    def _look(self) -> Snapshot:
        taken = self._hands.take(self._config, self._state.seen, self._state.hung_probe)
        self._state = replace(self._state, hung_probe=taken.hung_probe)
        return replace(taken.snapshot, state_problem=self._store.problem, unreachable=dict(self._state.unreachable))

    def _plan(
        self, findings: Sequence[Finding], snapshot: Snapshot, before: State, *, muted: bool
    ) -> Decision | Refusal | None:
        """Decide everything, then write it, before anything is done."""
        now = snapshot.at
        planned = alerts.plan(before.alerts, before.past, findings, now, self._health.alerts, muted=muted)
        obstacle = "muted" if muted else None
        if snapshot.scope == "remote":
            obstacle = "the bridge does not run on this host"
        todo, restarts = restart.decide(findings, before.restarts, now, self._health.restarts, obstacle)
        if isinstance(todo, Refusal) and todo.cause:
            planned = alerts.note(planned, todo.rule, todo.words, todo.cause)
        self._save(
            replace(
                self._state,
                alerts=planned,
                restarts=restarts,
                seen=previous_check.remember(snapshot, before.seen, self._health.rules.clock.tolerance_s),
            )
        )
        return todo

    def _act(self, todo: Decision | Refusal | None, snapshot: Snapshot) -> list[ActionTaken]:
        match todo:
            case None:
                return []
            case Refusal(rule, words):
                return [ActionTaken(rule, "restart_bridge", words)]
            case Decision():
                taken = self._hands.perform(todo, snapshot, self._config)
                log.warning("%s: %s", taken.rule, taken.words)
                self._save(replace(self._state, alerts=alerts.note(self._state.alerts, taken.rule, taken.words)))
                return [taken]

    def _tell(self, changes: Sequence[Change], now: datetime) -> tuple[Delivery, ...]:
        self._state, deliveries = deliver.tell(
            self._state, self._store.save, self._notifier, self._config, changes, now
        )
        return deliveries

    def _finish(self, now: datetime, by: str) -> None:
        over = [alert for alert in self._state.alerts if alert.is_settled(self._health.addresses)]
        past = (*self._state.past, *over)[-self._health.alerts.history :]
        standing = tuple(alert for alert in self._state.alerts if alert not in over)
        self._save(replace(self._state, alerts=standing, past=past, completed_at=now, completed_by=by))

    def _with_deliveries(
        self, findings: Sequence[Finding], snapshot: Snapshot, before: Seen | None
    ) -> tuple[Finding, ...]:
        """The findings, with the notifier judged by what was delivered just now."""
        if not self._health.rules.notifier.enabled:
            return tuple(findings)
        now = rules.notifier(Facts(replace(snapshot, unreachable=self._state.unreachable), before, self._config))
        merged = [now if finding.rule == now.rule else finding for finding in findings]
        return tuple(sorted(merged, key=lambda finding: -finding.severity.rank))


def _mute(config: HealthConfig, now: datetime) -> MuteShown | None:
    found = mute.read(config.health.state_dir, now)
    return MuteShown(found.until, found.why, found.by) if found else None


def _scope_note(snapshot: Snapshot) -> tuple[str, ...]:
    if snapshot.scope == "local":
        return ()
    return ("the bridge does not run on this host: only Hazelcast was looked at, nothing can be restarted",)


def _open(standing: Sequence[Alert], config: HealthConfig) -> tuple[OpenAlert, ...]:
    shown = []
    for alert in standing:
        if alert.resolved_at:
            continue
        recipients = alert.recipients(config.health.addresses)
        told = tuple(block for block in recipients if block in alert.told)
        untold = tuple(block for block in recipients if block not in alert.told)
        words = "; ".join(alert.words)
        groups = tuple(alert.wanted)
        shown.append(OpenAlert(alert.id, alert.title, alert.severity, alert.opened_at, words, groups, told, untold))
    return tuple(shown)
