"""The dashboard as a service: what its user may read it shows, and it can change nothing."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.hazelcast_member import free_port
from support.machine import until
from support.service import UNIT
from support.watch import STATE, Watch

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

DASHBOARD = "dolphin-scan-bridge-dashboard.service"

Document = dict[str, Any]


@pytest.fixture
def dashboard(watch: Watch) -> Iterator[Callable[[], Document]]:
    """What the page would show now."""
    port = free_port()  # the machine shares the host's network
    watch.configure(health__dashboard__listen=f'"127.0.0.1:{port}"')
    watch.machine.run("systemctl", "start", DASHBOARD)

    def document() -> Document:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state", timeout=5) as answer:
                return dict(json.load(answer))
        except OSError:
            return {}

    yield document
    watch.machine.run("systemctl", "stop", DASHBOARD)


def sources(document: Document) -> dict[str, str]:
    return {source["name"]: source["state"] for source in document.get("sources", ())}


def log(watch: Watch) -> str:
    return watch.machine.run("journalctl", "--no-pager", "-u", DASHBOARD, "-n", "40").stdout


def test_it_sees_unit_journal_cluster_and_alerts_and_changes_nothing(
    watch: Watch, dashboard: Callable[[], Document]
) -> None:
    all_ok = dict.fromkeys(("Hazelcast", "Bridge", "systemd unit", "Health check", "Journal"), "ok")
    with watch.producer():
        watch.healthy()
        until(lambda: sources(dashboard()) == all_ok, 60, lambda: f"{dashboard()}\n{log(watch)}")
        shown = dashboard()
        assert shown["scan"]["path"].startswith("2026-03-24/scan_")
        assert shown["memory_mb"] > 10
        assert shown["restarts"]["by_systemd"] == 0
    before = watch.machine.run("sh", "-c", f"ls -l --time-style=full-iso {STATE}; cat {STATE}/state.json").stdout
    watch.machine.run("systemctl", "stop", UNIT)
    until(lambda: sources(dashboard()).get("systemd unit") == "bad", 60, lambda: str(dashboard()))
    assert dashboard()["verdict"]["severity"] in ("warning", "critical")
    after = watch.machine.run("sh", "-c", f"ls -l --time-style=full-iso {STATE}; cat {STATE}/state.json").stdout
    assert after == before
    watch.until_standing("process_stopped (stopped, not failed)")
    until(lambda: dashboard()["alerts"], 60, lambda: str(dashboard()))
    assert dashboard()["alerts"][0]["title"] == "process_stopped (stopped, not failed)"
