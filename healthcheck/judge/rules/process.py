"""Rules about the bridge's process: has it crashed, was it stopped, what does it use? Pure; no I/O."""

from __future__ import annotations

from healthcheck.judge import judgement, previous_check
from healthcheck.judge.facts import Facts
from healthcheck.model.finding import Cause, Finding
from healthcheck.model.observation import CpuReading, Known, UnitState, value_of
from healthcheck.text import foreign, megabytes

# A process this young has used its CPU time for starting: imports, the first look at the source.
STARTING_S = 30.0


def process_crash(facts: Facts) -> Finding:
    """The unit failed, or its main process died since the last check."""
    name, rule, unit = "process_crash", facts.health.rules.process_crash, facts.unit
    if unit is None:
        return judgement.unknown(name, "the unit's state is unknown")
    before = facts.seen.unit if facts.seen else None
    died = _deaths(unit, before)
    how = f" ({_exit(unit)})" if _exit(unit) else ""
    look_further = f"journalctl -u {facts.health.unit} -p notice -n 50"
    if unit.active_state == "failed":
        # A start that takes too long is repeated by Restart=always; only a stop that did leaves this result behind.
        stays = unit.result == "timeout"
        then = "it did not end when it was stopped, so it was killed" if stays else "its retry timer starts it again"
        words = f"the unit has failed, result {unit.result}{how}; {then}"
        return judgement.met(name, rule, words, Cause.GAVE_UP, look_further)
    if unit.sub_state == "auto-restart":
        words = f"the main process died, result {unit.result}{how}; systemd is about to start it again"
        return judgement.met(name, rule, words, Cause.CRASHED, look_further)
    if died:
        times = "once" if died == 1 else f"{died} times"
        last = _last_words(facts)
        stopped = unit.active_state == "inactive"
        then = "then the unit was stopped" if stopped else "was started again by systemd"
        words = f"the main process died {times} since the last check and {then}{last}"
        return judgement.met(name, rule, words, Cause.CRASHED, look_further, restart_helps=not stopped)
    if unit.active_state in ("activating", "deactivating"):
        return judgement.unknown(name, f"the unit is {unit.active_state} ({unit.sub_state})")
    return judgement.fine(name, f"no crash; {unit.n_restarts} automatic restarts since the unit was started")


def process_stopped(facts: Facts) -> Finding:
    """The unit does not run although nothing went wrong."""
    name, rule, unit = "process_stopped", facts.health.rules.process_stopped, facts.unit
    if unit is None:
        return judgement.unknown(name, "the unit's state is unknown")
    if unit.active_state == "inactive" and unit.sub_state != "auto-restart":
        ran = facts.seen is not None and facts.seen.unit is not None and facts.seen.unit.is_running
        when = "it was stopped since the last check" if ran else "it was stopped, or never started"
        words = f"the bridge does not run: {when} (result {unit.result})"
        return judgement.met(name, rule, words, Cause.STOPPED, f"systemctl status {facts.health.unit}")
    return judgement.fine(name, f"the unit is {unit.active_state} ({unit.sub_state})")


def cpu(facts: Facts) -> Finding:
    """CPU time since the last check; of a new process, since its start."""
    name, rule = "cpu", facts.health.rules.cpu
    if _down(facts):
        return judgement.fine(name, "the bridge does not run")
    used, over_s = _cpu_since(facts)
    if used is None or over_s is None:
        reason = "the process is too young" if isinstance(facts.snapshot.cpu, Known) else "no figures"
        return judgement.unknown(name, f"CPU use cannot be told yet: {reason}")
    percent = judgement.number("cpu", 100 * used / over_s, "%", rule.warning_percent, rule.critical_percent)
    severity = judgement.severity_of(percent)
    words = f"the bridge used {percent.value:.0f} % of a core over the last {over_s:.0f} s"
    if not severity.is_bad:
        return judgement.fine(name, words, percent)
    look_further = f"top -H -p $(systemctl show -P MainPID {facts.health.unit})"
    return judgement.over(name, rule, severity, words, Cause.OVER_LIMIT, (percent,), look_further)


def memory(facts: Facts) -> Finding:
    """Memory in use now."""
    name, rule = "memory", facts.health.rules.memory
    if _down(facts):
        return judgement.fine(name, "the bridge does not run")
    used = value_of(facts.snapshot.memory_bytes)
    if used is None:
        return judgement.unknown(name, "no figures")
    bound = [limit if limit == "off" else limit * 1e6 for limit in (rule.warning_mb, rule.critical_mb)]
    measured = judgement.number("memory", used, "B", bound[0], bound[1])
    severity = judgement.severity_of(measured)
    words = f"the bridge uses {megabytes(used)} of memory"
    if not severity.is_bad:
        return judgement.fine(name, words, measured)
    look_further = f"systemctl status {facts.health.unit}"
    return judgement.over(name, rule, severity, words, Cause.OVER_LIMIT, (measured,), look_further)


def _down(facts: Facts) -> bool:
    return facts.unit is not None and not facts.unit.is_running


def _deaths(unit: UnitState, before: UnitState | None) -> int:
    """How often systemd had to start the unit again since the last check; its count is reset by a manual start."""
    if before is None:
        return 0
    restarts = unit.n_restarts - before.n_restarts if unit.n_restarts >= before.n_restarts else unit.n_restarts
    # The last check saw it dead and about to be started again, which systemd counted only then.
    return restarts - 1 if restarts and before.sub_state == "auto-restart" else restarts


def _exit(unit: UnitState) -> str:
    if unit.exec_main_code == "exited":
        return f"exit status {unit.exec_main_status}"
    return f"{unit.exec_main_code} by signal {unit.exec_main_status}" if unit.exec_main_code else ""


def _last_words(facts: Facts) -> str:
    """What the journal says of it: once the process runs again, systemd has forgotten how the last one ended."""
    batch = value_of(facts.snapshot.journal)
    exits = [line.message for line in batch.lines if "Main process exited" in line.message] if batch else []
    return f" ({foreign(exits[-1])})" if exits else ""


def _cpu_since(facts: Facts) -> tuple[float, float] | tuple[None, None]:
    now: CpuReading | None = value_of(facts.snapshot.cpu)
    if now is None:
        return None, None
    before = facts.seen.cpu if facts.seen else None
    elapsed = previous_check.elapsed_s(facts.seen, facts.snapshot.clock)
    if before and before.source == now.source and elapsed and now.used_s >= before.used_s:
        return now.used_s - before.used_s, elapsed
    if facts.uptime_s is not None and facts.uptime_s >= STARTING_S:
        return now.used_s, facts.uptime_s
    return None, None
