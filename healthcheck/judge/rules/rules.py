"""The judgement: a snapshot, in the light of the last one, becomes one finding per enabled rule.

Pure: no I/O, no clock, no state of its own. What is unknown gives `unknown`, never `ok`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from healthcheck.config.settings import HealthConfig
from healthcheck.judge import judgement
from healthcheck.judge.facts import Facts
from healthcheck.judge.previous_check import LOCAL_PROBES, PROBES, Seen, elapsed_s
from healthcheck.judge.rules import process
from healthcheck.judge.rules.stale_data import stale_data
from healthcheck.model.finding import Cause, Finding, Severity
from healthcheck.model.observation import Known, Snapshot, Unknown
from healthcheck.text import duration

FILES_WINDOWS_S = (60.0, 300.0)  # the bridge's status counts over these


def evaluate(snapshot: Snapshot, seen: Seen | None, config: HealthConfig) -> tuple[Finding, ...]:
    """One finding per rule that is switched on and can be judged from here, worst first."""
    facts = Facts(snapshot, seen, config)
    findings = [
        judge(facts)
        for name, judge in JUDGES.items()
        if getattr(config.health.rules, name).enabled and (facts.local or name not in LOCAL_RULES)
    ]
    by_rule = {finding.rule: finding for finding in findings}
    explained = [replace(finding, explained_by=_explanation(finding, by_rule)) for finding in findings]
    return tuple(sorted(explained, key=lambda finding: -finding.severity.rank))


def hazelcast(facts: Facts) -> Finding:
    """Can this check reach the cluster, and is the bridge heard through it?"""
    name, rule, unit = "hazelcast", facts.health.rules.hazelcast, facts.health.unit
    reach = facts.snapshot.hazelcast
    if isinstance(reach, Unknown):
        return judgement.unknown(name, f"not asked: {reach.reason}")
    if not reach.value.reachable:
        own = f" The bridge's own word: {facts.unit.status_text}" if facts.unit and facts.unit.status_text else ""
        words = f"this check cannot reach the cluster: {reach.value.detail}; restarting the bridge is useless.{own}"
        return judgement.met(name, rule, words, Cause.HAZELCAST_AWAY, "scan-bridge status", restart_helps=False)
    if facts.unit is not None and not facts.unit.is_running:
        return judgement.fine(name, "this check reaches the cluster; the bridge does not run")
    if facts.heartbeat == "unknown":
        return judgement.unknown(name, "this check reaches the cluster; the bridge's heartbeat cannot be told")
    if facts.heartbeat == "fresh":
        return judgement.fine(
            name, f"{reach.value.detail} reached, heartbeat {duration(facts.heartbeat_age_s or 0)} old"
        )
    age = facts.heartbeat_age_s
    heard = f"its heartbeat is {duration(age)} old" if age is not None else "the map holds no status of it"
    if facts.just_back:
        return judgement.unknown(
            name, f"{heard}, and {facts.just_back}: judged again at the next check", Cause.RECOVERING
        )
    if facts.unit is None:
        words = f"this check reaches the cluster, the bridge is not heard: {heard}"
        return judgement.met(name, rule, words, Cause.BRIDGE_SILENT, f"systemctl status {unit}", restart_helps=False)
    words = f"this check reaches the cluster and the bridge's process runs, but {heard}: it is cut off, or hangs"
    return judgement.met(name, rule, words, Cause.CLIENT_WEDGED, f"journalctl -u {unit} -n 50")


def high_lag(facts: Facts) -> Finding:
    """How long scans took from file to Hazelcast."""
    name, rule, status = "high_lag", facts.health.rules.high_lag, facts.status
    if status is None or facts.heartbeat != "fresh":
        return judgement.unknown(name, "no fresh status of the bridge")
    if status.lag_ms.p90 is None:
        return judgement.fine(name, "nothing was published in the last 5 min")
    lag = judgement.number("lag_p90", status.lag_ms.p90 / 1000, "s", rule.warning_s, rule.critical_s)
    severity = judgement.severity_of(lag)
    words = f"nine scans in ten were in Hazelcast {duration(lag.value)} after they were written, or sooner"
    if not severity.is_bad:
        return judgement.fine(name, words, lag)
    words = f"one scan in ten was in Hazelcast only {duration(lag.value)} after it was written, or later"
    look_further = f"journalctl -u {facts.health.unit} -n 50"
    return judgement.over(name, rule, severity, words, Cause.OVER_LIMIT, (lag,), look_further)


def few_files(facts: Facts) -> Finding:
    """Scans published per minute, judged over a window only if scans were expected and the bridge ran all through."""
    name, rule, status = "few_files", facts.health.rules.few_files, facts.status
    if facts.expected_for_s is None:
        return judgement.fine(name, "no scans are expected at this hour")
    if status is None or facts.heartbeat != "fresh":
        return judgement.unknown(name, "no fresh status of the bridge")
    counted_for_s = min(facts.expected_for_s, (status.heartbeat_at - status.started_at).total_seconds())
    minute = judgement.number("files_1m", status.files_per_min_1m, "/min", rule.warning_under_per_min, "off", low=True)
    five = judgement.number("files_5m", status.files_per_min_5m * 5, "", "off", rule.critical_under_per_5min, low=True)
    numbers = tuple(
        number for number, window_s in zip((minute, five), FILES_WINDOWS_S, strict=True) if counted_for_s >= window_s
    )
    severity = max((judgement.severity_of(number) for number in numbers), key=lambda s: s.rank, default=Severity.OK)
    words = f"{minute.value:g} scans published in the last minute, {five.value:g} in the last 5 min"
    if not severity.is_bad:
        return judgement.fine(name, words, *numbers)
    return judgement.over(
        name,
        rule,
        severity,
        words,
        Cause.TOO_FEW_FILES,
        numbers,
        "scan-bridge status",
        restart_helps=facts.waiting is not None and not facts.all_bad,
    )


def clock(facts: Facts) -> Finding:
    """The wall clock against the one that never steps, and the map's scan against the wall clock."""
    name, rule, step = "clock", facts.health.rules.clock, facts.clock_step_s
    if step is not None and facts.clock_stepped:
        direction = "forward" if step > 0 else "back"
        words = f"this host's clock was stepped {direction} by {duration(abs(step))} since the last check"
        return judgement.met(name, rule, words, Cause.CLOCK_STEPPED, "timedatectl", restart_helps=False)
    ahead_s = facts.entry.published_ns / 1e9 - facts.snapshot.at.timestamp() if facts.entry else 0.0
    if ahead_s > rule.tolerance_s:
        words = (
            f"the scan in the map was published {duration(ahead_s)} in the future: this host's clock or the bridge's"
            " was stepped back, or they differ"
        )
        return judgement.met(name, rule, words, Cause.CLOCK_STEPPED, "timedatectl", restart_helps=False)
    return judgement.fine(name, "no step since the last check" if step is not None else "no earlier check to compare")


def blind(facts: Facts) -> Finding:
    """Is there a probe that has had no answer for too long?"""
    name, rule = "blind", facts.health.rules.blind
    asked = [probe for probe in PROBES if facts.local or probe not in LOCAL_PROBES]
    answers = {probe: getattr(facts.snapshot, probe) for probe in asked}
    # What needs the cluster or the process has no answer without it; that is told by its own rule.
    excused = {"entry", "status"} if facts.reachable is False else set()
    if facts.unit is not None and not facts.unit.is_running:
        excused |= {"cpu", "memory_bytes"}
    silent = {
        probe: answer.reason
        for probe, answer in answers.items()
        if not isinstance(answer, Known) and probe not in excused
    }
    if not silent:
        return judgement.fine(name, "every probe has an answer")
    before = facts.seen.unknown_s if facts.seen else {}
    elapsed = _since(facts)
    longest = max((before[probe] + elapsed for probe in silent if probe in before), default=0.0)
    reasons = "; ".join(f"{probe}: {reason}" for probe, reason in silent.items())
    words = f"no answer for {duration(longest)} from {reasons}"
    if longest <= rule.after_s:
        return judgement.unknown(name, words, Cause.PROBE_BLIND)
    return judgement.met(name, rule, words, Cause.PROBE_BLIND, "scan-bridge-health check --json", restart_helps=False)


def state(facts: Facts) -> Finding:
    """Can the check write its own state where it belongs?"""
    problem = facts.snapshot.state_problem
    if problem is None:
        return judgement.fine("state", "the check's state was written")
    words = (
        f"the health check cannot write its state: {problem}; it keeps it in {facts.health.spare_state_dir} until then"
    )
    look_further = f"df -h {facts.health.state_dir}"
    return judgement.met(
        "state", facts.health.rules.state, words, Cause.STATE_NOT_WRITABLE, look_further, restart_helps=False
    )


def notifier(facts: Facts) -> Finding:
    """Did the last message reach every recipient? Told to the groups that can still be reached."""
    failing = facts.snapshot.unreachable
    if not failing:
        return judgement.fine("notifier", "every message reached its recipient")
    reasons = "; ".join(f"{block}: {reason}" for block, reason in sorted(failing.items()))
    words = f"alerts are not delivered and are kept until they are: {reasons}"
    found = judgement.met(
        "notifier",
        facts.health.rules.notifier,
        words,
        Cause.NOTIFIER_FAILED,
        "scan-bridge-health alerts",
        restart_helps=False,
    )
    addresses = facts.health.addresses
    heard = tuple(group for group in found.groups if not set(addresses.get(group, ())) <= set(failing))
    return replace(found, groups=heard)


def _since(facts: Facts) -> float:
    return elapsed_s(facts.seen, facts.snapshot.clock) or 0.0


def _explanation(finding: Finding, by_rule: Mapping[str, Finding]) -> str | None:
    """The finding that this one is only a consequence of: told together, as one problem."""
    if not finding.severity.is_bad:
        return None
    candidates: tuple[str, ...] = ()
    if finding.rule == "stale_data":
        candidates = ("process_crash", "process_stopped", "hazelcast")
        if finding.cause in (Cause.PRODUCER_STOPPED, Cause.SOURCE_AWAY, Cause.ALL_BAD):
            candidates = ()
    elif finding.rule == "few_files":
        candidates = ("process_crash", "process_stopped", "hazelcast", "stale_data")
    for rule in candidates:
        if rule in by_rule and by_rule[rule].severity.is_bad and by_rule[rule].action != "log_only":
            return rule
    return None


Judge = Callable[[Facts], Finding]
LOCAL_RULES = ("process_crash", "process_stopped", "cpu", "memory")
JUDGES: Mapping[str, Judge] = {
    "stale_data": stale_data,
    "hazelcast": hazelcast,
    "process_crash": process.process_crash,
    "process_stopped": process.process_stopped,
    "memory": process.memory,
    "cpu": process.cpu,
    "high_lag": high_lag,
    "few_files": few_files,
    "clock": clock,
    "blind": blind,
    "state": state,
    "notifier": notifier,
}
