"""The `scan-bridge` command. What takes time to import is imported by the subcommand that needs it."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.command_line import CommandLine, Parser, parse, say_if_root
from bridge.commands import replay, simulate
from bridge.commands.arguments import duration, folder
from bridge.config_file import ConfigError

if TYPE_CHECKING:
    from bridge.config import Config

EXIT_CODES = """\
exit codes:
  0   done
  1   failed: an error, or the bridge or its value is not as it should be
  64  wrong usage
  69  Hazelcast cannot be reached, or refuses
  78  the configuration is not valid
"""
EX_UNAVAILABLE = 69  # sysexits.h
EX_CONFIG = 78  # sysexits.h

EXAMPLES = {
    None: """\
examples:
  scan-bridge check-config
  scan-bridge status --watch
  scan-bridge latest --format csv -o scan.csv
  scan-bridge --instance NAME status               # of the bridge that reads NAME.toml
""",
    "run": """\
examples:
  scan-bridge run                                  # as the systemd unit does
  scan-bridge run --config ./config.toml
  SCAN_BRIDGE_SOURCE__ROOT=/data/scans scan-bridge run
signals: SIGTERM and SIGINT stop, SIGHUP reloads the configuration
""",
    "check-config": "examples:\n  scan-bridge check-config --config ./config.toml\n",
    "status": """\
examples:
  scan-bridge status                               # one bridge: all it says; several: a table
  scan-bridge status --json | jq .counters
  scan-bridge status --instance bridge-2
  scan-bridge status --forget bridge-2
""",
    "latest": "examples:\n  scan-bridge latest\n  scan-bridge latest --format arrow -o scan.arrows\n",
    "history": """\
examples:
  scan-bridge history --since 1h
  scan-bridge history --gaps
  scan-bridge history --since 30m --export /tmp/scans
""",
    "replay": """\
examples:
  scan-bridge replay /data/eigen_scans --into /tmp/replayed --from 2026-03-24T08:00 --to 2026-03-24T17:30
  scan-bridge replay /data/eigen_scans --into /tmp/replayed --speed 10
""",
    "simulate": "examples:\n  scan-bridge simulate /tmp/scans --rate 2 --duration 60\n",
}


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    arguments = parse(parser(), argv)
    try:
        return COMMANDS[arguments.command](arguments)
    except ConfigError as error:
        print(f"scan-bridge: {error}".replace("\n", "\nscan-bridge: "), file=sys.stderr)
        return EX_CONFIG
    except BrokenPipeError:  # `scan-bridge latest | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> Parser:
    """The command line."""
    description = "Puts the newest complete scan from a folder of Arrow files into Hazelcast."
    top = Parser(prog="scan-bridge", description=description)
    line = CommandLine(top, EXAMPLES, EXIT_CODES)
    line.add("run", "run the bridge until it is stopped")
    line.add("check-config", "validate the configuration and print what is in force")
    status = line.add("status", "show what the bridges say of themselves in Hazelcast")
    status.add_argument(
        "--json", action="store_true", help="for programs, a line a bridge; with --watch a line per change"
    )
    one = status.add_mutually_exclusive_group()
    one.add_argument("--instance", dest="entry", metavar="NAME", help="only this bridge, with all it says")
    one.add_argument("--forget", metavar="NAME", help="remove what a bridge that is no more has left in the map")
    status.add_argument("--watch", action="store_true", help="keep showing it, twice a second, until Ctrl-C")
    latest = line.add("latest", "show the newest scan in Hazelcast")
    latest.add_argument("--format", choices=("table", "json", "csv", "arrow"), default="table")
    latest.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to FILE, not to the terminal")
    _add_history(line)
    simulate.add_arguments(
        line.add("simulate", "write realistic scans into a folder, as the producer would", config=False)
    )
    replay.add_arguments(line.add("replay", "write an archive's scans again, with the times of now", config=False))
    return top


def _add_history(line: CommandLine) -> None:
    history = line.add("history", "show the scans of the last hours in Hazelcast, oldest first")
    history.add_argument("--since", type=duration, metavar="1h", help="only the last 30m, 2h, 1h30m …")
    history.add_argument("--json", action="store_true", help="a line of JSON a scan")
    what = history.add_mutually_exclusive_group()
    what.add_argument("--gaps", action="store_true", help="what lies on disk and not there; fails if a valid scan does")
    what.add_argument("--export", type=folder, metavar="DIR", help="write them as files to DIR, with their times")


def _run(arguments: argparse.Namespace) -> int:
    # By itself, one that comes too early ends the process; the handler comes with what is imported next.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    gc.disable()  # nothing of what is loaded now is garbage
    from bridge.config import Config, load
    from bridge.config_file import name_of
    from bridge.service import daemon
    from bridge.system import journal

    name = name_of(arguments.config)
    identifier = f"scan-bridge@{name}" if name else "scan-bridge"

    def reload() -> Config:
        config = load(arguments.config, Config)
        if state_directory := os.environ.get("STATE_DIRECTORY"):
            config = config.model_copy(update={"state_dir": Path(state_directory)})
        journal.set_up(config.log.level, identifier)
        return config

    journal.set_up("info", identifier)
    try:
        config = reload()
    except ConfigError as error:
        daemon.refuse(str(error))
        raise
    gc.freeze()  # nor need it be looked through while scans are on their way
    gc.enable()
    daemon.run(config, reload)


def _check_config(arguments: argparse.Namespace) -> int:
    from bridge.config import Config, load

    config = load(arguments.config, Config)
    print(config.model_dump_json(indent=2, exclude={"health"}))
    if config.history.keep_s:
        print(f"scan-bridge: {_cost(config)}", file=sys.stderr)
    say_if_root("scan-bridge", "dolphin", arguments.config)
    return 0


def _cost(config: Config) -> str:
    from bridge.history import cost, inventory

    now_ns, keep_s = time.time_ns(), config.history.keep_s
    try:
        files = inventory.list_young(config.source.root, now_ns - int(keep_s * 1e9), strict=True)
    except OSError as error:
        return f"what the history costs cannot be told: {error.filename}: {error.strerror}"
    estimate = cost.estimate(files, keep_s, now_ns, config.hazelcast.value)
    return str(estimate or "what the history costs cannot be told: too few scans on disk")


def _status(arguments: argparse.Namespace) -> int:
    from bridge.commands import status
    from bridge.config import Config, load

    config = load(arguments.config, Config)
    if arguments.forget is not None:
        return status.forget(config, arguments.forget)
    return status.status(config, arguments.entry, as_json=arguments.json, watch=arguments.watch)


def _latest(arguments: argparse.Namespace) -> int:
    from bridge.commands import latest
    from bridge.config import Config, load

    return latest.latest(load(arguments.config, Config), arguments.format, arguments.output)


def _history(arguments: argparse.Namespace) -> int:
    from bridge.commands import history
    from bridge.config import Config, load

    return history.history(load(arguments.config, Config), arguments)


COMMANDS = {
    "run": _run,
    "check-config": _check_config,
    "status": _status,
    "latest": _latest,
    "history": _history,
    "simulate": simulate.run,
    "replay": replay.run,
}
