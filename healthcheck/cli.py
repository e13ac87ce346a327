"""The `scan-bridge-health` command. Prefect is imported only by the subcommands that need it."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import shtab

from bridge import __version__
from bridge.config import DEFAULT_CONFIG_PATH, ENV_PREFIX, ConfigError
from bridge.system import journal
from healthcheck.act import notify_test
from healthcheck.act.apprise_urls import SpareNotifier
from healthcheck.check import BY_TIMER, AlreadyRunning, Inspector, last_completed, run_check
from healthcheck.config.settings import HealthConfig, load
from healthcheck.keep import mute
from healthcheck.keep.mute import Mute, MuteError
from healthcheck.keep.state import StateError, Store
from healthcheck.model.report import Report
from healthcheck.present import terminal
from healthcheck.text import clock, duration, foreign

EXIT_CODES = """\
exit codes (check: as Nagios has them):
  0  ok, or done
  1  check: warning; others: failed
  2  check: critical
  3  check: unknown, or the configuration is not valid; wrong usage
  4  check --act: nothing could be done, because the configuration or the state cannot be used
  78 serve: the configuration is not valid
"""
FAILED = 1
UNKNOWN = 3
NOT_DONE = 4
EX_CONFIG = 78  # sysexits.h; systemd does not restart `serve` for it

EXAMPLES = {
    None: """\
examples:
  scan-bridge-health check
  scan-bridge-health mute 30m --why "moving the source"
  scan-bridge-health alerts
""",
    "check": """\
Looks and judges; sends nothing and restarts nothing, unless told to by --act.
On a host other than the bridge's it looks at Hazelcast only, and says so.

examples:
  scan-bridge-health check                                  # Nagios: text, performance data, exit code
  scan-bridge-health check --json | jq '.findings[].words'
  scan-bridge-health check --act --exit-zero --unless-checked-within 3m # as the timer does while Prefect is down
""",
    "mute": """\
Until then nothing is sent and nothing is restarted. What is still wrong at the end is sent then.

examples:
  scan-bridge-health mute 30m --why "moving the source"
  scan-bridge-health mute 1h30m --why "new switch"
""",
    "unmute": "examples:\n  scan-bridge-health unmute\n",
    "alerts": "examples:\n  scan-bridge-health alerts\n  scan-bridge-health alerts --history 20\n",
    "check-config": "examples:\n  scan-bridge-health check-config --config ./config.toml\n",
    "serve": "examples:\n  scan-bridge-health serve              # as the systemd unit does\n",
    "automations": """\
examples:
  sudo scan-bridge-health automations
  PREFECT_API_URL=http://127.0.0.1:4200/api scan-bridge-health automations
""",
    "notify-test": """\
Sends a test message to every block of every group: by Prefect, and to its spare URL. As root it reads what the services
read. It exits 1 if a service did not take its message, or if there is nobody to tell.

examples:
  sudo scan-bridge-health notify-test
""",
    "dashboard": """\
A page for the browser: read-only, without a login, on this machine's loopback only. Nothing needs Prefect.

examples:
  scan-bridge-health dashboard                        # then open http://127.0.0.1:9478/
  ssh -L 9478:127.0.0.1:9478 HOST                     # the same page, seen from your own machine
""",
}


class _Parser(argparse.ArgumentParser):
    """Wrong usage is `unknown` to Nagios, not `critical`."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UNKNOWN, f"{self.prog}: {message}\n")


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except ConfigError as error:
        return _refuse(str(error), NOT_DONE if getattr(arguments, "act", False) else UNKNOWN)
    except (MuteError, StateError) as error:
        return _refuse(str(error), NOT_DONE if isinstance(error, StateError) else FAILED)
    except BrokenPipeError:  # `scan-bridge-health alerts | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = _Parser(
        prog="scan-bridge-health",
        description="Watches the scan bridge: tells what is wrong, whom it concerns, and restarts it where that helps.",
        epilog=EXAMPLES[None] + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"scan-bridge-health {__version__}")
    shtab.add_argument_to(top, ["--print-completion"], help="print a completion script for this shell and exit")
    commands = top.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name: str, help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=EXAMPLES[name] + EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        default = Path(os.environ.get(ENV_PREFIX + "CONFIG", DEFAULT_CONFIG_PATH))
        option = command.add_argument("--config", type=Path, default=default, help="configuration file (%(default)s)")
        option.complete = shtab.FILE  # type: ignore[attr-defined]
        return command

    check = add("check", "check once, without Prefect")
    check.add_argument("--json", action="store_true", help="the whole report, for programs")
    check.add_argument("--act", action="store_true", help="also alert, restart and remember, as Prefect's check does")
    check.add_argument(
        "--unless-checked-within", metavar="DURATION", help="with --act: nothing, if a check completed so recently"
    )
    check.add_argument(
        "--exit-zero", action="store_true", help="exit 0 whatever the verdict, for a unit that acts on it"
    )
    check.set_defaults(command=_check)

    silence = add("mute", "send and restart nothing for a while")
    silence.add_argument("duration", help="90s, 30m, 2h, 1h30m; at most 7d")
    silence.add_argument("--why", required=True, help="shown in every report")
    silence.set_defaults(command=_mute)

    add("unmute", "end the mute").set_defaults(command=_unmute)

    alerts = add("alerts", "list the alerts that stand, and past ones")
    alerts.add_argument("--history", type=int, default=10, metavar="N", help="past alerts to show (%(default)s)")
    alerts.add_argument("--json", action="store_true", help="for programs")
    alerts.set_defaults(command=_alerts)

    add("check-config", "validate the whole configuration and print section health").set_defaults(command=_check_config)
    add("serve", "serve the Prefect deployment until stopped").set_defaults(command=_serve)
    add("automations", "create or update the shipped Automations in Prefect, as serve does").set_defaults(
        command=_automations
    )
    add("notify-test", "send a test message to everybody who would be alerted").set_defaults(command=_notify_test)
    add("dashboard", "serve the dashboard, a page for the browser, until stopped").set_defaults(command=_dashboard)
    return top


def _check(arguments: argparse.Namespace) -> int:
    config = load(arguments.config)
    journal.set_up("warning", "scan-bridge-health")
    if arguments.act:
        return _act(arguments, config)
    if arguments.unless_checked_within:
        return _refuse("--unless-checked-within needs --act", UNKNOWN)
    report = Inspector(config).inspect()
    return _show(report, arguments)


def _show(report: Report, arguments: argparse.Namespace) -> int:
    print(terminal.as_json(report) if arguments.json else terminal.nagios(report))
    return 0 if arguments.exit_zero else report.severity.nagios_code


def _act(arguments: argparse.Namespace, config: HealthConfig) -> int:
    if arguments.unless_checked_within:
        recent = mute.parse_duration(arguments.unless_checked_within)
        last = last_completed(config)
        now = datetime.now(UTC)
        if last is not None and now - recent < last <= now:
            _nothing_to_do(f"the last check completed {duration((now - last).total_seconds())} ago")
            return 0
    try:
        report = run_check(config, SpareNotifier(config.health), by=BY_TIMER)
    except AlreadyRunning as error:
        _nothing_to_do(str(error))
        return 0
    return _show(report, arguments)


def _nothing_to_do(why: str) -> None:
    """For people only: a timer that asks every minute must not fill the journal with it."""
    if sys.stdout.isatty():
        print(f"{why}; nothing to do")


def _mute(arguments: argparse.Namespace) -> int:
    config = load(arguments.config)
    now = datetime.now(UTC)
    until = now + mute.parse_duration(arguments.duration)
    by = os.environ.get("SUDO_USER") or getpass.getuser()
    mute.write(config.health.state_dir, Mute(until, foreign(arguments.why), foreign(by), now))
    print(f"muted until {clock(until)}; end it earlier with: scan-bridge-health unmute")
    return 0


def _unmute(arguments: argparse.Namespace) -> int:
    mute.clear(load(arguments.config).health.state_dir)
    print("not muted")
    return 0


def _alerts(arguments: argparse.Namespace) -> int:
    state = Store(load(arguments.config).health).load(may_repair=False)
    past = state.past[-arguments.history :] if arguments.history > 0 else ()
    shown = [*state.alerts, *reversed(past)]
    if arguments.json:
        print(terminal.alerts_json(shown))
    else:
        print("\n".join(terminal.alert_lines(shown)) or "no alerts")
    return 0


def _check_config(arguments: argparse.Namespace) -> int:
    print(load(arguments.config).health.model_dump_json(indent=2, by_alias=True))
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    try:
        from healthcheck.prefect.serve import serve

        return serve(arguments.config)
    except ConfigError as error:
        return _refuse(str(error), EX_CONFIG)
    except ModuleNotFoundError as error:
        return _missing(error, "prefect", "serve needs Prefect, which is not installed; `check` works without it")


def _automations(arguments: argparse.Namespace) -> int:
    config = load(arguments.config)
    try:
        _settle_prefect(arguments.config)
        from healthcheck.prefect.automations import ensure, untold_words

        ensured = ensure(config)
    except ModuleNotFoundError as error:
        return _missing(error, "prefect", "automations live in Prefect, which is not installed")
    except Exception as error:  # noqa: BLE001  # whatever the server or the way to it had against it
        return _refuse(f"Prefect's server did not take the automations: {error}", FAILED)
    print("\n".join(f"set {name}" for name in ensured.changed) or "nothing to change")
    untold = untold_words(ensured, config)
    return _refuse(untold, FAILED) if ensured.untold else 0


def _notify_test(arguments: argparse.Namespace) -> int:
    config = load(arguments.config)
    ways: dict[str, notify_test.Send] = {}
    try:
        _settle_prefect(arguments.config)
        from healthcheck.prefect.blocks import send_by_block

        deadline_s = config.health.alerts.send_timeout_s
        ways["Prefect"] = lambda block, subject, body: send_by_block(block, subject, body, deadline_s)
    except ModuleNotFoundError as error:
        _missing(error, "prefect", "Prefect is not installed here; only the spare URLs are tried")
    ways["the spare URL"] = SpareNotifier(config.health).send
    attempts = notify_test.send_all(config, ways, os.environ.get("SUDO_USER") or getpass.getuser())
    print("\n".join(notify_test.lines(attempts, config)))
    return 0 if attempts and not any(attempt.problem for attempt in attempts) else FAILED


def _settle_prefect(config: Path) -> None:
    from healthcheck.prefect import environment

    environment.settle(config)


def _dashboard(arguments: argparse.Namespace) -> int:
    from healthcheck.dashboard.server import run

    return run(arguments.config)


def _missing(error: ModuleNotFoundError, package: str, words: str) -> int:
    """A package that is not there is the operator's to install; any other missing module is a defect."""
    if (error.name or "").split(".")[0] != package:
        raise error
    return _refuse(words, FAILED)


def _refuse(words: str, status: int) -> int:
    print(f"scan-bridge-health: {words}".replace("\n", "\nscan-bridge-health: "), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
