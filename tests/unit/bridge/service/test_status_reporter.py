"""What the bridge says of itself, from real parts that have no connection yet."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge import __version__
from bridge.cluster.connection import Cluster
from bridge.cluster.publisher import Published, Publisher
from bridge.config import Config, load
from bridge.folder.listing import Listing
from bridge.model.order import ScanFile
from bridge.model.provenance import Provenance
from bridge.model.status import SCHEMA_VERSION, BridgeStatus, NewestStatus, from_ns, iso_utc
from bridge.service.discovery import Discovery
from bridge.service.history_process import HistoryProcess
from bridge.service.metrics import Metrics
from bridge.service.pipeline import Pipeline
from bridge.service.quarantine import Quarantine
from bridge.service.status_reporter import Stages, StatusReporter


class Parts:
    """A bridge's parts as daemon.py puts them together."""

    def __init__(self, folder: Path) -> None:
        file = folder / "config.toml"
        file.write_text(
            '[source]\nroot = "/scans"\n'
            '[hazelcast]\nmembers = ["10.0.0.5:5701", "10.0.0.6:5701"]\ncluster_name = "prod"\n'
            '[status]\ninstance = "bridge-1"\nheartbeat_s = 7\n'
        )
        config = load(file, Config)
        self.metrics = Metrics()
        cluster = Cluster(config.hazelcast, "test")
        publisher = Publisher(cluster, config.hazelcast, config.status.instance, config.source.max_future_s)
        quarantine = Quarantine(folder / "state")
        self.pipeline = Pipeline(config.source, cluster, publisher, self.metrics, quarantine)
        self.cluster = cluster
        self.discovery = Discovery(config.source, self.pipeline.intake, self.metrics, progress=lambda: None)
        history = HistoryProcess(config, self.pipeline.judged_bad)
        self.report = StatusReporter(config, Stages(cluster, self.discovery, self.pipeline, history, self.metrics))


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def published(acknowledged_ns: int) -> Published:
    file = ScanFile(acknowledged_ns - 3_000_000, "2026-03-24/scan_0815.arrow", 100_000, acknowledged_ns - 1_400_000)
    provenance = Provenance(file.path, file.mtime_ns, file.size, 42, acknowledged_ns - 500_000, "bridge-1")
    return Published(file, provenance, rows=120, bytes=100_400, acknowledged_ns=acknowledged_ns, lag_ms=1.4)


# ---- the status entry


def test_a_bridge_that_has_just_begun_says_so(parts: Parts) -> None:
    before = datetime.now(UTC)
    status = parts.report.status()
    assert status.schema_version == SCHEMA_VERSION == 1
    assert (status.instance, status.host, status.pid) == ("bridge-1", socket.gethostname(), os.getpid())
    assert status.version == __version__
    assert status.heartbeat_s == 7
    assert status.started_at <= before <= status.heartbeat_at <= datetime.now(UTC)
    assert (status.source.root, status.source.state, status.source.watch_mode) == ("/scans", "missing", "polling")
    assert status.published is None
    assert status.newest is None
    assert set(status.counters.model_dump().values()) == {0}
    assert status.lag_ms.p50 is None
    assert (status.files_per_min_1m, status.files_per_min_5m) == (0, 0)


def test_the_last_published_scan_is_told_whole(parts: Parts) -> None:
    acknowledged_ns = 1774339200123456789
    parts.pipeline.last = published(acknowledged_ns)
    told = parts.report.status().published
    assert told is not None
    assert told.model_dump() == {
        "path": "2026-03-24/scan_0815.arrow",
        "mtime_ns": acknowledged_ns - 3_000_000,
        "sequence": 42,
        "published_at": datetime(2026, 3, 24, 8, 0, 0, 123456, UTC),
        "rows": 120,
        "bytes": 100_400,
        "lag_ms": 1.4,
    }


def test_the_newest_scan_on_disk_is_told_also_if_it_was_not_published(parts: Parts) -> None:
    now_ns = time.time_ns()
    newest = ScanFile(now_ns, "2026-03-24/b.arrow", 1, now_ns)
    older = ScanFile(now_ns - 1, "2026-03-24/a.arrow", 1, now_ns)
    parts.pipeline.intake.found(Listing("ok", files=(newest, older)))
    assert parts.report.status().newest == NewestStatus(path="2026-03-24/b.arrow", mtime_ns=now_ns)


def test_a_name_that_json_cannot_carry_is_told_escaped(parts: Parts) -> None:
    now_ns = time.time_ns()
    parts.pipeline.intake.found(Listing("ok", files=(ScanFile(now_ns, "2026-03-24/\udcff\n.arrow", 1, now_ns),)))
    entry = json.loads(parts.report.status().model_dump_json())
    assert entry["newest"]["path"] == r"2026-03-24/\udcff\n.arrow"


def test_counters_rates_and_lags_are_those_of_the_metrics(parts: Parts) -> None:
    for lag_ms in (1.0, 2.0, 3.0):
        parts.metrics.scan_published(time.monotonic(), lag_ms)
    parts.metrics.bad = 4
    status = parts.report.status()
    assert status.counters == parts.metrics.counters()
    assert (status.counters.published, status.counters.bad) == (3, 4)
    assert (status.lag_ms.p50, status.lag_ms.max) == (2.0, 3.0)
    assert (status.files_per_min_1m, status.files_per_min_5m) == (3.0, 0.6)


def test_files_that_a_look_left_out_count_as_skipped(parts: Parts) -> None:
    parts.pipeline.intake.found(Listing("ok", left_out=7))
    assert parts.report.status().counters.skipped == 7


def test_the_entry_is_json_with_utc_times_to_the_microsecond_and_reads_back(parts: Parts) -> None:
    parts.pipeline.last = published(1774339200123456789)
    text = parts.report.status().model_dump_json()
    entry = json.loads(text)
    assert entry["published"]["published_at"] == "2026-03-24T08:00:00.123456Z"
    for name in ("started_at", "heartbeat_at"):
        assert entry[name].endswith("Z")
        assert len(entry[name]) == len("2026-03-24T08:00:00.123456Z")
    assert BridgeStatus.model_validate_json(text).model_dump_json() == text


def test_the_entry_of_another_version_is_read_all_the_same(parts: Parts) -> None:
    entry = json.loads(parts.report.status().model_dump_json())
    entry["of_a_newer_bridge"] = {"x": 1}
    entry["counters"]["of_a_newer_bridge"] = 1
    del entry["lag_ms"]  # of an older one
    assert BridgeStatus.model_validate(entry).instance == "bridge-1"


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1774339200_000000999, "2026-03-24T08:00:00.000000Z"),
        (1774339200_999999999, "2026-03-24T08:00:00.999999Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_nanoseconds_are_cut_to_microseconds_exactly(time_ns: int, text: str) -> None:
    assert iso_utc(from_ns(time_ns)) == text


# ---- the line in `systemctl status`


def test_the_line_of_a_bridge_that_has_just_begun(parts: Parts) -> None:
    assert parts.report.line() == (
        "published 0; waiting for scans: not looked at yet; "
        "hazelcast away (prod@10.0.0.5:5701,10.0.0.6:5701): not connected yet"
    )


def test_the_line_says_what_is_missing(parts: Parts) -> None:
    parts.discovery.state, parts.discovery.reason = "missing", "/scans does not exist"
    line = parts.report.line()
    assert "; waiting for scans: /scans does not exist; " in line
    assert line.endswith(": not connected yet")


def test_the_line_of_a_bridge_at_work(parts: Parts) -> None:
    parts.discovery.state, parts.discovery.reason = "ok", ""
    parts.metrics.published = 1234
    parts.pipeline.last = published(time.time_ns() - 1_200_000_000)
    begin = r"published 1234 \(last 2026-03-24/scan_0815\.arrow, \d+\.\d s ago, lag 1\.4 ms\); hazelcast "
    line = parts.report.line()
    assert re.match(begin, line), line
    assert "waiting" not in line
    assert "bad" not in line


def test_the_line_counts_bad_scans(parts: Parts) -> None:
    parts.metrics.bad = 3
    assert parts.report.line().endswith("; 3 bad")


def test_without_a_connection_a_step_ends_by_itself(parts: Parts) -> None:
    """Or the watchdog would take an outage for a hang."""
    asyncio.run(asyncio.wait_for(parts.report.step(longest_wait_s=0.01), timeout=10))
    assert parts.report.status().heartbeat_at >= datetime.now(UTC) - timedelta(seconds=10)
