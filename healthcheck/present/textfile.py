"""The last check for Prometheus: what the file for node_exporter's textfile collector holds. Pure; no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from healthcheck.model.finding import Severity
from healthcheck.model.report import Report


def text(report: Report, restarts: int, bridge: str) -> bytes:
    """The metrics of one check, in Prometheus' text format.

    Args:
        restarts: those within the budget's window.
        bridge: its instance. Several bridges on a host have a file each, which the collector puts together.
    """
    registry = CollectorRegistry()

    def family(name: str, help: str, labels: Iterable[str]) -> Gauge:
        return Gauge(f"scan_bridge_health_{name}", help, [*labels, "bridge"], registry=registry)

    def gauge(name: str, help: str) -> Gauge:
        return family(name, help, ()).labels(bridge)

    rules = family("rule_severity", "Verdict of each rule: 0 ok, 1 warning, 2 critical, 3 unknown.", ["rule"])
    for finding in report.findings:
        rules.labels(finding.rule, bridge).set(finding.severity.nagios_code)
    gauge("last_check_timestamp_seconds", "When the last check looked.").set(report.snapshot.at.timestamp())
    gauge("check_duration_seconds", "How long it took.").set(report.duration_s)
    alerts = family("open_alerts", "Alerts that stand.", ["severity"])
    standing = Counter(alert.severity for alert in report.alerts)
    for severity in (Severity.WARNING, Severity.CRITICAL):
        alerts.labels(severity, bridge).set(standing[severity])
    gauge("restarts", "Restarts of the bridge by the check within restarts.window_s.").set(restarts)
    gauge("muted", "1 while alerts and restarts are muted, else 0.").set(report.mute is not None)
    return generate_latest(registry)
