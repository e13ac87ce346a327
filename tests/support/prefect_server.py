"""A real Prefect server for tests: one, shared; a test may also have one of its own to stop and start.

Loopback only, SQLite in a temporary folder, telemetry off. Its loops are faster than shipped, so that tests wait less;
what it decides is the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import certifi
import pytest
from support import prefect_database, process
from support.hazelcast_member import free_port
from support.leftovers import RUN
from support.polling import poll

if TYPE_CHECKING:  # every test run loads this; few need Prefect, which takes long to import
    from prefect.client.orchestration import SyncPrefectClient

START_S = 240.0  # ten seconds on an idle machine
LOG_S = 60.0

T = TypeVar("T")


class PrefectServer:
    """One server on 127.0.0.1. Port and database stay the same when it is stopped and started again."""

    def __init__(self) -> None:
        self.port = free_port()
        self._home = tempfile.TemporaryDirectory(prefix="prefect-server-")
        prefect_database.put_into(Path(self._home.name))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the server
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def api_url(self) -> str:
        """What PREFECT_API_URL is set to."""
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> PrefectServer:
        """Start it and wait until it answers."""
        environment = process.environment(
            PREFECT_HOME=self._home.name,
            PREFECT_SERVER_API_HOST="127.0.0.1",
            PREFECT_SERVER_API_PORT=str(self.port),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_SERVER_UI_ENABLED="false",
            PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS="2",
            PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY="PT1S",
            PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL="0.2",
            DO_NOT_TRACK="1",
            **prefect_database.KNOWN_BLOCKS,
        )
        command = (sys.executable, "-m", "prefect", "server", "start")
        self._process = process.start(command, env=environment, stdout=self._log)
        eventually(self._answers, START_S, "the Prefect server does not answer")
        return self

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._process is not None

    def stop(self) -> None:
        """End it at once; what it had committed stays."""
        if self._process:
            process.kill(self._process)
            self._process = None

    def close(self) -> None:
        """Stop it and remove its database."""
        self.stop()
        self._home.cleanup()

    def _answers(self) -> bool:
        if self._process and self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError("the Prefect server ended: " + self._log.read().decode(errors="replace")[-2000:])
        return answers(self.api_url)


def answers(api_url: str) -> bool:
    """Whether a server answers there."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=1):
            return True
    except OSError:
        return False


class Webhook:
    """A real HTTP server that keeps what is sent to it. `status` is what it answers with, `delay_s` when."""

    def __init__(self) -> None:
        self.status = 200
        self.delay_s = 0.0
        self.received: list[str] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                webhook.released.wait(webhook.delay_s)
                webhook.received.append(body)
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening, and let go of requests that are being held up."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def eventually(condition: Callable[[], T], deadline_s: float, complaint: str | Callable[[], str]) -> T:
    """What `condition` gives once it is true; the complaint may be a function, asked at the deadline.

    Raises:
        AssertionError: it was not true within `deadline_s`.
    """
    if value := poll(condition, deadline_s):
        return value
    raise AssertionError(f"{complaint() if callable(complaint) else complaint} (after {deadline_s:g} s)")


def run_log(client: SyncPrefectClient, run: UUID) -> str:
    """A check's log in Prefect, whole, once Prefect has it: its last line says how long the check took."""
    wanted = {"logs": {"flow_run_id": {"any_": [str(run)]}}, "sort": "TIMESTAMP_ASC"}

    def found() -> str:
        lines = client.request("POST", "/logs/filter", json=wanted).json()
        return "\n".join(f"{logging.getLevelName(line['level'])} {line['message']}" for line in lines)

    return eventually(lambda: (text := found()) and "looked at in" in text and text, LOG_S, "no log of the run")


@contextlib.contextmanager
def running() -> Iterator[PrefectServer]:
    """A server, while inside."""
    server = PrefectServer()
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture(scope="session")
def shared_prefect_server() -> Iterator[PrefectServer]:
    """The shared server, not started."""
    server = PrefectServer()
    yield server
    server.close()


@pytest.fixture
def prefect_server(shared_prefect_server: PrefectServer) -> PrefectServer:
    """The shared server, running."""
    return shared_prefect_server if shared_prefect_server.is_running else shared_prefect_server.start()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the shared server with the last test that has it (they follow each other): at rest it takes 3 % of a core."""
    shared = "shared_prefect_server"
    if shared in getattr(nextitem, "fixturenames", ()):
        return
    if isinstance(server := getattr(item, "funcargs", {}).get(shared), PrefectServer):
        server.stop()


@pytest.fixture
def prefect(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The shared server, with this process's Prefect client pointed to it."""
    with client_pointed_to(prefect_server.api_url):
        yield prefect_server


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A real HTTP server to send alerts to."""
    server = Webhook()
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def client_pointed_to(api_url: str) -> Iterator[None]:
    """While inside, this process's Prefect client asks the server at this address."""
    from prefect.settings import PREFECT_API_SSL_CERT_FILE, PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api_url, PREFECT_API_SSL_CERT_FILE: str(one_authority())}):
        yield


def client_environment(api_url: str | None, home: Path) -> dict[str, str]:
    """The environment of a process that talks to a server, and keeps what it must in `home`."""
    server = {"PREFECT_API_URL": api_url} if api_url else {}
    return process.environment(PREFECT_HOME=str(home), **server)


def quick_client_environment(api_url: str | None, home: Path) -> dict[str, str]:
    """The same, where nobody measures what the process takes."""
    return {**client_environment(api_url, home), "PREFECT_API_SSL_CERT_FILE": str(one_authority())}


def one_authority() -> Path:
    """A file with one certificate authority: Prefect's client reads all of them each time it is made, which takes
    longer than what most tests ask a server for, without TLS."""
    file = Path(os.environ[RUN]) / "one-authority.pem"
    if not file.exists():
        end = "-----END CERTIFICATE-----\n"
        whole = file.with_name(f"{file.name}.{os.getpid()}")
        whole.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
        whole.rename(file)
    return file
