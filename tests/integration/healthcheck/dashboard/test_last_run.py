"""The dashboard's link to the last check: asked of a real Prefect server, after real runs of the flow."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.hazelcast_member import free_port
from support.prefect_server import PrefectServer

from healthcheck.dashboard.last_run import FLOW, PrefectError, last_run
from healthcheck.prefect.flow import FLOW_NAME, health_check

pytestmark = pytest.mark.prefect


def test_the_last_run_is_found_with_its_state_and_its_page(
    prefect: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCAN_BRIDGE_CONFIG", str(tmp_path / "missing.toml"))
    health_check(return_state=True)
    state = health_check(return_state=True)
    url = prefect.api_url.removesuffix("/api")
    run = last_run(url)
    assert run is not None
    assert run.url == f"{url}/runs/flow-run/{state.state_details.flow_run_id}"
    assert run.state == "Misconfigured"
    assert run.name
    assert run.at


def test_the_flow_goes_by_the_same_name() -> None:
    assert FLOW == FLOW_NAME


def test_a_server_that_is_away_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(PrefectError, match=f"^{url}: .*refused"):
        last_run(url)


def test_what_is_no_prefect_server_is_named(prefect: PrefectServer) -> None:
    with pytest.raises(PrefectError, match="HTTP status 404"):
        last_run(f"{prefect.api_url}/elsewhere")
