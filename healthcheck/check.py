"""One check, start to end: observe, judge, act, deliver, remember.

The only place where these steps are put in order. Both the Prefect flow and the timer's fallback call
`run_check`; a file lock keeps two of them from running at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bridge.system.files import replace_file
from healthcheck.act import dead_mans_switch, restart
from healthcheck.act.deliver import NotDelivered, Notifier, Outbox
from healthcheck.alert import alerts
from healthcheck.alert.alerts import Alerting
from healthcheck.alert.restart_policy import Decision, Refusal, RestartPolicy, obstacle
from healthcheck.config.settings import HealthConfig
from healthcheck.judge import findings, previous_check
from healthcheck.judge.facts import Facts
from healthcheck.judge.previous_check import PreviousCheck
from healthcheck.keep import mute
from healthcheck.keep.state import LockedError, State, StateError, Store
from healthcheck.model.alert import Change, Delivery
from healthcheck.model.condition import CheckCondition, PrefectSilence, Unusable
from healthcheck.model.finding import Block, Finding
from healthcheck.model.observation import LeftBehind, Scope, Snapshot
from healthcheck.model.report import ActionTaken, MuteShown, Report
from healthcheck.observe import probes, watcher
from healthcheck.observe.probes import Observed

__all__ = [
    "AlreadyRunning",
    "Effects",
    "Inspector",
    "NotDelivered",
    "Notifier",
    "run_check",
]

log = logging.getLogger(__name__)

BY_PREFECT, BY_TIMER = "prefect", "timer"


class AlreadyRunning(Exception):
    """Another check holds the lock; this one did nothing."""


@dataclass(frozen=True, slots=True)
class Effects:
    """How a check sees and touches the bridge. Other ones are for tests of the order of steps."""

    observe: Callable[[HealthConfig, PreviousCheck | None, LeftBehind | None], Observed] = probes.observe
    restart: Callable[[Decision, Snapshot, HealthConfig], ActionTaken] = restart.perform


def run_check(config: HealthConfig, notifier: Notifier, *, by: str, effects: Effects = Effects()) -> Report:
    """Observe, judge, act and deliver, once. Never raises for what a probe, an action or the notifier did.

    In order, so that a kill between any two steps neither loses nor doubles an alert:

    1. take the lock, read the state, and write it back: what cannot be written must not be acted upon;
    2. ask every probe side by side, each with its deadline;
    3. judge (`judge.findings`) and plan (`alert.alerts`, `alert.restart_policy`), all pure;
    4. write the state: alerts opened and resolved, the restart intended;
    5. act, write what was done;
    6. tell each recipient what it has not been told, and write that after each delivery;
    7. write that the check completed; request the heartbeat URL; write the metrics.

    One gap cannot be closed from this side: killed after a service took a message and before that was written, the
    check sends it again, and the message says that it may be a repeat.

    Args:
        by: who runs it, for the record: `BY_PREFECT` or `BY_TIMER`.

    Raises:
        AlreadyRunning: another check is under way.
        state.StateError: the state can be written nowhere, so no alert could be sent exactly once.
    """
    store = Store(config.health)
    try:
        with store.lock():
            return _Check(config, notifier, store, effects).run(by)
    except LockedError as error:
        raise AlreadyRunning(str(error)) from error


class Inspector:
    """Observes and judges only: sends nothing, restarts nothing, writes nothing. For Nagios, for people, once or often.

    Not to be used by two threads at once.
    """

    def __init__(self, config: HealthConfig) -> None:
        self._config = config
        self._hung_look: LeftBehind | None = None

    def inspect(self) -> Report:
        """Observe and judge. While a look at the disk hangs in the kernel, no other is begun."""
        started = time.monotonic()
        config, store = self._config, Store(self._config.health)
        try:
            state = store.load(may_repair=False)
            notes = store.notes
        except StateError as error:
            state = State()
            notes = (f"without the last check's state, so less can be told: {error}",)
        observed = probes.observe(config, state.previous_check, self._hung_look or state.hung_look)
        self._hung_look = observed.hung_look
        snapshot = observed.snapshot
        facts = Facts(snapshot, state.previous_check, config)
        silence = _prefect_silence(state, config, snapshot.at)
        condition = CheckCondition(unreachable=state.unreachable, unusable=state.unusable, prefect_silence=silence)
        return Report(
            snapshot,
            findings.worst_first(
                [*findings.about_the_bridge(facts), *findings.about_the_check(condition, config.health)]
            ),
            time.monotonic() - started,
            state.completed_at,
            alerts=Alerting(snapshot.at, config.health.alerts, config.health.addresses).standing(state.alerts),
            mute=_mute(config, snapshot.at),
            notes=(*notes, *_scope_note(snapshot.scope)),
        )


class _Check:
    """One run, under the lock. Its methods are the steps of `run_check`."""

    def __init__(self, config: HealthConfig, notifier: Notifier, store: Store, effects: Effects) -> None:
        self._config = config
        self._health = config.health
        self._notifier = notifier
        self._store = store
        self._effects = effects
        self._state = State()
        self._prefect_silence: PrefectSilence | None = None

    def run(self, by: str) -> Report:
        started = time.monotonic()
        self._state = before = self._store.load()
        notes = list(self._store.notes)
        self._save(self._state)
        snapshot = self._observe()
        if by != BY_PREFECT:
            self._prefect_silence = _prefect_silence(before, self._config, snapshot.at)
        silence = _mute(self._config, snapshot.at)
        alerting = Alerting(snapshot.at, self._health.alerts, self._health.addresses, muted=silence is not None)
        of_bridge = findings.about_the_bridge(Facts(snapshot, before.previous_check, self._config))
        decision = self._plan(self._with_own(of_bridge), snapshot, alerting)
        actions = self._act(decision, snapshot)
        changes = alerts.changes(before.alerts, self._state.alerts)
        deliveries = () if silence else self._deliver(changes, alerting)
        self._finish(snapshot.at, by)
        notes += _scope_note(snapshot.scope)
        if self._health.heartbeat_url_file and (problem := dead_mans_switch.ping(self._health.heartbeat_url_file)):
            log.warning("%s", problem)
            notes.append(problem)
        report = Report(
            snapshot,
            self._with_own(of_bridge),
            time.monotonic() - started,
            before.completed_at,
            alerts=alerting.standing(self._state.alerts),
            changes=changes,
            deliveries=deliveries,
            actions=actions,
            mute=silence,
            notes=tuple(notes),
        )
        return self._write_metrics(report)

    def _save(self, state: State) -> None:
        self._state = self._store.save(state)

    def _observe(self) -> Snapshot:
        observed = self._effects.observe(self._config, self._state.previous_check, self._state.hung_look)
        self._state = replace(self._state, hung_look=observed.hung_look, unusable=self._verify_blocks())
        return observed.snapshot

    def _verify_blocks(self) -> dict[Block, Unusable]:
        """Which blocks cannot be used; where the notifier cannot tell, as the last one that could has found."""
        blocks = {block for blocks in self._health.addresses.values() for block in blocks}
        found = self._notifier.unusable(sorted(blocks))
        known = self._state.unusable if found is None else found
        return {block: unusable for block, unusable in known.items() if block in blocks}

    def _with_own(self, of_bridge: Sequence[Finding]) -> tuple[Finding, ...]:
        """With what is found of the check itself, which deliveries change."""
        condition = CheckCondition(
            self._store.problem, self._state.unreachable, self._state.unusable, self._prefect_silence
        )
        return findings.worst_first([*of_bridge, *findings.about_the_check(condition, self._health)])

    def _plan(self, found: Sequence[Finding], snapshot: Snapshot, alerting: Alerting) -> Decision | Refusal | None:
        """Decide everything, then write it, before anything is done."""
        planned = alerting.plan(self._state.alerts, self._state.past, found)
        policy = RestartPolicy(self._health.restarts, snapshot.at, obstacle(snapshot, muted=alerting.muted))
        decision, restarts = policy.decide(found, self._state.restarts)
        if isinstance(decision, Refusal) and decision.cause:
            planned = alerts.note_done(planned, decision.rule, decision.text, decision.cause)
        tolerance_s = self._health.rules.clock.tolerance_s
        seen = previous_check.remember(snapshot, self._state.previous_check, tolerance_s)
        self._save(replace(self._state, alerts=planned, restarts=restarts, previous_check=seen))
        return decision

    def _act(self, decision: Decision | Refusal | None, snapshot: Snapshot) -> tuple[ActionTaken, ...]:
        match decision:
            case None:
                return ()
            case Refusal(rule, text):
                return (ActionTaken(rule, "restart_bridge", text),)
            case Decision():
                action = self._effects.restart(decision, snapshot, self._config)
                log.warning("%s: %s", action.rule, action.text)
                noted = alerts.note_done(self._state.alerts, action.rule, action.text)
                self._save(replace(self._state, alerts=noted))
                return (action,)

    def _deliver(self, changes: Sequence[Change], alerting: Alerting) -> tuple[Delivery, ...]:
        outbox = Outbox(self._notifier, self._store.save, alerting, self._config)
        self._state, deliveries = outbox.deliver(self._state, changes)
        return deliveries

    def _finish(self, now: datetime, by: str) -> None:
        settled = [alert for alert in self._state.alerts if alert.is_settled(self._health.addresses)]
        past = (*self._state.past, *settled)[-self._health.alerts.history :]
        left = tuple(alert for alert in self._state.alerts if alert not in settled)
        state = replace(self._state, alerts=left, past=past, completed_at=now, completed_by=by)
        self._save(replace(state, prefect_completed_at=now) if by == BY_PREFECT else state)

    def _write_metrics(self, report: Report) -> Report:
        """A check that cannot write them goes on; the file then grows old, which its time stamp shows."""
        target = self._health.textfile
        if target is None:
            return report
        try:
            # Only who wants metrics pays for the import.
            from healthcheck.present import textfile

            metrics = textfile.text(report, len(self._state.restarts.times), self._config.status.instance)
            replace_file(target, metrics, mode=0o644)
        except OSError as error:
            problem = f"{target}: {error.strerror}; no metrics of this check"
            log.warning("%s", problem)
            return replace(report, notes=(*report.notes, problem))
        return report


def _prefect_silence(state: State, config: HealthConfig, now: datetime) -> PrefectSilence | None:
    """How long Prefect has been silent, once that may matter."""
    since, rule = state.prefect_completed_at, config.health.rules.prefect
    if not rule.enabled or since is None or (now - since).total_seconds() <= rule.after_s:
        return None
    return PrefectSilence(since, (now - since).total_seconds(), watcher.inspect(config.health))


def _mute(config: HealthConfig, now: datetime) -> MuteShown | None:
    found = mute.read(config.health.state_dir, now)
    return MuteShown(found.until, found.why, found.by) if found else None


def _scope_note(scope: Scope) -> tuple[str, ...]:
    if scope.is_local:
        return ()
    return (f"only Hazelcast was looked at, and nothing can be restarted from here: {scope.reason}",)
