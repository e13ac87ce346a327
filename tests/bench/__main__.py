"""`python -m bench [--quick]`: measure everything in one run; print tables and, last, one line of JSON."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from support.hazelcast_member import MemberError
from support.leftovers import Watchman

from bench import host, plot, tables
from bench.lag_rows import raw_lags
from bench.plan import FULL, QUICK
from bench.session import Session

RESULTS = Path(__file__).parents[2] / "bench-results"


def main() -> int:
    """Exit status 0; 1 with one line if there is no Hazelcast, or if some part could not be measured."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the bridge. Leave the machine alone meanwhile.")
    parser.add_argument("--quick", action="store_true", help="a glance, in less than two minutes")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for JSON and PNG (%(default)s)")
    parser.add_argument("--only", nargs="+", default=(), metavar="PART", help="of what it says that it measures")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="scan-bridge-bench-") as place,
            Session(plan, Path(place), console) as session,
        ):
            facts = host.facts(Path(place))
            results = {"host": facts, "plan": plan.name, **session.measure(arguments.only)}
    except MemberError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    tables.show(console, results)
    arguments.results.mkdir(exist_ok=True)
    json_path, png_path = (arguments.results / f"{plan.name}.{ending}" for ending in ("json", "png"))
    json_path.write_text(json.dumps(results | {"lags_ms": raw_lags(session.lags)}, indent=1))
    if session.lags:
        plot.draw(session.lags, png_path, ", ".join(f"{name} {value}" for name, value in facts.items()))
    console.print(f"written to {arguments.results}")
    print(json.dumps(results["summary"]))
    if session.failed:
        print(f"bench: could not be measured: {', '.join(session.failed)}", file=sys.stderr)
    return 1 if session.failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was inherited as ignored
    watchman = Watchman()
    try:
        status = main()
    except KeyboardInterrupt:  # ours alone, for each child has a session of its own; all of them were ended on the way
        status = 128 + signal.SIGINT
    watchman.sweep()
    sys.exit(status)
