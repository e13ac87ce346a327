"""`scan-bridge-health serve` as systemd runs it, against real Prefect servers that come and go."""

from __future__ import annotations

import os
import shutil
import signal
import site
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelling, Scheduled
from support import process
from support.prefect_blocks import custom
from support.prefect_serve import START_S, Serve, clear
from support.prefect_server import PrefectServer, Webhook, eventually, running
from support.relay import Relay

import healthcheck
from healthcheck.prefect.claims import deployment_of
from healthcheck.prefect.flow import FLOW_NAME, health_check

# A group of their own, for they take as long as all others with Prefect.
pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("serves")]

DEPLOYMENT_NAME = deployment_of(socket.gethostname())
NAME = f"{FLOW_NAME}/{DEPLOYMENT_NAME}"
REPOSITORY = Path(healthcheck.__file__).parents[1]
CURE = "does not find healthcheck and prefect; was the system's Python replaced? Run: make upgrade"
LATE = 6  # runs, one a minute
SLOT_S = 60.0  # for a poll and a fork; a slot that is not given back is missed for three minutes


NewServe = Callable[..., Serve]


class Venv:
    """A venv that finds what this process does, by a file that names the folder of packages."""

    def __init__(self, folder: Path) -> None:
        process.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout_s=START_S)
        self.python = str(folder / "bin/python")
        self.packages = folder / "packages"
        self.packages.mkdir()
        for name, found in {"program": str(REPOSITORY), "libraries": site.getsitepackages()[0]}.items():
            (self.packages / name).symlink_to(found)
        self.path_file = next(folder.glob("lib/python*/site-packages")) / "packages.pth"
        self.path_file.write_text(f"{self.packages}/program\n{self.packages}/libraries\n")

    def replace_program(self) -> None:
        """Put a copy in the program's place, as an upgrade does."""
        new = self.packages / "new"
        for package in ("bridge", "healthcheck"):
            shutil.copytree(REPOSITORY / package, new / package)
        (self.packages / "program").unlink()
        new.rename(self.packages / "program")


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[PrefectServer]:
    """A server for these tests, which are a group of their own: gone when they are over."""
    with running() as server:
        yield server


@pytest.fixture
def new_serve(prefect: PrefectServer, tmp_path: Path) -> Iterator[NewServe]:
    """Starts one that is told of this server, on a host of its own unless one is named; at the end of the test none is
    left that would take others' runs."""
    with get_client(sync_client=True) as client:
        clear(client)
    made: list[Serve] = []

    def new(api_url: str | None, host: str = "", **options: str) -> Serve:
        made.append(Serve(tmp_path / (host or f"host-{len(made)}"), api_url, **options))
        return made[-1]

    yield new
    for serve in made:
        serve.close()


@pytest.fixture
def serving(prefect_server: PrefectServer, new_serve: NewServe) -> Serve:
    """One that serves the shared server."""
    serve = new_serve(prefect_server.api_url)
    serve.wait_status(f"serving {NAME}")
    return serve


@pytest.fixture
def api(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    """A client of the shared server."""
    with get_client(sync_client=True) as client:
        yield client


def run_now(client: SyncPrefectClient) -> UUID:
    """Ask for a run of the deployment; it is due now."""
    return client.create_flow_run_from_deployment(client.read_deployment_by_name(NAME).id).id


def ended(client: SyncPrefectClient, *ids: UUID) -> list[FlowRun]:
    """The runs, once all have ended."""

    def all_ended() -> list[FlowRun] | None:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids))))
        return runs if all(run.state and run.state.is_final() for run in runs) else None

    return eventually(all_ended, START_S, "a run has not ended")


def test_the_deployment_is_made_also_when_it_was_deleted_and_its_runs_are_carried_out(
    api: SyncPrefectClient, serving: Serve
) -> None:
    deployment = api.read_deployment_by_name(NAME)
    assert [schedule.schedule.interval for schedule in deployment.schedules] == [timedelta(seconds=60)]
    assert len(api.read_automations()) == 2
    run = ended(api, run_now(api))[0]
    while run.state_name == "Skipped":  # the scheduled one of this minute came first
        run = ended(api, run_now(api))[0]
    assert (run.state_type, run.state_name) == (StateType.FAILED, "Critical: hazelcast (Hazelcast away)")
    assert "Traceback" not in serving.log()
    assert "READY=1" in serving.notified
    serving.wait_ping()
    api.delete_deployment(deployment.id)
    second = eventually(lambda: next(iter(api.read_deployments()), None), START_S, "there is no deployment")
    assert second.id != deployment.id
    ended(api, run_now(api))


def test_the_status_says_what_the_last_run_was_and_whom_the_automations_cannot_tell(
    api: SyncPrefectClient, new_serve: NewServe, webhook: Webhook
) -> None:
    serve = new_serve(str(api.api_url))
    serve.wait_status("health.groups.ops has no block")
    with serve.config.open("a") as file:
        file.write('health.groups.ops.blocks = ["custom-webhook/made-later"]\n')
    serve.wait_status("the Automations cannot tell custom-webhook/made-later (Prefect has no such block)")
    custom(webhook, "made-later")
    eventually(lambda: "cannot tell" not in serve.status(), START_S, "the block is not noticed")
    actions = [action.type for automation in api.read_automations() for action in automation.actions]
    assert actions == ["send-notification"] * 2, "in force without a restart"
    ended(api, run_now(api))
    serve.wait_status("; last run ")
    serve.wait_status("UTC: Critical: hazelcast (Hazelcast away)")
    assert serve.terminate() == 0


def test_of_many_late_runs_one_checks_and_the_others_are_skipped(api: SyncPrefectClient, new_serve: NewServe) -> None:
    deployment = health_check.to_deployment(DEPLOYMENT_NAME).apply()
    now = datetime.now(UTC)
    due = [Scheduled(scheduled_time=now - timedelta(minutes=minutes)) for minutes in range(1, LATE + 1)]
    late = [api.create_flow_run_from_deployment(deployment, state=state).id for state in due]
    serve = new_serve(str(api.api_url))
    skipped = [run.state_name for run in ended(api, *late)].count("Skipped")
    assert skipped in (LATE - 1, LATE), "all of them if the run of this very minute came first"
    assert "Critical: hazelcast (Hazelcast away)" in {run.state_name for run in api.read_flow_runs()}
    assert serve.terminate() == 0
    assert serve.notified[-1] == "STOPPING=1"


def test_a_run_that_is_killed_is_shown_and_told_as_crashed_and_the_next_one_runs(
    api: SyncPrefectClient, new_serve: NewServe
) -> None:
    serve = new_serve(str(api.api_url))
    serve.wait_status(f"serving {NAME}")
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # it takes connections and never answers
        serve.write_config(deaf.getsockname()[1], connect_timeout_s=60)
        deployment = api.read_deployment_by_name(NAME).id
        asked = run_now(api)
        process = eventually(serve.process_of_a_run, START_S, "no process carries out the run")
        os.kill(process, signal.SIGKILL)

        def crashed() -> FlowRun | None:  # the one asked for, or the scheduled one of this minute if that came first
            runs = [run for run in api.read_flow_runs() if run.deployment_id == deployment]
            return next((run for run in runs if run.state_type is StateType.CRASHED), None)

        run = eventually(crashed, START_S, "no run is shown as crashed")
        assert "-9" in str(run.state and run.state.message)
        serve.wait_status(": Crashed: Process exited with status code: -9")
        if run.id != asked:
            api.set_flow_run_state(asked, Cancelling(), force=True)
            ended(api, asked)
        hung = run_now(api)
        eventually(serve.process_of_a_run, SLOT_S, "the crashed run still keeps the next one from running")
        api.set_flow_run_state(hung, Cancelling(), force=True)
        ended(api, hung)
    serve.write_config(9)
    run = run_now(api)
    assert ended(api, run)[0].state_name in ("Critical: hazelcast (Hazelcast away)", "Skipped")
    assert serve.terminate() == 0


def test_once_the_program_was_replaced_a_new_process_runs_it_and_the_service_ends_to_be_started_anew(
    api: SyncPrefectClient, new_serve: NewServe, tmp_path: Path
) -> None:
    verdict = "Skipped"  # where the scheduled one of this minute comes first, perhaps before the program is replaced
    while verdict == "Skipped":
        venv = Venv(tmp_path / f"venv-{time.time_ns()}")
        serve = new_serve(str(api.api_url), host="one", python=venv.python)
        serve.wait_status(f"serving {NAME}")
        venv.replace_program()
        verdict = str(ended(api, run_now(api))[0].state_name)
        assert serve.process.wait(START_S) == 0
        assert "another program lies on disk now: ending, so that systemd starts that" in serve.log()
    assert verdict == "Critical: hazelcast (Hazelcast away)"
    assert "the program was replaced on disk: each check starts a new process from now on" in serve.log()


def test_without_its_fork_server_each_run_starts_a_new_process(api: SyncPrefectClient, new_serve: NewServe) -> None:
    serve = new_serve(str(api.api_url))
    serve.wait_status(f"serving {NAME}")
    os.kill(serve.children(serve.process.pid)[0], signal.SIGKILL)
    run = ended(api, run_now(api))[0]
    while run.state_name == "Skipped":  # the scheduled one of this minute came first
        run = ended(api, run_now(api))[0]
    assert run.state_name == "Critical: hazelcast (Hazelcast away)"
    assert "each check starts a new process from now on" in serve.log()
    assert serve.terminate() == 0


def test_the_server_may_be_away_at_the_start_and_later(
    api: SyncPrefectClient, prefect_server: PrefectServer, new_serve: NewServe
) -> None:
    relay = Relay(prefect_server.port)
    serve = new_serve(f"http://{relay.address}/api")
    serve.wait_status("waiting for the Prefect server")
    serve.wait_ping()
    relay.open()
    serve.wait_status("serving")
    ended(api, run_now(api))
    relay.shut()
    serve.wait_status("waiting for the Prefect server")
    serve.wait_ping()
    relay.open()
    serve.wait_status("serving")
    ended(api, run_now(api))
    relay.shut()
    assert serve.log().count("the Prefect server does not answer") == 2, "said once for each outage"
    assert serve.terminate() == 0


def test_without_a_server_set_the_local_one_is_waited_for(new_serve: NewServe) -> None:
    serve = new_serve(None)
    serve.wait_status("http://127.0.0.1:4200/api")
    assert serve.terminate() == 0


def test_a_program_that_is_gone_is_no_outage_of_the_server(new_serve: NewServe, tmp_path: Path) -> None:
    venv = Venv(tmp_path / "venv")
    serve = new_serve("http://127.0.0.1:9/api", python=venv.python)
    serve.wait_status("waiting for the Prefect server at http://127.0.0.1:9/api")
    venv.packages.rename(tmp_path / "lost")
    serve.wait_status(CURE)
    assert "waiting for the Prefect server" not in serve.status()
    assert serve.terminate() == 0
