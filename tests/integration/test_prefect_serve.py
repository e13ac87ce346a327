"""`scan-bridge-health serve` as systemd runs it, against real Prefect servers that come and go."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, Scheduled
from prefect_server import PrefectServer, eventually

pytest_plugins = ["prefect_server"]
pytestmark = pytest.mark.prefect

NAME = "scan-bridge-health-check/every-60s"
START_S = 60.0  # a few seconds on an idle machine


class Serve:
    """One `scan-bridge-health serve`; what it tells systemd is in `notified`."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"\0scan-bridge-health-test-{os.getpid()}-{id(self)}")
        self.notified: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        config = folder / "config.toml"
        (folder / "state").mkdir(parents=True)
        config.write_text(
            f'[source]\nroot = "{folder}"\n'
            '[hazelcast]\nmembers = ["127.0.0.1:9"]\nconnect_timeout_s = 1\n'
            f'[health]\nscope = "remote"\nstate_dir = "{folder}/state"\nspare_state_dir = "{folder}/spare"\n'
        )
        self._log = (folder / "serve.log").open("wb")
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "healthcheck.cli"]
            + ["serve", "--config", str(config)],
            env={
                **environment,
                "NOTIFY_SOCKET": "@" + self._notify.getsockname()[1:].decode(),
                "PREFECT_RUNNER_POLL_FREQUENCY": "1",
                "PREFECT_CLIENT_MAX_RETRIES": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    def wait_status(self, text: str) -> None:
        """Wait until STATUS= has this text."""
        eventually(lambda: text in self._status() or self.process.poll() is not None, START_S, f"{text}: {self.log()}")
        assert text in self._status(), self.log()

    def checks(self) -> int:
        """How many checks have completed."""
        with_state = self.folder / "state" / "state.json"
        return int(json.loads(with_state.read_text())["completed_at"] is not None) if with_state.exists() else 0

    def terminate(self) -> int:
        """End it as systemd does; its exit code."""
        self.process.terminate()
        return self.process.wait(10.0)

    def close(self) -> None:
        """Kill it and all it started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._log.close()

    def _status(self) -> str:
        return next((m.removeprefix("STATUS=") for m in reversed(self.notified) if m.startswith("STATUS=")), "")

    def _listen(self) -> None:
        while True:
            self.notified.append(self._notify.recv(65536).decode())


NewServe = Callable[[dict[str, str]], Serve]


@pytest.fixture
def new_serve(tmp_path: Path) -> Iterator[NewServe]:
    """Starts one, with this environment."""
    made: list[Serve] = []

    def new(environment: dict[str, str]) -> Serve:
        made.append(Serve(tmp_path / f"serve-{len(made)}", environment))
        return made[-1]

    yield new
    for serve in made:
        serve.close()


@pytest.fixture
def api(prefect: PrefectServer) -> Iterator[SyncPrefectClient]:
    """A client of the shared server, on which there is no deployment yet."""
    with get_client(sync_client=True) as client:
        yield client
        for deployment in client.read_deployments():
            client.delete_deployment(deployment.id)


def run_now(client: SyncPrefectClient, due: datetime | None = None) -> UUID:
    """Ask for a run of the deployment; it is due now, or was."""
    deployment = client.read_deployment_by_name(NAME)
    state = Scheduled(scheduled_time=due or datetime.now(UTC))
    return client.create_flow_run_from_deployment(deployment.id, state=state).id


def finished(client: SyncPrefectClient, run: UUID) -> FlowRun | None:
    found = client.read_flow_run(run)
    return found if found.state and found.state.is_final() else None


def test_the_deployment_is_made_and_its_runs_are_carried_out(
    api: SyncPrefectClient, prefect_server: PrefectServer, new_serve: NewServe, tmp_path: Path
) -> None:
    serve = new_serve(prefect_server.client_environment(tmp_path / "home"))
    serve.wait_status(f"serving {NAME}")
    assert "READY=1" in serve.notified
    deployment = api.read_deployment_by_name(NAME)
    assert [schedule.schedule.interval for schedule in deployment.schedules] == [timedelta(seconds=60)]
    assert deployment.concurrency_limit is None
    assert {automation.name for automation in api.read_automations()} == {
        "scan-bridge: critical finding, nobody told",
        "scan-bridge: no health check completed",
    }
    run = run_now(api)
    done = eventually(lambda: finished(api, run), START_S, "the run did not end")
    assert done.state.type == StateType.FAILED
    assert done.state.name == "Critical: hazelcast (Hazelcast away)"
    assert "Traceback" not in serve.log()
    pings = serve.notified.count("WATCHDOG=1")
    eventually(lambda: serve.notified.count("WATCHDOG=1") > pings, START_S, "the watchdog is not told")
    assert serve.terminate() == 0
    assert serve.notified[-1] == "STOPPING=1"


def test_of_sixty_late_runs_one_checks_and_the_others_are_skipped(
    api: SyncPrefectClient, prefect_server: PrefectServer, new_serve: NewServe, tmp_path: Path
) -> None:
    environment = prefect_server.client_environment(tmp_path / "home")
    first = new_serve(environment)
    first.wait_status("serving")
    assert first.terminate() == 0
    now = datetime.now(UTC)
    late = [run_now(api, now - timedelta(minutes=minutes)) for minutes in range(60, 0, -1)]
    new_serve(environment)

    def ended() -> list[FlowRun] | None:
        runs = api.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=late)))
        return runs if all(run.state and run.state.is_final() for run in runs) else None

    runs = eventually(ended, START_S, "late runs are left")
    names = sorted(run.state_name for run in runs if run.state_name)
    assert names == ["Critical: hazelcast (Hazelcast away)", *["Skipped"] * 59]


def test_a_run_left_behind_by_a_killed_process_is_marked_as_crashed() -> None: ...


def test_the_server_may_be_away_at_the_start_and_later(new_serve: NewServe, tmp_path: Path) -> None:
    server = PrefectServer()
    try:
        serve = new_serve(server.client_environment(tmp_path / "home"))
        serve.wait_status("waiting for the Prefect server")
        server.start()
        serve.wait_status("serving")
        with temporary_settings({PREFECT_API_URL: server.api_url}), get_client(sync_client=True) as client:
            run = run_now(client)
            eventually(lambda: finished(client, run), START_S, "no run after the server came")
            server.stop()
            serve.wait_status("waiting for the Prefect server")
            pings = serve.notified.count("WATCHDOG=1")
            eventually(lambda: serve.notified.count("WATCHDOG=1") > pings, START_S, "the outage is taken for a hang")
            server.start()
            serve.wait_status("serving")
            run = run_now(client)
            eventually(lambda: finished(client, run), START_S, "no run after the server came back")
        assert serve.log().count("no Prefect server") == 2
    finally:
        server.close()


def test_sigterm_ends_it_while_the_server_is_away(new_serve: NewServe, tmp_path: Path) -> None:
    server = PrefectServer()
    serve = new_serve(server.client_environment(tmp_path / "home"))
    serve.wait_status("waiting for the Prefect server")
    assert serve.terminate() == 0
    server.close()


def test_without_a_server_set_the_local_one_is_waited_for(new_serve: NewServe, tmp_path: Path) -> None:
    environment = PrefectServer().client_environment(tmp_path / "home")
    del environment["PREFECT_API_URL"]
    serve = new_serve(environment)
    eventually(lambda: "http://127.0.0.1:4200/api" in serve._status(), START_S, "the local server is not used")
