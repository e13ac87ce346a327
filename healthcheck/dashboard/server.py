"""`scan-bridge-health dashboard`: serves one page that shows how the bridge is. Read-only; GET and HEAD only.

It has no login. So it listens on the loopback by default, and answers only to names it knows (a web site whose name
is made to point here could read it otherwise).
"""

from __future__ import annotations

import logging
import signal
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic_core import to_json

from bridge import __version__
from bridge.system import interrupt, journal
from healthcheck.config.dashboard import Dashboard, is_loopback
from healthcheck.dashboard import document, fleet
from healthcheck.dashboard.watches import Watches

log = logging.getLogger(__name__)

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/parts.js": ("parts.js", "text/javascript; charset=utf-8"),
    "/plot.js": ("plot.js", "text/javascript; charset=utf-8"),
    "/words.js": ("words.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
CLIENT_S = 10.0  # a browser that is slower than this is let go

HEADERS = {
    # Nothing from elsewhere, no inline script or style, and no text ever becomes markup or script.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def run(config_path: Path) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status.

    Raises:
        bridge.config.ConfigError: the configuration cannot be used.
    """
    journal.set_up("info", "scan-bridge-health")
    watches = Watches(config_path)

    def state(name: str | None) -> dict[str, Any] | None:
        bridges = watches.current
        instance = watches.first[0] if name is None else name
        if instance not in bridges:
            return None
        now, seen = datetime.now(UTC), {one: bridge.watch.overview() for one, bridge in bridges.items()}
        overview, history = seen[instance]
        started_at = bridges[instance].watch.started_at
        rows = fleet.rows({one: overview for one, (overview, _) in seen.items()}, started_at, now)
        whole = document.document(overview, history, bridges[instance].config, started_at, now)
        return whole | {"bridges": rows}

    settings = watches.first[1].config.health.dashboard
    try:
        server = Server(settings, state, lambda: not watches.hang)
    except OSError as error:
        print(f"scan-bridge-health: cannot listen on {settings.listen}: {error.strerror}", file=sys.stderr)
        return 1
    interrupt.exit_at_once()
    # shutdown() waits for the loop that this handler interrupts
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    watches.start()
    log.info("dashboard at http://%s/", settings.listen)
    with server:
        server.serve_forever(poll_interval=0.5)
    return 0


class Server(ThreadingHTTPServer):
    """Listens once made; answers while `serve_forever` runs.

    Args:
        state: the document of `/api/state` for the bridge of this name, or for the plain one; made anew for each
            request. None where there is no such bridge.
        is_alive: whether what `state` is made from is still being looked at.

    Raises:
        OSError: the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 32

    def __init__(
        self,
        settings: Dashboard,
        state: Callable[[str | None], dict[str, Any] | None],
        is_alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self.state, self.is_alive = state, is_alive
        self._hosts = settings.hosts
        folder = files("healthcheck.dashboard") / "page"
        self.page = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in PAGE.items()}
        if ":" in settings.address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(settings.address, Handler)

    def server_bind(self) -> None:
        """Without the look-up of this host's full name that http.server adds, which may hang."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def knows(self, host: str) -> bool:
        """Whether a request's Host names this server; the port may be another (ssh -L)."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        is_plain = parts.netloc == host and "@" not in host
        return name is not None and is_plain and (is_loopback(name) or name in self._hosts)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no event; a defect of ours is one."""
        error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.error("request failed", exc_info=error)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version = f"scan-bridge/{__version__}"
    sys_version = ""
    timeout = CLIENT_S

    def do_GET(self) -> None:
        """Answer GET, and HEAD."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            return self.send_error(HTTPStatus.BAD_REQUEST, "one Host, please")
        if not self.server.knows(hosts[0]):
            text = "the dashboard does not go by this name; see hosts in [health.dashboard]"
            return self.send_error(HTTPStatus.MISDIRECTED_REQUEST, text)
        path, _, query = self.path.partition("?")
        if path == "/api/state":
            state = self.server.state(parse_qs(query).get("bridge", [None])[0])
            if state is None:
                return self.send_error(HTTPStatus.NOT_FOUND, "no such bridge on this host")
            return self._answer(HTTPStatus.OK, JSON, to_json(state, inf_nan_mode="null"))
        if path == "/healthz":
            alive = self.server.is_alive()
            status = HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE
            return self._answer(status, TEXT, b"ok\n" if alive else b"a look hangs\n")
        if path in self.server.page:
            content, kind = self.server.page[path]
            return self._answer(HTTPStatus.OK, kind, content)
        return self.send_error(HTTPStatus.NOT_FOUND, "no such page")

    do_HEAD = do_GET

    def _refuse(self) -> None:
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED, "the dashboard is read-only")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A plain line instead of http.server's page, which repeats what the client sent."""
        self.close_connection = True
        status = HTTPStatus(code)
        text = status.phrase if code == HTTPStatus.NOT_IMPLEMENTED else message or status.phrase
        self._answer(status, TEXT, f"{text}\n".encode("ascii", "replace"))

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if getattr(self, "command", "") != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """A request every two seconds is nothing to log."""
