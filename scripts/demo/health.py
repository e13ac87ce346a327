"""The health check of the demo, run every few seconds as its systemd timer runs it, and the people it tells.

The check is the real one, in a thread; its alerts travel by Apprise and HTTP to an inbox in this process.
"""

from __future__ import annotations

import http.server
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pieces import DemoError

from healthcheck.act.apprise_urls import SpareNotifier
from healthcheck.check import run_check
from healthcheck.config.settings import HealthConfig, load
from healthcheck.model.report import Report

GROUPS = ("ops", "trading")
MOST_BYTES = 1_000_000  # of a message

# The shipped rules with shorter times, so that all is over in a minute. What asks systemd about the bridge's unit is
# switched off: here is none. The unit's name is one that nobody has, so that no installed bridge is looked at.
CONFIG = """
[health]
scope = "local"
unit = "scan-bridge-demo.service"
state_dir = "{folder}/health"
spare_state_dir = "{folder}/health-spare"
spare_urls_file = "{folder}/urls"
grace_s = 2.0
groups.ops.blocks = ["custom-webhook/ops"]
groups.trading.blocks = ["custom-webhook/trading"]
alerts = {{ resolve_after_s = 3.0, flap_s = 3.0 }}
restarts.max = 0
[health.rules]
stale_data = {{ warning_s = "off", critical_s = 8.0 }}
hazelcast.heartbeat_max_s = 5.0
process_crash.enabled = false
process_stopped.enabled = false
cpu.enabled = false
memory.enabled = false
blind.enabled = false
"""


@dataclass(frozen=True)
class Received:
    """A message as it arrived."""

    group: str
    subject: str
    body: str

    @property
    def is_end(self) -> bool:
        """Whether it says that a problem is over."""
        return "] RESOLVED: " in self.subject

    @property
    def is_first(self) -> bool:
        """Whether it is an alert, not news of one; the hourly reminder would be one too many here."""
        return not self.is_end and not any(word in self.body for word in ("— got worse", "— news"))

    @property
    def headline(self) -> str:
        """The subject without the bridge's name: `CRITICAL: stale_data (producer stopped)`."""
        return self.subject.partition("] ")[2]


class Inbox:
    """Stands for the chat or pager of each group: a local web server that takes what Apprise's json:// sends."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                group = self.path.strip("/")
                if group not in GROUPS or length > MOST_BYTES:
                    self.send_error(404)
                    return
                sent = json.loads(self.rfile.read(length))
                messages.append(Received(group, str(sent["title"]), str(sent["message"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    @property
    def urls(self) -> str:
        """The lines of `health.spare_urls_file` that lead here."""
        address = f"json://127.0.0.1:{self._server.server_port}"
        return "".join(f"custom-webhook/{group} {address}/{group}\n" for group in GROUPS)

    def to(self, group: str) -> list[Received]:
        """What one group received, in order."""
        return [message for message in self.messages if message.group == group]

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()
        self._server.server_close()


class HealthCheck:
    """Checks, acts and tells, again `every_s` after each check, in a thread of its own."""

    def __init__(self, config: HealthConfig, every_s: float) -> None:
        self.report: Report | None = None
        self.completed = 0
        self._config = config
        self._every_s = every_s
        self._failed: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health check", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise DemoError if the health check itself has failed."""
        if self._failed is not None:
            raise DemoError(f"the health check failed: {type(self._failed).__name__}: {self._failed}")

    def stop(self) -> None:
        """End it after the check under way, each step of which has its deadline."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        notifier = SpareNotifier(self._config.health)
        try:
            while not self._stop.is_set():
                self.report = run_check(self._config, notifier, by="timer")
                self.completed += 1
                self._stop.wait(self._every_s)
        except Exception as error:  # noqa: BLE001  # it ends the demo, whatever it is
            self._failed = error


def prepare(folder: Path, config: Path, inbox: Inbox) -> HealthConfig:
    """Make what the health check needs in `folder`, and read the configuration as it does."""
    for name in ("health", "health-spare"):
        (folder / name).mkdir(mode=0o700)
    urls = folder / "urls"
    urls.touch(mode=0o600)
    urls.write_text(inbox.urls)
    return load(config)
