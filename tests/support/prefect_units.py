"""Prefect as the units in a machine run it: the local server, and what serves the deployment."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterStartTime
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from support import prefect_database
from support.hazelcast_member import free_port
from support.machine import Machine, until
from support.prefect_server import answers
from support.watch import CHECK, Inbox

SERVER = "dolphin-scan-bridge-prefect.service"
SERVE = "dolphin-scan-bridge-healthcheck.service"
FOLDER = "/var/lib/private/scan-bridge-prefect"
START_S = 180
RUN_S = 120
MOST_RUNS = 5


class Prefect:
    """Prefect as the units run it; `folder` is the server's."""

    def __init__(self, machine: Machine, folder: str = FOLDER) -> None:
        self.machine = machine
        self._folder = folder
        self._given: set[UUID] = set()
        port = free_port()  # the machine shares the host's network
        self.api_url = f"http://127.0.0.1:{port}/api"
        settings = {"PREFECT_SERVER_API_PORT": port, **prefect_database.KNOWN_BLOCKS}
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        machine.write("/etc/scan-bridge/prefect.env", lines, mode="0600")
        environment = f"PREFECT_API_URL={self.api_url}\nPREFECT_RUNNER_POLL_FREQUENCY=1\n"
        machine.write("/etc/scan-bridge/healthcheck.env", environment, mode="0600")

    @property
    def deployment(self) -> str:
        """The full name of the deployment; the instance is the machine's name."""
        return f"scan-bridge-health-check/{self.machine.run('hostname').stdout.strip()}-every-60s"

    def fill(self) -> None:
        """Give the server an empty database, as its first start would make."""
        self.machine.run("mkdir", "--parents", "--mode=700", self._folder)
        prefect_database.put_into(Path(f"/proc/{self.machine.leader}/root{self._folder}"))
        # A folder that the unit has already is its user's, and what is in it is left alone.
        database = f"{self._folder}/{prefect_database.NAME}"
        self.machine.run("chown", f"--reference={self._folder}", database, user="root")

    def registers_blocks(self) -> None:
        """From its next start the server registers Prefect's own kinds of block again, as shipped."""
        for name in prefect_database.KNOWN_BLOCKS:
            self.machine.run("sed", "-i", f"/^{name}=/d", "/etc/scan-bridge/prefect.env")

    def start_anew(self) -> None:
        """Start the server with an empty database, whatever became of an earlier one."""
        self._forget()
        self.fill()
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.machine.run("systemctl", "--no-block", "start", SERVER)
        until(lambda: answers(self.api_url), START_S, self.log)

    def serve(self) -> None:
        """Start what serves the deployment, and wait until it does."""
        self.machine.run("systemctl", "start", SERVE)
        self.until_status(f"serving {self.deployment}")

    def until_status(self, text: str) -> None:
        """Wait until `systemctl status` says this of the unit that serves."""
        until(lambda: text in self.machine.show(SERVE, "StatusText")["StatusText"], START_S, self.log)

    def run(self, client: SyncPrefectClient) -> FlowRun:
        """Have a check run at once by the deployment; what became of it."""
        for _ in range(MOST_RUNS):
            deployment = client.read_deployment_by_name(self.deployment).id
            asked = client.create_flow_run_from_deployment(deployment).id

            def ended(asked=asked) -> FlowRun | None:  # type: ignore[no-untyped-def]
                run = client.read_flow_run(asked)
                return run if run.state and run.state.is_final() else None

            run = until(ended, RUN_S, self.log)
            if run.state_name != "Skipped":  # the scheduled one of this minute came first
                return run
        raise AssertionError(f"{MOST_RUNS} runs were skipped\n{self.log()}")

    def new_runs(self, client: SyncPrefectClient) -> list[FlowRun]:
        """The runs that have ended and that this has not given yet, as they began."""
        begun = FlowRunFilter(start_time=FlowRunFilterStartTime(is_null_=False))
        runs = client.read_flow_runs(flow_run_filter=begun, sort=FlowRunSort.START_TIME_DESC)[::-1]
        new = [run for run in runs if run.state and run.state.is_final() and run.id not in self._given]
        self._given.update(run.id for run in new)
        return new

    def log(self) -> str:
        """What all of it logged last."""
        units = [f"--unit={unit}" for unit in (SERVER, SERVE, CHECK)]
        return self.machine.run("journalctl", "--no-pager", "-n", "80", *units).stdout

    def stop(self) -> None:
        """Stop all of it, and forget."""
        self._forget()
        self.machine.run("sh", "-c", "rm -f /etc/scan-bridge/*.env")

    def _forget(self) -> None:
        self.machine.run("systemctl", "stop", SERVE, SERVER, check=False)
        self.machine.run("systemctl", "reset-failed", SERVE, SERVER, check=False)
        self.machine.run("sh", "-c", f"rm -rf {self._folder}/* {self._folder}/.[!.]*")


def make_blocks(inbox: Inbox) -> None:
    """A notification block for each group."""
    for group in ("ops", "trading"):
        block = CustomWebhookNotificationBlock(
            name=group, url=inbox.url(group), json_data={"title": "{{subject}}", "message": "{{body}}"}
        )
        block.save(group, overwrite=True)  # an earlier test's led elsewhere
