"""`scan-bridge simulate`: writes synthetic scans as a producer would, its mistakes included.

For demonstrations, tests and measurements; the bridge itself must never need it. The command line imports this
module for its arguments, so what costs memory is imported late.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge.commands.arguments import moment, positive_count, positive_number
from bridge.commands.landing import land
from bridge.system import interrupt

IN_PLACE_S = 0.2  # how long writing in place takes
IN_PLACE_CHUNKS = 10
FAREWELL_S = 2.0  # for what is being written, and the last line, if somebody reads it
BAD_KINDS = ("empty", "truncated", "garbage", "corrupt")


def spoil(data: bytes, kind: str, rng: random.Random) -> bytes:
    """What a producer leaves that crashed, or wrote something else. `kind` is one of `BAD_KINDS`."""
    if kind == "empty":
        return b""
    if kind == "truncated":
        return data[: rng.randrange(1, len(data) - 16)]  # without the end of either format
    if kind == "garbage":
        return rng.randbytes(len(data))
    # corrupt: overwritten where the schema is, at the head of either format and in the footer of a file
    return data[:8] + bytes(64) + data[72:-138] + bytes(128) + data[-10:]


def write(root: Path, path: str, data: bytes, in_place: bool = False) -> None:
    """Write `root/path`: under a temporary name and renamed, or slowly under its own name.

    Raises:
        OSError: it cannot be written. Nothing is left under the temporary name.
    """
    target = root / path
    if in_place:
        target.parent.mkdir(parents=True, exist_ok=True)
        size = len(data) // IN_PLACE_CHUNKS + 1
        with target.open("wb") as file:
            for i in range(IN_PLACE_CHUNKS):
                file.write(data[i * size : (i + 1) * size])
                file.flush()
                time.sleep(IN_PLACE_S / IN_PLACE_CHUNKS)
        return
    land(target, data)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `scan-bridge simulate`, read by `run`."""
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder to write into; made if missing")
    parser.add_argument("--rate", type=positive_number, default=0.5, metavar="R", help="times a second (default: 0.5)")
    parser.add_argument("--burst", type=positive_count, default=1, metavar="N", help="scans each time (default: 1)")
    parser.add_argument("--count", type=positive_count, metavar="N", help="stop after N scans")
    parser.add_argument("--duration", type=positive_number, metavar="S", help="stop after S seconds")
    parser.add_argument("--assets", type=asset_count, default=80, metavar="N", help="assets in a scan (default: 80)")
    parser.add_argument(
        "--windows",
        type=positive_count,
        default=1,
        metavar="N",
        help="windows of returns, each a batch of about 16 N² bytes (default: 1)",
    )
    parser.add_argument("--format", choices=("file", "stream"), default="file", help="Arrow IPC format (default: file)")
    parser.add_argument("--in-place", action="store_true", help="write slowly under the final name, without a rename")
    parser.add_argument("--bad", type=share, default=0.0, metavar="P", help="share of bad files, 0 to 1 (default: 0)")
    parser.add_argument(
        "--start",
        type=moment,
        metavar="TIME",
        help="pretend to start at this time, 2026-03-24T23:59:50, UTC (default: now)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="same seed and start, same bytes (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Write scans until SIGINT, SIGTERM, `--count` or `--duration`. Exit status 0, or 1 with one line why."""
    stop = interrupt.stop_on_signal(FAREWELL_S)
    try:
        _produce(args, stop)
    except OSError as error:
        print(f"simulate: cannot write {error.filename or args.root}: {error.strerror}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    return 0


def _produce(args: argparse.Namespace, stop: threading.Event) -> None:
    from bridge.commands.synthetic import scans, ticks

    start = args.start or datetime.now(UTC)
    times = ticks(start, args.rate, args.burst)
    if args.duration:
        end = start + timedelta(seconds=args.duration)
        times = itertools.takewhile(lambda time_: time_ < end, times)
    times = itertools.islice(times, args.count)
    rng = random.Random(args.seed)  # noqa: S311  # not for secrets
    written, bad, newest = 0, 0, "none"
    began = 0.0
    for scan in scans(args.seed, times, args.assets, args.windows):
        began = began or time.monotonic()  # once the first is made, which takes longer than the others
        due = began + (scan.time - start).total_seconds()
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        data = scan.encode(args.format)
        if written == 0:
            print(f"writing scans of {len(data) / 1000:.0f} kB into {args.root}; Ctrl-C stops", flush=True)
        if rng.random() < args.bad:
            data = spoil(data, rng.choice(BAD_KINDS), rng)
            bad += 1
        write(args.root, scan.path, data, args.in_place)
        written, newest = written + 1, scan.path
    print(f"wrote {written} scans, {bad} of them bad; the newest is {newest}")


def asset_count(text: str) -> int:
    value = int(text)
    if not 2 <= value <= 200:  # more take minutes to decompose; --windows makes scans bigger at no such cost
        raise argparse.ArgumentTypeError(f"{text} is not 2 to 200; --windows makes scans bigger")
    return value


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not 0 to 1")
    return value
