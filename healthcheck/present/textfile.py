"""The last check for Prometheus: a file for node_exporter's textfile collector, replaced whole after each check.

A check that cannot write it goes on. The file then grows old, which its time stamp shows.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from healthcheck.model.finding import Severity
from healthcheck.model.report import Report

# The numbers of Nagios.
SEVERITIES = {Severity.OK: 0, Severity.WARNING: 1, Severity.CRITICAL: 2, Severity.UNKNOWN: 3}


def text(report: Report, restarts: int) -> bytes:
    """The metrics of one check, in Prometheus' text format.

    Args:
        restarts: those within the budget's window.
    """
    registry = CollectorRegistry()

    def gauge(name: str, help: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"scan_bridge_health_{name}", help, labels, registry=registry)

    rules = gauge("rule_severity", "Verdict of each rule: 0 ok, 1 warning, 2 critical, 3 unknown.", ["rule"])
    for finding in report.findings:
        rules.labels(finding.rule).set(SEVERITIES[finding.severity])
    gauge("last_check_timestamp_seconds", "When the last check looked.").set(report.snapshot.at.timestamp())
    gauge("check_duration_seconds", "How long it took.").set(report.duration_s)
    alerts = gauge("open_alerts", "Alerts that stand.", ["severity"])
    standing = Counter(alert.severity for alert in report.alerts)
    for severity in (Severity.WARNING, Severity.CRITICAL):
        alerts.labels(severity).set(standing[severity])
    gauge("restarts", "Restarts of the bridge by the check within restarts.window_s.").set(restarts)
    gauge("muted", "1 while alerts and restarts are muted, else 0.").set(report.mute is not None)
    return generate_latest(registry)


def write(path: Path, report: Report, restarts: int) -> str | None:
    """Replace the file, for everyone to read; None if that worked, else why not, in one line."""
    temporary = path.with_name(f".{path.name}.new")  # the collector reads *.prom
    try:
        temporary.unlink(missing_ok=True)  # left by a check that was killed
        with temporary.open("xb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(text(report, restarts))
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        return f"{path}: {error.strerror}; no metrics of this check"
    return None
