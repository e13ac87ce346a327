"""`scan-bridge-health serve` as systemd runs it, on a host that is a folder."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from support import process
from support.prefect_server import eventually, quick_client_environment

COMMAND = ("-P", "-m", "healthcheck", "serve")
AWAY = 'hazelcast.members = ["127.0.0.1:9"]\nhazelcast.connect_timeout_s = 1\n'
START_S = 180.0  # a few seconds on an idle machine


class Serve:
    """One `scan-bridge-health serve`; what it tells systemd is in `notified`.

    Args:
        folder: where it has its configuration and state: to Prefect, a host of its own.
        api_url: of the Prefect server.
        python: what runs it.
        more: of the configuration, by the name of its file; "config" is the plain one.
    """

    def __init__(
        self, folder: Path, api_url: str | None, python: str = sys.executable, more: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"\0scan-bridge-health-test-{os.getpid()}-{id(self)}")
        self.notified: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.config = folder / "config.toml"
        for name, text in (more or {"config": ""}).items():
            self.configure(name, text)
        self._log = (folder / "serve.log").open("wb")
        self.process = process.start(
            [python, *COMMAND, "--config", self.config],
            env={
                **quick_client_environment(api_url, folder / "home"),
                "NOTIFY_SOCKET": "@" + self._notify.getsockname()[1:].decode(),
                "PREFECT_RUNNER_POLL_FREQUENCY": "1",
                "PREFECT_CLIENT_MAX_RETRIES": "0",
            },
            stdout=self._log,
        )

    def configure(self, name: str, more: str = "") -> None:
        """Write a bridge's configuration; unless told otherwise Hazelcast is away. Nothing else is looked at."""
        state = self.folder / f"state-{name}"
        state.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.toml").write_text(
            f'source.root = "{self.folder}"\n'
            + ("" if "hazelcast." in more else AWAY)
            + f'health.scope = "remote"\nhealth.state_dir = "{state}"\n'
            + f'health.spare_state_dir = "{self.folder}/spare-{name}"\n'
            + more
        )

    def write_config(self, member_port: int, connect_timeout_s: int = 1) -> None:
        """The plain bridge's configuration, with another member; read at each run."""
        members = f'hazelcast.members = ["127.0.0.1:{member_port}"]\n'
        waits = f"hazelcast.connect_timeout_s = {connect_timeout_s}\nhealth.probe_timeout_s = 60\n"
        self.configure("config", members + waits)

    @staticmethod
    def children(pid: int) -> list[int]:
        """The processes that this one started."""
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]

    def process_of_a_run(self) -> int | None:
        """The process that carries out a run now: started by the one that it forks them from."""
        grandchildren = [run for server in self.children(self.process.pid) for run in self.children(server)]
        return grandchildren[0] if grandchildren else None

    def log(self) -> str:
        """All that it has written."""
        return (self.folder / "serve.log").read_text()

    def wait_status(self, text: str) -> None:
        """Wait until STATUS= has this text."""

        def ended_or_says_so() -> bool:
            return text in self.status() or self.process.poll() is not None

        eventually(ended_or_says_so, START_S, lambda: f"no {text!r}, but {self.status()!r}\n{self.log()}")
        assert text in self.status(), self.log()

    def wait_ping(self) -> None:
        """Wait until the watchdog is told again that all is well."""
        before = self.notified.count("WATCHDOG=1")
        eventually(lambda: self.notified.count("WATCHDOG=1") > before, START_S, "the watchdog is told nothing")

    def terminate(self) -> int:
        """End it as systemd does; its exit code."""
        self.process.terminate()
        return self.process.wait(30.0)

    def close(self) -> None:
        """Kill it and all it started."""
        process.kill(self.process)
        self._log.close()

    def status(self) -> str:
        """What it said last by STATUS=."""
        return next((m.removeprefix("STATUS=") for m in reversed(self.notified) if m.startswith("STATUS=")), "")

    def _listen(self) -> None:
        while True:
            self.notified.append(self._notify.recv(65536).decode())


def clear(client: SyncPrefectClient) -> None:
    """Nobody has anything on this server: another test's claims would be those of a living host."""
    for deployment in client.read_deployments():
        client.delete_deployment(deployment.id)
    for automation in client.read_automations():
        client.delete_automation(automation.id)
