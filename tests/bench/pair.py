"""`python -m bench.pair [SECONDS]`: how long a pair of bridges takes over, and what it costs the cluster.

Faults of either bridge, one after the other, for so long; then quiet minutes with one bridge, and with two.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from support.hazelcast_member import Member
from support.pair import FAULTS, Pair, member_behind_relays, quantile

ROWS = 5000  # 100 kB
QUIET_S = 30.0
TICK_S = 0.01


def main() -> int:
    """Print one line of JSON a measurement."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    member = member_behind_relays()
    try:
        member.start()
        for standby_s in (0.0, 0.25):
            show("takeover", standby_s, in_a_pair(member, standby_s, lambda pair: takeovers(pair, seconds)))
        for standby_s in (None, 0.0, 0.25):
            show("cost", standby_s, in_a_pair(member, standby_s, lambda pair: cost(pair, member)))
    finally:
        member.close()
    return 0


def show(what: str, standby_s: float | None, figures: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps({"what": what, "standby_s": standby_s, **figures}), flush=True)


def in_a_pair(member: Member, standby_s: float | None, measure: Any) -> Any:
    """A pair made for this measurement; with None the second bridge is not running."""
    client = member.client()
    with tempfile.TemporaryDirectory(prefix="scan-bridge-pair-") as place:
        pair = Pair(Path(place), member, client, standby_s or 0.0)
        pair.rows = ROWS
        try:
            if standby_s is None:
                pair.standby.bridge.kill()
            with pair.producing():
                figures = measure(pair)
            pair.consumer.assert_rising()
            return figures | ({"takeover_ms": spread(pair.takeovers_ms())} if pair.takeovers else {})
        finally:
            pair.close()
            for name in ("pair", "pair_status"):
                client.get_map(name).blocking().destroy()


def takeovers(pair: Pair, seconds: float) -> dict[str, Any]:
    """Faults for so long."""
    end_s, rounds = time.monotonic() + seconds, list(itertools.product(FAULTS, pair.sides))
    while time.monotonic() < end_s:
        random.shuffle(rounds)
        for fault, side in rounds:
            pair.suffer(fault, side)
    return {"scans": len(pair.record().landed)}


def cost(pair: Pair, member: Member) -> dict[str, Any]:
    """What a scan costs on the lines of both bridges, and the member in CPU."""
    time.sleep(5)
    before = _now(pair, member)
    time.sleep(QUIET_S)
    after = _now(pair, member)
    scans = after["scans"] - before["scans"]
    return {
        "scans": scans,
        **{
            name: round((after[name] - before[name]) / scans, 2)
            for name in ("kB_to_member", "kB_from_member", "member_cpu_ms")
        },
    }


def _now(pair: Pair, member: Member) -> dict[str, float]:
    fields = Path(f"/proc/{member.pid}/stat").read_text().rpartition(") ")[2].split()
    lines = [side.relay.passed_bytes for side in pair.sides]
    return {
        "scans": len(pair.record().landed),
        "kB_to_member": sum(line["to the server"] for line in lines) / 1000,
        "kB_from_member": sum(line["to the client"] for line in lines) / 1000,
        "member_cpu_ms": (int(fields[11]) + int(fields[12])) * TICK_S * 1000,
    }


def spread(values: list[float]) -> dict[str, float]:
    """The middle, and how far it goes."""
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {"times": len(values), **{name: round(quantile(values, share)) for name, share in shares.items()}}


if __name__ == "__main__":
    sys.exit(main())
