"""The rule `process_crash`: did the unit fail, or its main process die since the last check? Pure; no I/O."""

from __future__ import annotations

from datetime import datetime

from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, ok, unknown
from healthcheck.model.finding import Cause
from healthcheck.model.observation import JournalLine, UnitState, value_of
from healthcheck.text import foreign

# systemd.exec(5): not the program's, but of systemd before it.
NO_SANDBOX = 226


def judge(facts: Facts) -> Judgement:
    """Failed, dead and about to be started again, or died and started again meanwhile."""
    unit = facts.unit
    if unit is None:
        return unknown("the unit's state is unknown")
    if unit.active_state == "failed":
        then = "its retry timer starts it again"
        if unit.hung_when_stopped:
            then = "it did not end when it was stopped, so it was killed"
        if unit.is_masked:  # then not even Restart= is in force any more
            then = "its unit is masked, so nothing can start it"
        text = f"the unit has failed, result {unit.result}{_exit(unit)}; {then}"
        return _crashed(facts, Cause.MASKED if unit.is_masked else Cause.GAVE_UP, text, unit.ended_at)
    if unit.sub_state == "auto-restart":
        text = f"the main process died, result {unit.result}{_exit(unit)}; systemd is about to start it again"
        return _crashed(facts, Cause.CRASHED, text, unit.ended_at)
    if died := _deaths(unit, facts.previous.unit if facts.previous else None):
        times = "once" if died == 1 else f"{died} times"
        then = "then the unit was stopped" if unit.active_state == "inactive" else "was started again by systemd"
        exits = _exits_in_journal(facts)
        last = f" ({foreign(exits[-1].message)})" if exits else ""
        text = f"the main process died {times} since the last check and {then}{last}{_out_of_memory(facts)}"
        return _crashed(facts, Cause.CRASHED, text, exits[0].at if exits else None)
    if unit.active_state in ("activating", "deactivating"):
        return unknown(f"the unit is {unit.state}")
    return ok(f"no crash; {unit.n_restarts} automatic restarts since the unit was started")


def _crashed(facts: Facts, cause: Cause, text: str, since: datetime | None) -> Judgement:
    return Judgement(
        facts.rules.process_crash.severity,
        text,
        cause,
        look_further=f"{facts.health.journalctl} -u {facts.health.unit} -p notice -n 50",
        # Who stopped or masked it meant it.
        restart_helps=facts.unit is not None and facts.unit.active_state != "inactive" and not facts.unit.is_masked,
        since=since,
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
        if unit.exec_main_status == NO_SANDBOX:
            return f" (exit status {NO_SANDBOX}: systemd could not make its sandbox; is there no room left on /?)"
        return f" (exit status {unit.exec_main_status})"
    return f" ({unit.exec_main_code} by signal {unit.exec_main_status})" if unit.exec_main_code else ""


def _exits_in_journal(facts: Facts) -> list[JournalLine]:
    """What the journal says of it: once the process runs again, systemd has forgotten how the last one ended."""
    return [line for line in _journal(facts) if "Main process exited" in line.message]


def _out_of_memory(facts: Facts) -> str:
    """Said of it only then: how its process ended tells no more than that it was killed."""
    killed = any("result 'oom-kill'" in line.message for line in _journal(facts))
    return "; out of memory: the kernel killed it at MemoryMax= of the unit" if killed else ""


def _journal(facts: Facts) -> tuple[JournalLine, ...]:
    batch = value_of(facts.snapshot.journal)
    return batch.lines if batch else ()
