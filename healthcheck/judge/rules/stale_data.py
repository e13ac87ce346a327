"""The rule `stale_data`: is the scan in the map too old, and which of the possible causes is it? Pure; no I/O.

Only a bridge that had its chance and did not take it is restarted; nothing else is helped by that.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from bridge.model.order import ScanFile
from healthcheck.judge.facts import Facts
from healthcheck.judge.judgement import Judgement, bound, ok, unknown
from healthcheck.model.finding import Cause, Number, Severity
from healthcheck.text import duration, foreign


@dataclass(frozen=True)
class Diagnosis:
    """Why the scan is old, and whether a restart of the bridge can help."""

    cause: Cause
    text: str
    look_further: str
    restart_helps: bool = False


def judge(facts: Facts) -> Judgement:
    """Judge the age of the scan in the map, and name the cause."""
    rule = facts.rules.stale_data
    if facts.expected_for_s is None:
        return ok("no scans are expected at this hour")
    if facts.age_s is None:
        if facts.reachable is False:
            cause = Cause.HAZELCAST_REFUSES if facts.refusal else Cause.HAZELCAST_AWAY
            return unknown("the map cannot be read and was not read before", cause)
        return unknown("the age of the scan in the map cannot be told")
    # Silence before the window opened is nobody's fault.
    silent_s = min(facts.age_s, facts.expected_for_s)
    age = Number("data_age", silent_s, "s", bound(rule.warning_s), bound(rule.critical_s))
    what = _what(facts, silent_s)
    if not age.severity.is_bad:
        return unknown(what) if facts.no_entry or facts.reachable is False else ok(what, age)
    why = diagnose(facts)
    limit = age.critical if age.severity is Severity.CRITICAL else age.warning
    text = f"{what} (limit {limit:g} s): {why.text}"
    return Judgement(
        age.severity,
        text,
        why.cause,
        (age,),
        why.look_further,
        why.restart_helps,
        since=facts.ago(silent_s),
    )


def diagnose(facts: Facts) -> Diagnosis:
    """The cause of old data, told from outside in: cluster, process, source, bad files, bridge, producer."""
    unit = facts.health.unit
    if facts.refusal:
        text = f"{facts.refusal}; a restart of the bridge is useless"
        return Diagnosis(Cause.HAZELCAST_REFUSES, text, f"{facts.health.scan_bridge} status")
    if facts.reachable is False:
        return Diagnosis(
            Cause.HAZELCAST_AWAY,
            "this check cannot reach the cluster either, so a restart of the bridge is useless",
            f"{facts.health.scan_bridge} status",
        )
    if facts.unit is not None and not facts.unit.is_running:
        text = f"the bridge is not running: {facts.unit.state}"
        return Diagnosis(Cause.BRIDGE_DOWN, text, f"{facts.health.systemctl} status {unit}")
    if (source := _source_away(facts)) is not None:
        return source
    found = _from_disk(facts) if facts.is_local and facts.disk is not None else _from_status(facts)
    return replace(found, text=found.text + _told_by_the_bridge(facts))


def _from_disk(facts: Facts) -> Diagnosis:
    return _producer(facts) if facts.waiting is None else _bridge(facts, facts.waiting)


def _bridge(facts: Facts, file: ScanFile) -> Diagnosis:
    """Something newer waits on disk: the bridge has not published it."""
    journal = f"{facts.health.journalctl} -u {facts.health.unit} -n 50"
    waiting = foreign(file.path)
    if facts.just_back:
        text = f"{waiting} waits on disk, and {facts.just_back}: judged again at the next check"
        return Diagnosis(Cause.RECOVERING, text, journal)
    if _cannot_read(facts, file):
        text = f"{waiting} waits on disk, and the bridge cannot read it, though this check can"
        look_further = f"namei -l {shlex.quote(str(facts.config.source.root / file.path))}"
        return Diagnosis(Cause.SOURCE_AWAY, text, look_further)
    if facts.all_bad:
        return Diagnosis(
            Cause.ALL_BAD,
            f"the bridge is alive and found only bad files since it last published; {waiting} is one",
            f"{facts.health.journalctl} -u {facts.health.unit} -p err -n 20",
        )
    alive = {
        "fresh": "alive but does not publish it, or is far behind",
        "silent": f"silent: its heartbeat is {duration(facts.heartbeat_age_s or 0)} old",
        "none": "silent: the map holds no status of it",
        "unknown": "running; whether it is alive cannot be told",
    }[facts.heartbeat]
    text = f"{waiting} waits on disk and the bridge is {alive}"
    return Diagnosis(Cause.BRIDGE_STUCK, text, journal, restart_helps=facts.reachable is True)


def _producer(facts: Facts) -> Diagnosis:
    """Nothing newer on disk that the bridge could have published."""
    root = facts.config.source.root
    newest = facts.disk.newest if facts.disk else None
    if facts.arriving:
        text = f"the producer paused, or writes very slowly; {foreign(facts.arriving.path)} is just arriving"
    elif newest:
        text = f"the producer stopped: nothing newer on disk than {foreign(newest.path)}"
    else:
        text = "the producer has not written anything: no scan in the newest day folders"
    folder = root / newest.path.split("/")[0] if newest else root
    return Diagnosis(Cause.PRODUCER_STOPPED, text, f"ls -lt {shlex.quote(str(folder))} | head")


def _source_away(facts: Facts) -> Diagnosis | None:
    """ROOT cannot be read. Our own look counts; only without one the bridge's word does."""
    source = facts.config.source.root
    told = facts.source_by_the_bridge
    if facts.disk is not None:
        state, reason = facts.disk.state, foreign(facts.disk.reason)
        if told is not None and told.reason and told.reason != facts.disk.reason:
            reason += f"; the bridge says: {foreign(told.reason)}"
    elif told is not None:
        state, reason = told.state, f"the bridge says: {foreign(told.reason or told.root)}"
    else:
        return None
    if state == "ok":
        return None
    if state == "empty":
        if facts.entry is None:
            return None  # nothing was ever written: no reason to suspect a mount
        text = f"the source has no day folder any more, as if it were unmounted ({reason})"
    else:
        text = f"the source is {state} ({reason})"
    tool = "namei -l" if "Permission denied" in reason else "findmnt -T"
    return Diagnosis(Cause.SOURCE_AWAY, text, f"{tool} {shlex.quote(str(source))}")


def _cannot_read(facts: Facts, file: ScanFile) -> bool:
    """Whether the bridge, by its own fresh word, may not read where this file lies, or nothing at all."""
    told = facts.source_by_the_bridge
    if told is None:
        return False
    return told.state == "unreadable" or (told.state == "ok" and f"/{file.path.split('/')[0]}:" in told.reason)


def _told_by_the_bridge(facts: Facts) -> str:
    """The bridge's own word on its source, where that is not what this check saw."""
    told = facts.source_by_the_bridge
    if told is None or (told.state == "ok" and not told.reason):
        return ""
    return f"; the bridge says of its source: {foreign(told.reason) or told.state}"


def _from_status(facts: Facts) -> Diagnosis:
    """Without a look at the disk, the bridge's own word is all there is; never a reason to restart."""
    look_further = f"on the bridge's host: {facts.health.systemctl} status {facts.health.unit}"
    status = facts.status
    if facts.heartbeat != "fresh" or status is None:
        age = facts.heartbeat_age_s
        heard = f"its heartbeat is {duration(age)} old" if age is not None else "the map holds no status of it"
        text = f"the bridge is dead, frozen or cut off from the cluster: {heard}"
        return Diagnosis(Cause.BRIDGE_SILENT, text, look_further)
    held = facts.entry.held.key if facts.entry else None
    if status.newest is None or (held and (status.newest.mtime_ns, status.newest.path) <= held):
        if status.source.reason:
            text = "the bridge is alive, sees nothing newer, and cannot read all of its source"
            return Diagnosis(Cause.SOURCE_AWAY, text, look_further)
        return Diagnosis(
            Cause.PRODUCER_STOPPED,
            "the producer stopped: the bridge is alive and sees nothing newer",
            look_further,
        )
    newest = foreign(status.newest.path)
    if facts.all_bad:
        text = f"the bridge is alive and found only bad files since it last published; {newest} is one"
        return Diagnosis(Cause.ALL_BAD, text, look_further)
    text = f"the bridge is alive and sees {newest}, but does not publish it"
    return Diagnosis(Cause.BRIDGE_STUCK, text, look_further)


def _what(facts: Facts, silent_s: float) -> str:
    if facts.no_entry:
        return f"the map has held no scan for {duration(silent_s)}"
    if facts.entry is None:
        return f"no scan for {duration(silent_s)}"
    which = "the last scan seen in the map" if facts.reachable is False else "the scan in the map"
    return f"{which}, {foreign(facts.entry.source)}, is {duration(facts.age_s or 0.0)} old"
