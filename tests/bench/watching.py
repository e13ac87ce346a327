"""What it costs to watch: a check by the command, a check by a real Prefect server, that server at rest, the dashboard.

CPU time is that of whole trees of processes, those included that have ended. The health check is the installed
program's, with its probes; what is watched is a real bridge.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from support import process
from support.hazelcast_member import free_port
from support.prefect_server import answers, client_environment, eventually

from bench.plan import Plan
from bench.processes import Bridge

DEPLOYMENT = f"scan-bridge-health-check/{socket.gethostname()}-every-60s"
UNIT = Path(__file__).parents[2] / "systemd/dolphin-scan-bridge-prefect.service"
START_S = 300.0
AT_REST = 2  # processes of the serving unit while no check runs: it, and what forks them
SETTLE_S = 20.0  # after the start of what is measured at rest
BROWSER_PERIOD_S = 2.0  # as page.js asks
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

Row = dict[str, Any]


def costs(bridge: Bridge, plan: Plan) -> Iterator[Row]:
    """What it costs to watch this bridge, which runs; the first row is the CPU time of a check by the command."""
    watching = Watching(bridge)
    yield watching.by_command(plan.checks)
    if plan.prefect_checks:
        yield from watching.by_prefect(plan.prefect_checks, plan.rest_s)
        yield from watching.dashboard(plan.rest_s)


class Watching:
    """The health check of one bridge."""

    def __init__(self, bridge: Bridge) -> None:
        self._place = place = bridge.config_path.parent / "watching"  # beside the bridge's, it would be another bridge
        self._dashboard_port = free_port()
        self._config = place / "config.toml"
        state = place / "state"
        state.mkdir(parents=True)
        self._config.write_text(
            bridge.config_path.read_text()
            + f'[health]\nscope = "local"\nstate_dir = "{state}"\nspare_state_dir = "{state}"\n'
            + f'dashboard.listen = "127.0.0.1:{self._dashboard_port}"\n'
        )

    def by_command(self, checks: int) -> Row:
        """`scan-bridge-health check`, as a monitor or the timer runs it."""
        used_s = []
        for _ in range(checks + 1):
            before = os.times()
            command = self._command("check", "--exit-zero")
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True, start_new_session=True)
            after = os.times()
            used_s.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return _row("scan-bridge-health check: CPU", "s", median(used_s[1:]), checks)

    def dashboard(self, seconds: float) -> Iterator[Row]:
        """With nobody who looks, and with one browser that asks as the page does."""
        with self._running("dashboard") as pid:
            url = f"http://127.0.0.1:{self._dashboard_port}/api/state"
            eventually(lambda: _answers(url), START_S, "no dashboard")
            time.sleep(SETTLE_S)
            yield _row("dashboard, nobody looks", "% of a core", _percent(pid, seconds))
            begun_s, begun_cpu_s = time.monotonic(), tree_cpu_s(pid)
            while (now_s := time.monotonic()) < begun_s + seconds:
                _answers(url)
                time.sleep(max(0.0, BROWSER_PERIOD_S - (time.monotonic() - now_s)))
            percent = 100 * (tree_cpu_s(pid) - begun_cpu_s) / (time.monotonic() - begun_s)
            yield _row("dashboard, one browser", "% of a core", percent)

    def by_prefect(self, checks: int, seconds: float) -> Iterator[Row]:
        """Checks by a real server, with the settings of its unit; then that server at rest."""
        with (
            _local_server(self._place / "prefect-server") as (server, api_url),
            temporary_settings({PREFECT_API_URL: api_url}),
            get_client(sync_client=True) as client,
        ):
            environment = client_environment(api_url, self._place / "prefect-client")
            with self._running("serve", environment) as pid:
                eventually(lambda: _ran(client), START_S, "no deployment, or its first check has not ended")
                eventually(lambda: len(tree(pid)) == AT_REST, START_S, "the first check's process is not gone")
                used_s = [_check_cpu_s(client, pid) for _ in range(checks + 1)][1:]
                yield _row("a check by Prefect: CPU of the serving unit", "s", median(used_s), checks)
                yield _row("the serving unit, resident", "MB", tree_mb(pid))
            time.sleep(SETTLE_S)
            yield _row("local Prefect server at rest", "% of a core", _percent(server, seconds))

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "healthcheck", *arguments, "--config", str(self._config)]

    @contextmanager
    def _running(self, subcommand: str, environment: Mapping[str, str] = os.environ) -> Iterator[int]:
        with (self._place / f"{subcommand}.log").open("wb") as log:
            child = process.start(self._command(subcommand), env=environment, stdout=log)
        try:
            yield child.pid
        finally:
            child.terminate()
            child.wait(START_S)


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    below = [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
    return [pid, *(found for child in below for found in tree(child))]


def tree_cpu_s(pid: int) -> float:
    """CPU time of the tree, and of what has ended in it."""
    ticks = 0
    for each in tree(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / TICKS_PER_S


def tree_mb(pid: int) -> float:
    """Memory of the tree in MB, what its processes share counted once."""
    kb = 0
    for each in tree(pid):
        rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        kb += int(rollup.split("Pss:")[1].split()[0])
    return kb * 1024 / 1e6


def _row(what: str, unit: str, value: float, n: int = 1) -> Row:
    return {"what": what, "n": n, "value": round(value, 3), "unit": unit}


def _percent(pid: int, seconds: float) -> float:
    before_s = tree_cpu_s(pid)
    time.sleep(seconds)
    return 100 * (tree_cpu_s(pid) - before_s) / seconds


def _check_cpu_s(client: SyncPrefectClient, pid: int) -> float:
    """CPU of the serving tree from asking for a run until its process is gone."""
    before_s = tree_cpu_s(pid)
    run = client.create_flow_run_from_deployment(client.read_deployment_by_name(DEPLOYMENT).id).id

    def ended() -> bool:
        state = client.read_flow_run(run).state
        return bool(state and state.is_final()) and len(tree(pid)) == AT_REST

    eventually(ended, START_S, "a check has not ended")
    return tree_cpu_s(pid) - before_s


def _ran(client: SyncPrefectClient) -> bool:
    return any(run.state and run.state.is_final() for run in client.read_flow_runs())


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            answer.read()
            return True
    except OSError:
        return False


@contextmanager
def _local_server(home: Path) -> Iterator[tuple[int, str]]:
    """A Prefect server with the settings of the shipped unit: its process, and where it answers."""
    lines = (line.removeprefix("Environment=").split("=", 1) for line in UNIT.read_text().splitlines())
    settings = {line[0]: line[1] for line in lines if line[0].startswith("PREFECT_SERVER") and "%" not in line[1]}
    port = free_port()
    settings |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_API_PORT": str(port), "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-P", "-m", "prefect", "server", "start"]
    server = process.start(command, env=process.environment(**settings))
    api_url = f"http://127.0.0.1:{port}/api"
    try:
        eventually(lambda: answers(api_url), START_S, "the Prefect server does not answer")
        yield server.pid, api_url
    finally:
        process.kill(server)
