"""The `scan-bridge` command."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import shtab

from bridge import __version__
from bridge.config import DEFAULT_CONFIG_PATH, ENV_PREFIX, Config, ConfigError, load
from bridge.system import journal

EXIT_CODES = """\
exit codes:
  0   done
  1   failed: an error, or the bridge or its value is not as it should be
  2   wrong usage
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
""",
    "run": """\
examples:
  scan-bridge run                                  # as the systemd unit does
  scan-bridge run --config ./config.toml
  SCAN_BRIDGE_SOURCE__ROOT=/data/scans scan-bridge run
signals: SIGTERM and SIGINT stop, SIGHUP reloads the configuration
""",
    "check-config": "examples:\n  scan-bridge check-config --config ./config.toml\n",
    "status": "examples:\n  scan-bridge status\n  scan-bridge status --json | jq .counters\n",
    "latest": "examples:\n  scan-bridge latest\n  scan-bridge latest --format arrow -o scan.arrows\n",
    "simulate": "examples:\n  scan-bridge simulate /tmp/scans --rate 2 --duration 60\n",
}


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except ConfigError as error:
        print(f"scan-bridge: {error}".replace("\n", "\nscan-bridge: "), file=sys.stderr)
        return EX_CONFIG
    except BrokenPipeError:  # `scan-bridge latest | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from bridge.commands import simulate

    top = argparse.ArgumentParser(
        prog="scan-bridge",
        description="Puts the newest complete scan from a folder of Arrow files into Hazelcast.",
        epilog=EXAMPLES[None] + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"scan-bridge {__version__}")
    shtab.add_argument_to(top, ["--print-completion"], help="print a completion script for this shell and exit")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, help: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=EXAMPLES[name] + EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_config(command: argparse.ArgumentParser) -> None:
        default = Path(os.environ.get(ENV_PREFIX + "CONFIG", DEFAULT_CONFIG_PATH))
        option = command.add_argument("--config", type=Path, default=default, help="configuration file (%(default)s)")
        option.complete = shtab.FILE  # type: ignore[attr-defined]

    run = add("run", "run the bridge until it is stopped")
    add_config(run)
    run.set_defaults(command=_run)

    check = add("check-config", "validate the configuration and print what is in force")
    add_config(check)
    check.set_defaults(command=_check_config)

    status = add("status", "show what the bridge says of itself in Hazelcast")
    add_config(status)
    status.add_argument("--json", action="store_true", help="the status entry as it is, for programs")
    status.add_argument("--watch", action="store_true", help="keep showing it, twice a second, until Ctrl-C")
    status.set_defaults(command=_status)

    latest = add("latest", "show the newest scan in Hazelcast")
    add_config(latest)
    latest.add_argument("--format", choices=("table", "json", "csv", "arrow"), default="table")
    output = latest.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to FILE, not to the terminal")
    output.complete = shtab.FILE  # type: ignore[attr-defined]
    latest.set_defaults(command=_latest)

    simulator = add("simulate", "write realistic scans into a folder, as the producer would")
    simulate.add_arguments(simulator)
    simulator.set_defaults(command=simulate.run)
    return top


def _run(arguments: argparse.Namespace) -> int:
    # By itself, one that comes too early ends the process; the handler comes with what is imported next.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    from bridge.service import daemon

    def reload() -> Config:
        config = load(arguments.config, Config)
        if state_directory := os.environ.get("STATE_DIRECTORY"):
            config = config.model_copy(update={"state_dir": Path(state_directory)})
        journal.set_up(config.log.level)
        return config

    journal.set_up("info")
    try:
        config = reload()
    except ConfigError as error:
        daemon.refuse(str(error))
        raise
    daemon.run(config, reload)


def _check_config(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, Config)
    print(config.model_dump_json(indent=2, exclude={"health"}))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from bridge.commands import show

    return show.status(load(arguments.config, Config), as_json=arguments.json, watch=arguments.watch)


def _latest(arguments: argparse.Namespace) -> int:
    from bridge.commands import show

    return show.latest(load(arguments.config, Config), arguments.format, arguments.output)
