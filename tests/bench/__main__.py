"""`python -m bench [--quick]`: measure everything in one run; print tables and, last, one line of JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from support.hazelcast_member import MemberError

from bench import host, plot, tables
from bench.plan import FULL, QUICK
from bench.session import Session

RESULTS = Path(__file__).parents[2] / "bench-results"


def main() -> int:
    """Exit status 0; 1 with one line if there is no Hazelcast."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the bridge. Leave the machine alone meanwhile.")
    parser.add_argument("--quick", action="store_true", help="a glance, in less than a minute")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for JSON and PNG (%(default)s)")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="scan-bridge-bench-") as place,
            Session(plan, Path(place), console) as session,
        ):
            facts = host.facts(Path(place))
            results = {"host": facts, "plan": plan.name, **session.measure()}
    except MemberError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    tables.show(console, results)
    arguments.results.mkdir(exist_ok=True)
    json_path, png_path = (arguments.results / f"{plan.name}.{ending}" for ending in ("json", "png"))
    json_path.write_text(json.dumps(results | {"lags_ms": session.raw_lags()}, indent=1))
    plot.draw(session.lags, png_path, ", ".join(f"{name} {value}" for name, value in facts.items()))
    console.print(f"written: {json_path} {png_path}")
    print(json.dumps(results["summary"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
