"""The bridge's metrics for Prometheus, read off the running bridge when they are asked for.

Names follow prometheus.io/docs/practices/naming. A port that is taken costs the metrics, never the bridge.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bridge import __version__
from bridge.model.status import BridgeStatus

log = logging.getLogger(__name__)

# Around the goal (milliseconds) and around the shipped rule (10 s).
LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

# Threads are of the unit's TasksMax=; whoever holds a connection open without a word must not use them up.
MOST_CONNECTIONS = 8
CONNECTION_TIMEOUT_S = 5.0
NEVER_S = 86_400.0

COUNTERS = {
    "published": "Scans put into the map.",
    "skipped": "Scans overtaken by a newer one before their turn.",
    "bad": "Files that are no complete, valid scan.",
    "retries": "Reads repeated because a scan was not complete yet.",
    "reconnects": "Connections to Hazelcast opened after one was lost.",
    "overflows": "Overflows of the inotify queue.",
}


@dataclass(frozen=True)
class Reading:
    """What a scrape is made of."""

    status: BridgeStatus
    held_mtime_ns: int | None  # of the scan in the map: known after a restart before anything is published
    connected: bool
    waiting_files: int


class Exporter(Collector):
    """Serves the metrics over HTTP, for as long as the process lives."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the process' start time tells the same
        self._registry = CollectorRegistry()
        self._lag = Histogram(
            "scan_bridge_lag_seconds",
            "From the landing of a scan on disk to Hazelcast's acknowledgement.",
            buckets=LAG_BUCKETS_S,
            registry=self._registry,
        )
        self._read: Callable[[], Reading] | None = None
        self._registry.register(self)
        ProcessCollector(namespace="scan_bridge", registry=self._registry)

    def serve(self, address: str) -> None:
        """Listen on `host:port` (`[host]:port` with IPv6)."""
        host, _, port = address.rpartition(":")
        try:
            server = _Server(host.strip("[]"), int(port), make_wsgi_app(self._registry))
        except OSError as error:
            log.warning("no Prometheus metrics: cannot listen on %s: %s", address, error.strerror)
        else:
            # It looks that often whether it is to end. It is not.
            threading.Thread(target=server.serve_forever, args=(NEVER_S,), name="metrics", daemon=True).start()
            log.info("Prometheus metrics at http://%s/metrics", address)

    def scan_published(self, lag_ms: float) -> None:
        """Count one lag."""
        self._lag.observe(lag_ms / 1000)

    def observe(self, read: Callable[[], Reading]) -> None:
        """Read the bridge by this from now on."""
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client, in the server's thread, for each scrape."""
        yield InfoMetricFamily("scan_bridge_build", "The running bridge.", {"version": __version__})
        if self._read is None:
            return
        reading = self._read()
        status = reading.status
        now_s = time.time()
        for name, text in COUNTERS.items():
            value = getattr(status.counters, name)
            yield CounterMetricFamily(f"scan_bridge_{name}", text, value)
        if reading.held_mtime_ns is not None:
            yield _gauge("data_age_seconds", "Age of the scan in the map.", now_s - reading.held_mtime_ns / 1e9)
        if status.published is not None:
            published_s = status.published.published_at.timestamp()
            yield _gauge("last_publish_timestamp_seconds", "When the last scan was published.", published_s)
            yield _gauge("sequence", "Sequence number of the last scan published.", status.published.sequence)
            yield _gauge("scan_bytes", "Size of the last value published.", status.published.bytes)
        if status.newest is not None:
            yield _gauge(
                "newest_file_age_seconds", "Age of the newest scan on disk.", now_s - status.newest.mtime_ns / 1e9
            )
        per_minute = GaugeMetricFamily(
            "scan_bridge_scans_per_minute", "Scans published per minute, over a window.", labels=["window"]
        )
        per_minute.add_metric(["1m"], status.files_per_min_1m)
        per_minute.add_metric(["5m"], status.files_per_min_5m)
        yield per_minute
        yield _gauge("waiting_files", "Files waiting to be published or to become complete.", reading.waiting_files)
        yield _gauge("hazelcast_connected", "1 if connected to Hazelcast, else 0.", reading.connected)
        if (history := status.history) is not None:
            if history.missing is not None:
                yield _gauge("history_missing", "Scans on disk that are not in the history yet.", history.missing)
            yield _gauge("history_behind_seconds", "For how long the history has not been complete.", history.behind_s)
        states = ("ok", "empty", "missing", "unreadable")
        yield _one_of("source_state", "State of the folder.", "state", states, status.source.state)
        modes = ("inotify", "polling")
        yield _one_of("watch_mode", "How new files are noticed.", "mode", modes, status.source.watch_mode)


def _one_of(name: str, text: str, label: str, choices: tuple[str, ...], current: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"scan_bridge_{name}", f"{text} 1 for the current one, else 0.", labels=[label])
    for choice in choices:
        family.add_metric([choice], choice == current)
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"scan_bridge_{name}", text, value)


class _Handler(WSGIRequestHandler):
    timeout = CONNECTION_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is no news."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a connection, MOST_CONNECTIONS at most; further ones are closed at once."""

    daemon_threads = True

    def __init__(self, host: str, port: int, app: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)
        self.set_app(app)

    def server_bind(self) -> None:
        """Without looking up the name of the host, which may hang."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread if there is one left."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was silent for too long, is no news either."""
        log.debug("metrics: %s", client_address, exc_info=True)
