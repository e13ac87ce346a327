"""The `scan-bridge-health` command line. What the subcommands do is in `commands`, imported when one is called."""

from __future__ import annotations

import gc
import traceback

from bridge.command_line import CommandLine, Parser, parse
from healthcheck.duration import parse_duration

EXIT_CODES = """\
exit codes (check: as Nagios has them):
  0  ok, or done
  1  check: warning; others: failed
  2  check: critical
  3  check: unknown, or the configuration is not valid
  4  check --act: nothing could be done, because the configuration or the state cannot be used
  64 wrong usage
  70 a defect of this program: it crashed, and has no verdict
  78 serve: the configuration is not valid
"""
EX_SOFTWARE = 70  # sysexits.h
LASTING = ("serve", "dashboard")  # the others end within seconds

EXAMPLES = {
    None: """\
examples:
  scan-bridge-health check
  scan-bridge-health mute 30m --why "moving the source"
  scan-bridge-health alerts
  scan-bridge-health --instance NAME check          # of the bridge that reads NAME.toml
""",
    "check": """\
Looks and judges; sends nothing and restarts nothing, unless told to by --act.
On a host other than the bridge's it looks at Hazelcast only, and says so.

examples:
  scan-bridge-health check                                  # Nagios: text, performance data, exit code
  scan-bridge-health check --all                            # each bridge of this host
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


def main(argv: list[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    line = parser()
    arguments = parse(line, argv)
    if arguments.command == "check" and arguments.unless_checked_within and not arguments.act:
        line.error("--unless-checked-within needs --act")
    if arguments.command == "check" and arguments.all and arguments.is_named:
        line.error("--all means every bridge of this host: it goes with neither --config nor --instance")
    if argv is None and arguments.command not in LASTING:
        gc.disable()  # little of what is imported and seen is garbage, and it ends soon
    try:
        from healthcheck import commands

        return commands.run(arguments)
    except Exception:  # noqa: BLE001  # Python's own status for it, 1, is the verdict "warning" here
        traceback.print_exc()
        return EX_SOFTWARE


def parser() -> Parser:
    """The command line."""
    description = "Watches the scan bridge: tells what is wrong, whom it concerns, and restarts it where that helps."
    top = Parser(prog="scan-bridge-health", description=description)
    line = CommandLine(top, EXAMPLES, EXIT_CODES)
    check = line.add("check", "check once, without Prefect")
    check.add_argument("--json", action="store_true", help="the whole report, for programs")
    check.add_argument("--all", action="store_true", help="every bridge of this host: a line each, the worst exit code")
    check.add_argument("--act", action="store_true", help="also alert, restart and remember, as Prefect's check does")
    check.add_argument(
        "--unless-checked-within",
        type=parse_duration,
        metavar="DURATION",
        help="with --act: nothing, if a check completed so recently; at most 7d",
    )
    check.add_argument(
        "--exit-zero", action="store_true", help="exit 0 whatever the verdict, for a unit that acts on it"
    )
    silence = line.add("mute", "send and restart nothing for a while")
    silence.add_argument("duration", type=parse_duration, help="90s, 30m, 2h, 1h30m; at most 7d")
    silence.add_argument("--why", required=True, help="shown in every report")
    line.add("unmute", "end the mute")
    alerts = line.add("alerts", "list the alerts that stand, and past ones")
    alerts.add_argument("--history", type=int, default=10, metavar="N", help="past alerts to show (%(default)s)")
    alerts.add_argument("--json", action="store_true", help="for programs")
    line.add("check-config", "validate the whole configuration and print section health")
    line.add("serve", "serve the Prefect deployment until stopped")
    line.add("automations", "create or update the shipped Automations in Prefect, as serve does")
    line.add("notify-test", "send a test message to everybody who would be alerted")
    line.add("dashboard", "serve the dashboard, a page for the browser, until stopped")
    return top
