"""The process of a run: forked from one that has all of this program imported, for as long as that is on disk.

Otherwise (the program was replaced by an upgrade, or the fork server is gone) it is Prefect's own way: a new process,
which imports the program as it is now, and takes some seconds of CPU for it.
"""

from __future__ import annotations

import multiprocessing
import threading
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.logging import get_logger

from healthcheck.prefect import runner
from healthcheck.prefect.flow import health_check
from healthcheck.prefect.fork_server import ForkServer, ForkServerError, Request
from healthcheck.prefect.loaded import LoadedProgram

RUN_S = 150.0  # hard; the flow's own deadline is two minutes

log = get_logger("scan_bridge")


class RunProcesses:
    """Starts the processes of runs, for every runner of this process. To be made while there is one thread."""

    def __init__(self, most_at_once: int = 1) -> None:
        runner.import_all()
        self._program = LoadedProgram()
        self._servers = [ForkServer(_carry_out) for _ in range(most_at_once)]  # each forks one process at a time
        self._choosing = threading.Lock()  # runs may begin in several threads at once
        self._told = ""
        runner.start_processes_by(self.start)

    def start(
        self, flow: Flow[..., Any], flow_run: FlowRun, env: dict[str, str | None] | None = None
    ) -> runner.Process:
        """Start the process of this run. Raises what Prefect's own way raises."""
        obstacle = self._obstacle()
        with self._choosing:
            idle = next((server for server in self._servers if server.is_idle), None)
            if idle and not obstacle:
                try:
                    return idle.start(runner.request_of(flow_run, env), RUN_S)
                except ForkServerError as error:
                    obstacle = str(error)
        if obstacle and obstacle != self._told:
            log.warning("%s: each check starts a new process from now on", obstacle)
            self._told = obstacle
        return runner.in_a_new_process(flow, flow_run=flow_run, env=env)

    @property
    def is_idle(self) -> bool:
        """Whether no process of a run is under way, however it was started."""
        is_forking = any(server.is_alive and not server.is_idle for server in self._servers)
        return not is_forking and not multiprocessing.active_children()

    @property
    def program_was_replaced(self) -> bool:
        """Whether another program lies on disk now, or none."""
        return not self._program.is_on_disk()

    def stop(self) -> None:
        """End the processes of runs, however they were started."""
        for server in self._servers:
            server.stop()
        for process in multiprocessing.active_children():
            process.kill()

    def _obstacle(self) -> str:
        if self.program_was_replaced:
            return "the program was replaced on disk"
        return "" if any(server.is_alive for server in self._servers) else "the fork server has ended"


def _carry_out(request: Request) -> None:
    runner.carry_out(health_check, request)
