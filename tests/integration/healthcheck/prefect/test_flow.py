"""One run of the flow on a real Prefect server, watching a real bridge: what Prefect shows afterwards."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hazelcast
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.worker import EventsWorker
from support.bridge_process import BridgeProcess, day, land
from support.prefect_blocks import TOKEN, custom
from support.prefect_server import Webhook, eventually, run_log

from healthcheck.prefect.flow import health_check

pytestmark = [pytest.mark.prefect, pytest.mark.hazelcast, pytest.mark.usefixtures("prefect")]

# In [health.rules]: none looks at the host, so that the tests run on any.
DEGRADED = {"high_lag": {"warning_s": 1e-6, "warning_action": "alert"}}
PATIENT: dict[str, Any] = {"stale_data": {"warning_s": 3000.0, "critical_s": 3600.0}}  # for a busy machine
CRITICAL = {"stale_data": {"warning_s": "off", "critical_s": 0.001}}


class Shown:
    """What Prefect shows of one run."""

    def __init__(self, run: FlowRun) -> None:
        assert run.state
        self.type = run.state.type
        self.name = run.state.name
        self.message = run.state.message or ""
        self.run = run

    def events(self) -> dict[str, Any]:
        """The run's own events by name without the prefix; each has the payload."""
        EventsWorker.instance().wait_until_empty()

        def found() -> dict[str, Any]:
            with get_client(sync_client=True) as client:
                filter_ = {
                    "related": {"id": [f"prefect.flow-run.{self.run.id}"]},
                    "event": {"prefix": ["scan-bridge."]},
                }
                response = client.request("POST", "/events/filter", json={"filter": filter_, "limit": 50})
            events = response.json()["events"]
            return {event["event"].removeprefix("scan-bridge."): event for event in events}

        return eventually(lambda: (events := found()) and "checked" in events and events, 60, "no event of the check")

    def log(self) -> str:
        """The run's log."""
        with get_client(sync_client=True) as client:
            return run_log(client, self.run.id)

    def table(self) -> list[dict[str, str]]:
        """The rows of the run's table."""
        with get_client(sync_client=True) as client:
            filter_ = {"flow_run_id": {"any_": [str(self.run.id)]}}
            found = client.request("POST", "/artifacts/filter", json={"artifacts": filter_}).json()
        assert [artifact["key"] for artifact in found] == ["scan-bridge-health-bridge"]
        rows: list[dict[str, str]] = json.loads(found[0]["data"])
        return rows


Check = Callable[..., Shown]


@pytest.fixture
def check(bridge: BridgeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the flow once against the bridge, with these rules, blocks and other settings."""

    places = {"scope": "remote", "state_dir": str(tmp_path / "health"), "spare_state_dir": str(tmp_path / "spare")}

    def run(rules: dict[str, Any] | None = None, blocks: tuple[str, ...] = (), **health: Any) -> Shown:
        bridge.configure(
            health={**places, **health},
            **{"health.groups.ops": {"blocks": blocks}, "health.alerts": {"resolve_after_s": 0.001}},
            **{f"health.rules.{name}": values for name, values in {**PATIENT, **(rules or {})}.items()},
        )
        monkeypatch.setenv("SCAN_BRIDGE_CONFIG", str(bridge.config_path))
        state = health_check(return_state=True)
        with get_client(sync_client=True) as client:
            return Shown(client.read_flow_run(state.state_details.flow_run_id))

    (tmp_path / "health").mkdir()
    return run


@pytest.fixture
def fresh(bridge: BridgeProcess, client: hazelcast.HazelcastClient) -> None:
    """A scan has just come through, and the bridge's status says so."""
    land(bridge.root, f"{day()}/scan.arrow")
    bridge.wait_status(client, lambda status: status["lag_ms"]["p90"], "a scan was published")


@pytest.mark.usefixtures("fresh")
def test_a_healthy_run_is_completed_and_says_so(check: Check) -> None:
    shown = check()
    assert (shown.type, shown.name) == (StateType.COMPLETED, "Healthy"), shown.message
    assert {row["verdict"] for row in shown.table()} == {"ok"}
    assert {row["rule"] for row in shown.table()} >= {"stale_data", "hazelcast"}
    events = shown.events()
    assert set(events) == {"checked"}
    assert events["checked"]["payload"]["headline"] == "Healthy"
    assert events["checked"]["resource"]["prefect.resource.id"] == "scan-bridge.bridge"


@pytest.mark.usefixtures("fresh")
def test_a_degraded_run_is_completed_and_says_so(check: Check) -> None:
    shown = check(DEGRADED)
    assert (shown.type, shown.name) == (StateType.COMPLETED, "Degraded")
    assert "high_lag" in shown.message
    assert set(shown.events()) == {"checked", "finding.opened"}


@pytest.mark.usefixtures("fresh")
def test_a_critical_run_has_failed_and_names_the_rule_and_the_cause(check: Check) -> None:
    shown = check(CRITICAL)
    assert shown.type == StateType.FAILED
    assert shown.name.startswith("Critical: stale_data (")
    assert "stale_data" in shown.message
    assert shown.table()[0]["verdict"] == "critical"
    events = shown.events()
    assert set(events) == {"checked", "finding.opened", "critical"}
    assert events["critical"]["payload"]["alert"] == "nobody"
    assert "no block is set for ops, trading" in shown.log()


@pytest.mark.usefixtures("fresh")
def test_an_alert_is_delivered_once_and_then_resolved(check: Check, webhook: Webhook) -> None:
    block = custom(webhook, "alert")
    first = check(CRITICAL, (block,))
    assert first.events()["critical"]["payload"]["alert"] == "delivered"
    assert f"INFO {block} was told" in first.log()
    check(CRITICAL, (block,))
    assert len(webhook.received) == 1
    assert "stale_data" in webhook.received[0]
    check({}, (block,))
    assert "finding.resolved" in check({}, (block,)).events()
    assert len(webhook.received) == 2
    assert "RESOLVED" in webhook.received[1]


@pytest.mark.usefixtures("fresh")
def test_an_alert_that_was_not_delivered_is_an_event_and_is_sent_by_the_next_run(
    check: Check, webhook: Webhook
) -> None:
    block = custom(webhook, "retried")
    webhook.status = 503
    failed = check(CRITICAL, (block,))
    events = failed.events()
    assert events["critical"]["payload"]["alert"] == "undelivered"
    assert events["notify-failed"]["payload"]["block"] == block
    assert "503" in events["notify-failed"]["payload"]["error"]
    log = failed.log()
    assert f"ERROR {block} could not be told" in log
    assert TOKEN not in log
    webhook.status = 200
    webhook.received.clear()
    assert "notify-failed" not in check(CRITICAL, (block,)).events()
    assert len(webhook.received) == 1
    assert "stale_data" in webhook.received[0]


@pytest.mark.usefixtures("fresh")
def test_a_block_that_prefect_lost_is_told_by_its_spare_url_before_anything_else_is_wrong(
    check: Check, webhook: Webhook, tmp_path: Path
) -> None:
    urls = tmp_path / "spare-urls"
    urls.write_text(f"custom-webhook/lost json://{webhook.address}/\n")
    urls.chmod(0o600)
    custom(webhook, "lost")
    spare = {"blocks": ("custom-webhook/lost",), "spare_urls_file": str(urls)}
    assert check({}, **spare).name == "Healthy"
    with get_client(sync_client=True) as client:
        client.delete_block_document(client.read_block_document_by_name("lost", "custom-webhook").id)
    shown = check({}, **spare)
    assert (shown.name, len(webhook.received)) == ("Degraded", 1)
    assert "custom-webhook/lost: Prefect has no such block; its spare URL is used" in shown.message
    assert "WARNING: notifier" in webhook.received[0]
    critical = check(CRITICAL, **spare)
    assert critical.events()["critical"]["payload"]["alert"] == "delivered"
    assert "CRITICAL: stale_data" in webhook.received[1]


def test_a_configuration_that_is_not_valid_fails_the_run_and_names_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[source]\nroot = 1\n")
    monkeypatch.setenv("SCAN_BRIDGE_CONFIG", str(config))
    state = health_check(return_state=True)
    assert (state.type, state.name) == (StateType.FAILED, "Misconfigured")
    assert "source.root" in (state.message or "")


@pytest.mark.usefixtures("fresh")
def test_a_run_while_another_check_is_under_way_is_skipped(check: Check, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "health", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        shown = check()
    finally:
        os.close(lock)
    assert (shown.type, shown.name) == (StateType.CANCELLED, "Skipped")
