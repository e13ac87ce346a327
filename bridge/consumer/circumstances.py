"""Why no fresh scan comes: whether Hazelcast answers, and what the bridges say of themselves. It asks nobody.

Written by the thread that talks to Hazelcast, read by all others: what is shared is replaced as a whole, never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bridge.consumer.errors import StaleCause
from bridge.consumer.scan import Scan
from bridge.model.order import OrderKey, printable

# Missing so many heartbeats in a row, a bridge counts as dead; as everywhere in scan-bridge.
HEARTBEATS_MISSED = 3
# A question that Hazelcast has not answered after so long says more than the answer before it.
UNANSWERED_S = 0.5


@dataclass(frozen=True)
class BridgeReport:
    """What a bridge said of itself; see "The status" in docs/data-format.md."""

    instance: str
    heartbeat_ns: int  # by the bridge's clock
    heartbeat_s: float
    stopped: bool
    source_state: str
    newest: OrderKey | None  # on its disk
    keeps_history: bool = False


@dataclass(frozen=True)
class LastHeard:
    """A report, and when its bridge was last heard of, by the steady clock of this process."""

    report: BridgeReport
    heard_s: float

    def alive(self, now_s: float) -> bool:
        """Whether it still counts as alive."""
        return not self.report.stopped and now_s - self.heard_s <= self.report.heartbeat_s * HEARTBEATS_MISSED


def parse_report(text: str, map_name: str, scan_key: str) -> BridgeReport | None:
    """A status entry; None if it is none, or of a bridge that publishes to another map or key."""
    try:
        entry = json.loads(text)
        if (entry.get("map") or map_name, entry.get("scan_key") or scan_key) != (map_name, scan_key):
            return None
        newest = entry["newest"]
        return BridgeReport(
            instance=str(entry["instance"]),
            heartbeat_ns=int(datetime.fromisoformat(entry["heartbeat_at"]).timestamp() * 1e9),
            heartbeat_s=float(entry["heartbeat_s"]),
            stopped=entry.get("state") == "stopped",
            source_state=str(entry["source"]["state"]),
            newest=newest and OrderKey(int(newest["mtime_ns"]), str(newest["path"])),
            keeps_history=entry.get("history") is not None,
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def heard(report: BridgeReport, before: LastHeard | None, now: tuple[float, int], looked_s: float) -> LastHeard:
    """When a bridge was last heard of, by a clock of this process as far as that is possible.

    The clocks of two hosts differ. But a heartbeat that changed since the look before came since then, whatever it
    says. `now` is the steady clock (s) and the wall clock (ns); `looked_s` is when the look before was.
    """
    if before is not None and before.report.heartbeat_ns == report.heartbeat_ns:
        return LastHeard(report, before.heard_s)
    now_s, now_ns = now
    said_s = now_s - max(0.0, (now_ns - report.heartbeat_ns) / 1e9)
    return LastHeard(report, said_s if before is None else max(said_s, looked_s))


class Circumstances:
    """All that is known about a missing scan."""

    def __init__(self) -> None:
        self._away: str | None = "no answer yet"
        self._asked_s: float | None = None
        self._looked_s = 0.0
        self._bridges: dict[str, LastHeard] = {}
        self.is_known = False  # whether the bridges were asked at all

    def asked(self, now_s: float) -> None:
        """Hazelcast was asked, and has not answered yet."""
        self._asked_s = now_s

    def answered(self) -> None:
        """Hazelcast answered that."""
        self._asked_s = None

    def is_there(self) -> None:
        """It was asked for the newest scan, and answered."""
        self._away = None

    def is_away(self, reason: str) -> None:
        """Hazelcast does not answer, or cannot be reached."""
        self._away, self._asked_s = reason, None

    def told(self, reports: Iterable[BridgeReport], now: tuple[float, int]) -> None:
        """What all bridges say. `now` is the steady clock (s) and the wall clock (ns)."""
        self._bridges = {
            report.instance: heard(report, self._bridges.get(report.instance), now, self._looked_s)
            for report in reports
        }
        self._looked_s = now[0]
        self.is_known = True

    def away(self, now_s: float) -> str | None:
        """Why Hazelcast counts as away; None if it does not."""
        asked_s = self._asked_s
        if self._away is None and asked_s is not None and now_s - asked_s > UNANSWERED_S:
            return f"no answer for {now_s - asked_s:.1f} s"
        return self._away

    def without_history(self, now_s: float) -> str:
        """The bridges that are alive, if there are any and none of them keeps a history; else nothing."""
        alive = [bridge.report for bridge in self._bridges.values() if bridge.alive(now_s)]
        return "" if any(report.keeps_history for report in alive) else _names(alive)

    def cause(self, scan: Scan, now_s: float) -> tuple[StaleCause, str]:
        """Why `scan` is still the newest, and what was seen of it."""
        if away := self.away(now_s):
            return StaleCause.HAZELCAST_AWAY, away
        bridges = list(self._bridges.values())
        alive = [bridge.report for bridge in bridges if bridge.alive(now_s)]
        if not alive:
            return StaleCause.NO_BRIDGE_ALIVE, _silence(bridges, now_s)
        seeing = [report for report in alive if report.source_state == "ok"]
        if not seeing:
            return StaleCause.SOURCE_UNREADABLE, f"{alive[0].instance} says: {alive[0].source_state}"
        ahead = max((report.newest for report in seeing if report.newest), default=None)
        if ahead is not None and ahead > scan.key:
            return StaleCause.BRIDGE_BEHIND, printable(ahead.path)
        return StaleCause.PRODUCER_STOPPED, f"{_names(seeing)} sees nothing newer on disk"


def _names(reports: list[BridgeReport]) -> str:
    return ", ".join(sorted(report.instance for report in reports))


def _silence(bridges: list[LastHeard], now_s: float) -> str:
    if not bridges:
        return "none has said how it is"
    last = max(bridges, key=lambda bridge: bridge.heard_s)
    if last.report.stopped:
        return f"{last.report.instance} was stopped"
    return f"{last.report.instance} is silent for {now_s - last.heard_s:.0f} s"
