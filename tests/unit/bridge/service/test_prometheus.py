"""The metrics as Prometheus gets them: by HTTP, named and typed, while the bridge works."""

from __future__ import annotations

import logging
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from support.hazelcast_member import free_port

from bridge import __version__
from bridge.model.status import (
    BridgeStatus,
    Counters,
    HistoryStatus,
    NewestStatus,
    PublishedStatus,
    SourceStatus,
    from_ns,
)
from bridge.service import prometheus
from bridge.service.metrics import Metrics
from bridge.service.prometheus import Exporter, Reading

TYPES = {
    "scan_bridge_build_info": "gauge",
    "scan_bridge_lag_seconds": "histogram",
    "scan_bridge_published": "counter",
    "scan_bridge_skipped": "counter",
    "scan_bridge_bad": "counter",
    "scan_bridge_retries": "counter",
    "scan_bridge_reconnects": "counter",
    "scan_bridge_overflows": "counter",
    "scan_bridge_data_age_seconds": "gauge",
    "scan_bridge_last_publish_timestamp_seconds": "gauge",
    "scan_bridge_sequence": "gauge",
    "scan_bridge_scan_bytes": "gauge",
    "scan_bridge_newest_file_age_seconds": "gauge",
    "scan_bridge_scans_per_minute": "gauge",
    "scan_bridge_waiting_files": "gauge",
    "scan_bridge_hazelcast_connected": "gauge",
    "scan_bridge_history_missing": "gauge",
    "scan_bridge_history_behind_seconds": "gauge",
    "scan_bridge_source_state": "gauge",
    "scan_bridge_watch_mode": "gauge",
    "scan_bridge_process_cpu_seconds": "counter",
    "scan_bridge_process_max_fds": "gauge",
    "scan_bridge_process_open_fds": "gauge",
    "scan_bridge_process_resident_memory_bytes": "gauge",
    "scan_bridge_process_start_time_seconds": "gauge",
    "scan_bridge_process_virtual_memory_bytes": "gauge",
}
ONCE_PUBLISHED = {
    "scan_bridge_data_age_seconds",
    "scan_bridge_last_publish_timestamp_seconds",
    "scan_bridge_sequence",
    "scan_bridge_scan_bytes",
}

OF_HISTORY = {"scan_bridge_history_missing", "scan_bridge_history_behind_seconds"}


def status(metrics: Metrics, *, published: bool = True, newest: bool = True, history: bool = True) -> BridgeStatus:
    """The status of a bridge whose last scan was written 2 s ago, and the newest on disk 1 s ago."""
    now_s, now_ns = time.monotonic(), time.time_ns()
    return BridgeStatus(
        instance="bridge-1",
        host="host",
        pid=1,
        version=__version__,
        started_at=datetime.now(UTC),
        heartbeat_at=datetime.now(UTC),
        heartbeat_s=5.0,
        source=SourceStatus(root="/scans", state="ok", watch_mode="inotify"),
        published=PublishedStatus(
            path="2026-03-24/a.arrow",
            mtime_ns=now_ns - 2 * 10**9,
            sequence=42,
            published_at=from_ns(now_ns),
            rows=80,
            bytes=100_400,
            lag_ms=1.4,
        )
        if published
        else None,
        newest=NewestStatus(path="2026-03-24/b.arrow", mtime_ns=now_ns - 10**9) if newest else None,
        history=HistoryStatus(missing=12, behind_s=3.5) if history else None,
        counters=metrics.counters(),
        lag_ms=metrics.lag_quantiles(now_s),
        files_per_min_1m=metrics.files_per_min(now_s, 60),
        files_per_min_5m=metrics.files_per_min(now_s, 300),
    )


def reading(of: BridgeStatus, *, waiting_files: int = 0, connected: bool = True) -> Reading:
    mtime_ns = of.published.mtime_ns if of.published else None
    return Reading(of, mtime_ns, connected, waiting_files)


class Scraped:
    """What one scrape brought."""

    def __init__(self, address: str) -> None:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
            self.text = response.read().decode()
        families = text_string_to_metric_families(self.text)
        self.families: dict[str, Metric] = {family.name: family for family in families}
        self.values = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __getitem__(self, name: str) -> float:
        return self.values[(name,)]


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
def scrape(exporter: Exporter) -> Callable[[], Scraped]:
    address = f"127.0.0.1:{free_port()}"
    exporter.serve(address)
    return lambda: Scraped(address)


def test_every_metric_has_its_name_type_and_help(exporter: Exporter, scrape: Callable[[], Scraped]) -> None:
    exporter.observe(lambda: reading(status(Metrics()), waiting_files=0))

    families = scrape().families

    assert {name: family.type for name, family in families.items()} == TYPES
    assert all(family.documentation.endswith(".") for family in families.values())


def test_values_are_the_bridges_own(exporter: Exporter, scrape: Callable[[], Scraped]) -> None:
    metrics = Metrics(published=7, skipped=2, bad=3, retries=4, reconnects=5, overflows=6)
    exporter.observe(lambda: reading(status(metrics), waiting_files=9))

    seen = scrape()

    counted = {name: seen[f"scan_bridge_{name}_total"] for name in Counters.model_fields}
    assert counted == metrics.counters().model_dump()
    assert seen["scan_bridge_sequence"] == 42
    assert seen["scan_bridge_scan_bytes"] == 100_400
    assert seen["scan_bridge_waiting_files"] == 9
    assert seen["scan_bridge_history_missing"] == 12
    assert seen["scan_bridge_history_behind_seconds"] == 3.5
    assert seen["scan_bridge_hazelcast_connected"] == 1
    assert seen.values[("scan_bridge_source_state", ("state", "ok"))] == 1
    assert seen.values[("scan_bridge_source_state", ("state", "missing"))] == 0
    assert seen.values[("scan_bridge_watch_mode", ("mode", "inotify"))] == 1
    assert seen.values[("scan_bridge_build_info", ("version", __version__))] == 1
    assert seen["scan_bridge_data_age_seconds"] >= 2
    assert seen["scan_bridge_data_age_seconds"] - seen["scan_bridge_newest_file_age_seconds"] == pytest.approx(
        1, abs=0.1
    )


def test_a_lag_counts_in_its_bucket_and_those_above(exporter: Exporter, scrape: Callable[[], Scraped]) -> None:
    exporter.scan_published(lag_ms=1.4)

    seen = scrape()

    assert seen.values[("scan_bridge_lag_seconds_bucket", ("le", "0.001"))] == 0
    assert seen.values[("scan_bridge_lag_seconds_bucket", ("le", "0.002"))] == 1
    assert seen.values[("scan_bridge_lag_seconds_bucket", ("le", "+Inf"))] == 1
    assert seen["scan_bridge_lag_seconds_sum"] == pytest.approx(0.0014)


def test_what_is_not_known_is_left_out_not_zero(exporter: Exporter, scrape: Callable[[], Scraped]) -> None:
    of = status(Metrics(), published=False, newest=False, history=False)
    exporter.observe(lambda: reading(of, connected=False))

    seen = scrape()

    assert set(TYPES) - set(seen.families) == ONCE_PUBLISHED | OF_HISTORY | {"scan_bridge_newest_file_age_seconds"}
    assert seen["scan_bridge_hazelcast_connected"] == 0


def test_before_the_bridge_is_made_it_answers_already(scrape: Callable[[], Scraped]) -> None:
    assert "scan_bridge_build_info" in scrape().families


def test_a_port_that_is_taken_costs_only_the_metrics_and_a_warning(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        exporter.serve(address)

    (record,) = [record for record in caplog.records if record.name == "bridge.service.prometheus"]
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"no Prometheus metrics: cannot listen on {address}: Address already in use"
    exporter.scan_published(lag_ms=1.0)


def test_an_address_that_is_not_ours_costs_only_the_metrics_and_a_warning(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    exporter.serve(f"192.0.2.1:{free_port()}")  # for documentation only, RFC 5737

    assert [record.levelname for record in caplog.records if record.name == "bridge.service.prometheus"] == ["WARNING"]


@pytest.mark.exhaustive
def test_idle_connections_take_a_bounded_number_of_threads_and_leave_when_their_time_is_up(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prometheus._Handler, "timeout", 0.5)
    address = f"127.0.0.1:{free_port()}"
    exporter.serve(address)
    exporter.observe(lambda: reading(status(Metrics())))
    before = threading.active_count()

    host, _, port = address.partition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(70)]
    closed_at_once = idle[prometheus.MOST_CONNECTIONS :]
    for connection in closed_at_once:
        connection.settimeout(10)
        assert connection.recv(1) == b""
    assert threading.active_count() <= before + prometheus.MOST_CONNECTIONS
    for connection in idle[: prometheus.MOST_CONNECTIONS]:
        connection.settimeout(10)
        assert connection.recv(1) == b""

    assert Scraped(address).families
    assert "Traceback" not in capfd.readouterr().err
    for connection in idle:
        connection.close()


def test_it_listens_on_an_ipv6_address(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    address = f"[::1]:{free_port()}"

    exporter.serve(address)

    if socket.has_dualstack_ipv6():
        assert Scraped(address).families
    else:
        assert "Name or service not known" not in caplog.text


def test_scrapes_while_the_bridge_publishes_are_whole_and_never_go_back(
    exporter: Exporter, scrape: Callable[[], Scraped]
) -> None:
    metrics = Metrics()
    metrics.tell_lags(exporter.scan_published)
    exporter.observe(lambda: reading(status(metrics), waiting_files=0))
    done = threading.Event()

    def publish() -> None:
        while not done.is_set():
            for _ in range(100):
                metrics.scan_published(time.monotonic(), 1.4)
            time.sleep(0)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        scrapes = [scrape() for _ in range(30)]
    finally:
        done.set()
        publisher.join()

    counts = [seen["scan_bridge_published_total"] for seen in scrapes]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]
    assert all(set(seen.families) == set(TYPES) for seen in scrapes)
    last = scrape()
    assert last["scan_bridge_lag_seconds_count"] == last["scan_bridge_published_total"] == metrics.published
