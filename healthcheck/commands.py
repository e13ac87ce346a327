"""The subcommands of `scan-bridge-health`.

The timer runs `check --unless-checked-within` every minute and mostly has nothing to do: what takes long to import is
imported only where it is needed.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bridge.command_line import say_if_root
from bridge.config_file import ConfigError
from bridge.system import journal
from healthcheck.config.settings import HealthConfig, load
from healthcheck.keep import mute
from healthcheck.keep.mute import Mute, MuteError
from healthcheck.keep.state import StateError, Store, last_completed
from healthcheck.model.report import Report
from healthcheck.observe.beside import load_all
from healthcheck.present import terminal
from healthcheck.text import clock, duration, foreign

FAILED = 1
UNKNOWN = 3
NOT_DONE = 4
EX_CONFIG = 78  # sysexits.h; systemd does not restart `serve` for it


def run(arguments: argparse.Namespace) -> int:
    """Do what the subcommand `arguments.command` says; returns the exit code."""
    try:
        return COMMANDS[arguments.command](arguments)
    except ConfigError as error:
        return _refuse(str(error), NOT_DONE if getattr(arguments, "act", False) else UNKNOWN)
    except (MuteError, StateError) as error:
        return _refuse(str(error), NOT_DONE if isinstance(error, StateError) else FAILED)
    except BrokenPipeError:  # `scan-bridge-health alerts | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _check(arguments: argparse.Namespace) -> int:
    if arguments.all:
        return _check_all(arguments)
    config = load(arguments.config)
    journal.set_up("warning", "scan-bridge-health")
    report = _look(arguments, config)
    if report is None:
        return 0
    print(terminal.as_json(report) if arguments.json else terminal.nagios(report))
    return 0 if arguments.exit_zero else report.severity.nagios_code


def _check_all(arguments: argparse.Namespace) -> int:
    from healthcheck.check_all import check_all

    journal.set_up("warning", "scan-bridge-health")
    code = check_all(partial(_look, arguments), acts=arguments.act, as_json=arguments.json)
    return 0 if arguments.exit_zero and code <= UNKNOWN else code


def _look(arguments: argparse.Namespace, config: HealthConfig) -> Report | None:
    """One check, as told; None if there was nothing to do."""
    if recent := arguments.unless_checked_within:
        last = last_completed(config.health)
        now = datetime.now(UTC)
        if last is not None and now - recent < last <= now:
            _nothing_to_do(f"the last check completed {duration((now - last).total_seconds())} ago")
            return None
    from healthcheck.act.apprise_urls import SpareNotifier
    from healthcheck.check import BY_TIMER, AlreadyRunning, Inspector, run_check

    if not arguments.act:
        return Inspector(config).inspect()
    try:
        return run_check(config, SpareNotifier(config.health), by=BY_TIMER)
    except AlreadyRunning as error:
        _nothing_to_do(str(error))
        return None


def _nothing_to_do(why: str) -> None:
    """For people only: a timer that asks every minute must not fill the journal with it."""
    if sys.stdout.isatty():
        print(f"{why}; nothing to do")


def _mute(arguments: argparse.Namespace) -> int:
    config = load(arguments.config)
    now = datetime.now(UTC)
    until = now + arguments.duration
    by = os.environ.get("SUDO_USER") or getpass.getuser()
    mute.write(config.health.state_dir, Mute(until, foreign(arguments.why), foreign(by), now))
    print(f"muted until {clock(until)}; end it earlier with: {config.health.scan_bridge_health} unmute")
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
    say_if_root("scan-bridge-health", "dolphin-healthcheck", arguments.config)
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
    configs = list(load_all(arguments.config).configs.values()) or [load(arguments.config)]
    try:
        _settle_prefect(arguments.config)
        from healthcheck.prefect.automations import ensure, untold_words

        every = [ensure(one) for one in configs]
    except ModuleNotFoundError as error:
        return _missing(error, "prefect", "automations live in Prefect, which is not installed")
    except Exception as error:  # noqa: BLE001  # whatever the server or the way to it had against it
        return _refuse(f"Prefect's server did not take the automations: {error}", FAILED)
    print("\n".join(f"set {name}" for ensured in every for name in ensured.changed) or "nothing to change")
    untold = [untold_words(ensured, one) for ensured, one in zip(every, configs, strict=True) if ensured.untold]
    return _refuse("\n".join(untold), FAILED) if untold else 0


def _notify_test(arguments: argparse.Namespace) -> int:
    from healthcheck.act import notify_test
    from healthcheck.act.apprise_urls import SpareNotifier

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


def _missing(error: ModuleNotFoundError, package: str, text: str) -> int:
    """A package that is not there is the operator's to install; any other missing module is a defect."""
    if (error.name or "").split(".")[0] != package:
        raise error
    return _refuse(text, FAILED)


def _refuse(text: str, status: int) -> int:
    print(f"scan-bridge-health: {text}".replace("\n", "\nscan-bridge-health: "), file=sys.stderr)
    return status


COMMANDS = {
    "check": _check,
    "mute": _mute,
    "unmute": _unmute,
    "alerts": _alerts,
    "check-config": _check_config,
    "serve": _serve,
    "automations": _automations,
    "notify-test": _notify_test,
    "dashboard": _dashboard,
}
