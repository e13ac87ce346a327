"""The rule `process_crash`: did the unit fail, or its main process die since the last check? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok, unknown
from healthcheck.model.finding import Cause
from healthcheck.model.observation import UnitState, value_of
from healthcheck.text import foreign


def judge(facts: Facts) -> Judgement:
    """Failed, dead and about to be started again, or died and started again meanwhile."""
    unit = facts.unit
    if unit is None:
        return unknown("the unit's state is unknown")
    if unit.active_state == "failed":
        killed = "it did not end when it was stopped, so it was killed"
        then = killed if unit.hung_when_stopped else "its retry timer starts it again"
        return _crashed(facts, Cause.GAVE_UP, f"the unit has failed, result {unit.result}{_exit(unit)}; {then}")
    if unit.sub_state == "auto-restart":
        words = f"the main process died, result {unit.result}{_exit(unit)}; systemd is about to start it again"
        return _crashed(facts, Cause.CRASHED, words)
    if died := _deaths(unit, facts.previous.unit if facts.previous else None):
        times = "once" if died == 1 else f"{died} times"
        then = "then the unit was stopped" if unit.active_state == "inactive" else "was started again by systemd"
        words = f"the main process died {times} since the last check and {then}{_last_words(facts)}"
        return _crashed(facts, Cause.CRASHED, words)
    if unit.active_state in ("activating", "deactivating"):
        return unknown(f"the unit is {unit.active_state} ({unit.sub_state})")
    return ok(f"no crash; {unit.n_restarts} automatic restarts since the unit was started")


def _crashed(facts: Facts, cause: Cause, words: str) -> Judgement:
    return Judgement(
        facts.rules.process_crash.severity,
        words,
        cause,
        look_further=f"journalctl -u {facts.health.unit} -p notice -n 50",
        restart_helps=facts.unit is not None and facts.unit.active_state != "inactive",  # who stopped it meant it
    )


def _deaths(unit: UnitState, before: UnitState | None) -> int:
    """How often systemd had to start the unit again since the last check; its count is reset by a manual start."""
    if before is None:
        return 0
    restarts = unit.n_restarts - before.n_restarts if unit.n_restarts >= before.n_restarts else unit.n_restarts
    # The last check saw it dead and about to be started again, which systemd counted only then.
    return restarts - 1 if restarts and before.sub_state == "auto-restart" else restarts


def _exit(unit: UnitState) -> str:
    if unit.exec_main_code == "exited":
        return f" (exit status {unit.exec_main_status})"
    return f" ({unit.exec_main_code} by signal {unit.exec_main_status})" if unit.exec_main_code else ""


def _last_words(facts: Facts) -> str:
    """What the journal says of it: once the process runs again, systemd has forgotten how the last one ended."""
    batch = value_of(facts.snapshot.journal)
    exits = [line.message for line in batch.lines if "Main process exited" in line.message] if batch else []
    return f" ({foreign(exits[-1])})" if exits else ""
