"""The health check in a machine, and the people it alerts: a real HTTP server that receives their messages."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.host import Host
from support.machine import until
from support.repeat import repeated
from support.service import CONFIG, DAY, PUBLISH_TIMEOUT_S, UNIT, Bridge

CHECK = "dolphin-scan-bridge-healthcheck-fallback.service"
TIMER = "dolphin-scan-bridge-healthcheck-fallback.timer"
OFTEN = "[Timer]\nOnActiveSec=\nOnActiveSec=1\nOnUnitInactiveSec=5\nAccuracySec=100ms\n"  # instead of a minute
PROGRAM = "/opt/scan-bridge/bin/scan-bridge-health"
STATE = "/var/lib/scan-bridge-healthcheck"
URLS = "/etc/scan-bridge/spare-urls"
CHECK_TIMEOUT_S = 60
SCAN_EVERY_S = 0.3
MOST_CHECKS = 40
BETWEEN_CHECKS_S = 2.0  # a check takes half a second of CPU time
STALE_S = 6.0

# The shipped rules with times short enough for a test.
SHORT = {
    "health__grace_s": "3.0",
    "health__probe_timeout_s": "8.0",
    "health__spare_urls_file": f'"{URLS}"',
    "health__groups__ops__blocks": '["custom-webhook/ops"]',
    "health__groups__trading__blocks": '["custom-webhook/trading"]',
    "health__alerts__resolve_after_s": "0.5",
    "health__alerts__flap_s": "0.5",
    "health__alerts__send_timeout_s": "2.0",
    "health__restarts__verify_s": "20.0",
    "health__rules__stale_data__warning_s": '"off"',
    "health__rules__stale_data__critical_s": f"{STALE_S}",
    "health__rules__hazelcast__heartbeat_max_s": "4.0",
    "health__rules__blind__after_s": "600.0",
    "health__rules__memory__warning_mb": "200.0",
}


@dataclass(frozen=True)
class Received:
    """A message as it arrived."""

    group: str
    subject: str
    body: str


class Inbox:
    """Receives what Apprise's json:// sends; the path is the group. While `broken` it answers 503."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self.broken = False
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if not inbox.broken:
                    inbox.messages.append(Received(self.path.strip("/"), body["title"], body["message"]))
                self.send_response(503 if inbox.broken else 200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, group: str, scheme: str = "http") -> str:
        """Where messages to a group are sent."""
        return f"{scheme}://127.0.0.1:{self.port}/{group}"

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return self._server.server_port

    @property
    def urls(self) -> str:
        """The lines of `spare_urls_file` that lead here."""
        return "".join(f"custom-webhook/{group} {self.url(group, 'json')}\n" for group in ("ops", "trading"))

    def to(self, group: str) -> list[Received]:
        """What one group received, in order."""
        return [message for message in self.messages if message.group == group]

    def told_once(self, title: str, *groups: str) -> None:
        """These groups, and no others, were told once of this problem and once that it is over."""
        for group in ("ops", "trading"):
            messages = self.to(group)
            later = ("— got worse", "— news")
            opened = [m for m in messages if "RESOLVED" not in m.subject and not any(word in m.body for word in later)]
            over = [m for m in messages if "RESOLVED" in m.subject]
            assert (len(opened), len(over)) == ((1, 1) if group in groups else (0, 0)), messages
        assert any(title in message.subject for message in self.messages), self.messages

    def close(self) -> None:
        """Stop receiving."""
        self._server.shutdown()
        self._server.server_close()


class Watch:
    """Runs checks as the timer does, with the unit's own sandbox and rights."""

    settings = SHORT
    check_timeout_s: float = CHECK_TIMEOUT_S
    publish_timeout_s: float = PUBLISH_TIMEOUT_S

    def __init__(self, machine: Host, bridge: Bridge, inbox: Inbox) -> None:
        self.machine = machine
        self.bridge = bridge
        self.inbox = inbox
        self.bad_scans = False

    def configure(self, **overrides: str) -> None:
        """Write config and credentials; the check acts at each start of its unit."""
        self.bridge.configure(**{**self.settings, **overrides})
        self.machine.write(URLS, self.inbox.urls, mode="0640")
        self.machine.run("chgrp", "dolphin-healthcheck", URLS)
        self.run_by(PROGRAM)

    def run_by(self, program: str, *options: str) -> None:
        """Have the unit run the check by this program: at each start, unless options tell otherwise."""
        which = () if "--all" in options else ("--config", CONFIG)
        command = " ".join((program, "check", "--act", "--exit-zero", *options, *which))
        self.bridge.drop_in("always", f"[Service]\nExecStart=\nExecStart={command}\n", CHECK)

    def run_while_unwatched(self, after_s: int, *options: str) -> None:
        """Start the timer, made quicker: the check runs once none has completed for so long."""
        self.run_by(PROGRAM, "--unless-checked-within", f"{after_s}s", *options)
        self.bridge.drop_in("often", OFTEN, TIMER)
        self.machine.run("systemctl", "start", TIMER)

    def leave_to_prefect(self) -> None:
        """Stop the timer: made quicker, it waits for less than a run of Prefect takes on a busy machine."""
        self.machine.run("systemctl", "stop", TIMER)

    def check(self) -> dict[str, Any]:
        """One check; the alerts that stand afterwards, by title."""
        self.machine.run("systemctl", "start", CHECK, timeout_s=self.check_timeout_s)
        return {f"{alert['leading'] or alert['rule']} ({alert['cause']})": alert for alert in self.alerts()}

    def alerts(self) -> list[dict[str, Any]]:
        """The open alerts, from the check's own state."""
        state = json.loads(self.machine.read(f"{STATE}/state.json"))
        return [alert for alert in state["alerts"] if not alert["resolved_at"]]

    def until_standing(self, *titles: str) -> None:
        """Check until all these alerts stand, whoever knows."""
        self._until(lambda standing: set(titles) <= set(standing), f"not all of {titles}")

    def until_alert(self, title: str, *, told: str = "ops") -> None:
        """Check until an alert of this title stands, and this group knows."""
        if title.startswith("stale_data"):
            time.sleep(STALE_S - BETWEEN_CHECKS_S)  # no check finds it before
        self._until(lambda standing: title in standing and self.inbox.to(told), f"no alert {title}")

    def until_quiet(self) -> None:
        """Check until no alert stands."""
        self._until(lambda standing: not standing, "alerts still stand")

    def _until(self, wanted: Callable[[dict[str, Any]], Any], what: str) -> None:
        standing: dict[str, Any] = {}
        for _ in range(MOST_CHECKS):
            time.sleep(BETWEEN_CHECKS_S)  # first, for nothing shows at once
            if wanted(standing := self.check()):
                return
        told = "\n".join(map(str, self.inbox.messages))
        raise AssertionError(f"{what} after {MOST_CHECKS} checks; open: {list(standing)}\n{told}\n{self.log()}")

    def log(self) -> str:
        """What the checks and the bridge logged last."""
        command = ("journalctl", "--no-pager", "-u", CHECK, "-u", UNIT, "-n", "60")
        return self.machine.run(*command).stdout

    @contextlib.contextmanager
    def producer(self) -> Iterator[None]:
        """While inside, a scan appears every SCAN_EVERY_S (a bad one while `bad_scans`)."""

        def produce() -> None:
            if self.bad_scans:
                self._put_bad_scan()
            else:
                self.bridge.put_scan()

        with repeated(produce, SCAN_EVERY_S):
            yield

    def _put_bad_scan(self) -> None:
        temporary = self.bridge.root / DAY / ".bad.tmp"
        temporary.write_bytes(b"not a scan")
        os.replace(temporary, temporary.with_name(f"bad_{time.time_ns()}.arrow"))

    def publishing(self) -> None:
        """Wait until the bridge publishes."""
        until(lambda: self.bridge.latest() is not None, self.publish_timeout_s, self.bridge.log)

    def healthy(self) -> None:
        """Start from health: publishing, checked, nothing told."""
        self.publishing()
        assert self.check() == {}, self.log()
        assert self.inbox.messages == []

    def clean(self) -> None:
        """Forget everything but the drop-ins, which the bridge removes with its own."""
        self.machine.run("systemctl", "stop", TIMER, CHECK, check=False)
        self.machine.run("sh", "-c", f"mountpoint -q {STATE} && umount {STATE}; true")
        self.machine.run("sh", "-c", f"rm -rf {STATE}/* /run/scan-bridge-healthcheck/* {URLS}")
