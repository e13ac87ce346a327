"""One Prefect server, several hosts: each checks its own bridges, tells its own people, and takes no other's runs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import PrefectHTTPStatusError
from support.prefect_blocks import custom
from support.prefect_serve import START_S, Serve, clear
from support.prefect_server import PrefectServer, Webhook, eventually, run_log

from healthcheck.prefect import automations, claims
from healthcheck.prefect.flow import FLOW_NAME, health_check

pytestmark = pytest.mark.prefect

AWAY = "Critical: hazelcast (Hazelcast away)"
NewHost = Callable[..., Serve]


@pytest.fixture
def new_host(prefect_server: PrefectServer, tmp_path: Path) -> Iterator[NewHost]:
    """Starts what a host has to serve its bridges, and by default waits until it serves; at the end of the test none is
    left that would take others' runs."""
    made: list[Serve] = []

    def new(name: str, *, wait: bool = True, **bridges: str) -> Serve:
        made.append(Serve(tmp_path / name, prefect_server.api_url, more=bridges))
        if wait:
            made[-1].wait_status("serving ")
        return made[-1]

    yield new
    for serve in made:
        serve.close()


@pytest.fixture
def api(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    """A client of the shared server, on which nobody has anything."""
    with get_client(sync_client=True) as client:
        clear(client)
        yield client
        clear(client)


@pytest.fixture
def new_webhook() -> Iterator[Callable[[], Webhook]]:
    """Makes services that take messages."""
    made: list[Webhook] = []

    def new() -> Webhook:
        made.append(Webhook())
        return made[-1]

    yield new
    for webhook in made:
        webhook.close()


def named(instance: str, more: str = "") -> str:
    return f'status.instance = "{instance}"\n{more}'


def run_now(api: SyncPrefectClient, name: str) -> UUID:
    """Ask for a run of this check."""
    deployment = api.read_deployment_by_name(f"{FLOW_NAME}/{claims.deployment_of(name)}")

    def asked() -> UUID | None:
        try:
            return api.create_flow_run_from_deployment(deployment.id).id
        except PrefectHTTPStatusError as error:
            if error.response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return None  # busy

    return eventually(asked, START_S, "the server takes no run")


def read(api: SyncPrefectClient, run: UUID) -> FlowRun:
    return api.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))[0]


def ended(api: SyncPrefectClient, run: UUID) -> FlowRun:
    """The run, once it has ended."""

    def over() -> FlowRun | None:
        found = read(api, run)
        return found if found.state and found.state.is_final() else None

    return eventually(over, 2 * START_S, "a run has not ended")


def check(api: SyncPrefectClient, name: str) -> FlowRun:
    """One run of this check that looked, and was not skipped because the scheduled one did."""
    return looked(api, name, run_now(api, name))


def looked(api: SyncPrefectClient, name: str, asked: UUID) -> FlowRun:
    """The run that was asked for, once it has ended; another one if it was skipped."""
    run = ended(api, asked)
    while run.state_name == "Skipped":
        run = ended(api, run_now(api, name))
    return run


def names(api: SyncPrefectClient) -> set[str]:
    return {claims.name_of(deployment.name) or deployment.name for deployment in api.read_deployments()}


def test_each_fault_of_three_hosts_is_told_once_by_its_own_host(
    api: SyncPrefectClient, new_host: NewHost, new_webhook: Callable[[], Webhook]
) -> None:
    told = {name: new_webhook() for name in ("alpha", "beta", "gamma", "delta")}
    texts = {
        name: named(name, f'health.groups.ops.blocks = ["{custom(webhook, name)}"]\n') for name, webhook in told.items()
    }
    hosts = [
        new_host("one", wait=False, config=texts["alpha"]),
        new_host("two", wait=False, config=texts["beta"]),
        new_host("three", wait=False, config=texts["gamma"], second=texts["delta"]),  # two bridges on one host
    ]
    for host in hosts:
        host.wait_status("serving ")
    assert names(api) == set(told)
    assert len(api.read_automations()) == 2 * len(told)

    for _ in range(2):
        asked = {name: run_now(api, name) for name in told}
        assert {name: looked(api, name, run).state_name for name, run in asked.items()} == dict.fromkeys(told, AWAY)

    assert {name: len(webhook.received) for name, webhook in told.items()} == dict.fromkeys(told, 1)
    found = api.request("POST", "/artifacts/latest/filter", json={}).json()
    assert {claims.artifact_key(name) for name in told} <= {artifact["key"] for artifact in found}


def test_two_hosts_that_claim_one_instance_are_told_and_neither_takes_the_others_runs(
    api: SyncPrefectClient, new_host: NewHost
) -> None:
    first = new_host("one", config=named("twin"))
    check(api, "twin")
    second = new_host("two", config=named("twin"))

    aside = next(iter(names(api) - {"twin"}))
    assert aside.startswith(f"twin@{socket.gethostname()}")
    second.wait_status(f"{claims.deployment_of(aside)} of ")
    for host, name in ((first, "twin"), (second, aside)):
        host.wait_status("has a bridge called twin too")

        def says_so(name: str = name) -> bool:
            run = check(api, name)
            assert run.state_name == AWAY
            return "has a bridge called twin too" in run_log(api, run.id)

        eventually(says_so, START_S, f"{name} does not say so")
        assert "give each its own status.instance" in host.log()
    assert len(api.read_automations()) == 4, "the silence of each is noticed"


def test_a_check_that_hangs_delays_no_other_bridge_of_the_host(api: SyncPrefectClient, new_host: NewHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        cluster = f'hazelcast.members = ["127.0.0.1:{deaf.getsockname()[1]}"]\nhazelcast.connect_timeout_s = 60\n'
        slow = named("slow", cluster + "health.probe_timeout_s = 110\n")
        new_host("one", config=named("quick"), slow=slow)
        run = run_now(api, "slow")
        eventually(lambda: (state := read(api, run).state) and state.type is StateType.RUNNING, START_S, "it runs")

        assert check(api, "quick").state_name == AWAY

        state = read(api, run).state
        assert state
        assert state.type is StateType.RUNNING


def test_a_bridge_more_or_less_on_the_host_is_noticed_and_what_is_gone_is_removed(
    api: SyncPrefectClient, new_host: NewHost
) -> None:
    host = new_host("one", config=named("first"))
    host.configure("second", named("second"))
    assert host.process.wait(START_S) == 0, "systemd starts it again"

    again = new_host("one", config=named("first"), second=named("second"))
    assert names(api) == {"first", "second"}
    again.close()
    (again.folder / "second.toml").unlink()
    new_host("one", config=named("first"))
    assert names(api) == {"first"}
    assert len(api.read_automations()) == 2


def test_what_version_1_0_had_for_all_hosts_is_replaced_and_what_was_switched_off_stays_off(
    api: SyncPrefectClient, new_host: NewHost
) -> None:
    health_check.to_deployment(claims.OLD_DEPLOYMENT).apply()
    for automation, old in zip(automations.shipped("all", ()), automations.OLD_NAMES, strict=True):
        automation.name, automation.enabled = old, False
        automation.create()

    new_host("one", config=named("first"))

    assert names(api) == {"first"}
    assert {automation.name for automation in api.read_automations()} == {
        f"scan-bridge first: {what}" for what in (automations.SILENT, automations.UNTOLD)
    }
    assert not any(automation.enabled for automation in api.read_automations())
