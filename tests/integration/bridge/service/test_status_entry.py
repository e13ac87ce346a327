"""The status entry tells anyone, on any host, how the bridge is: whole, exact, and alive without new scans."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from datetime import UTC, datetime
from importlib.metadata import version

import hazelcast
import pytest
from hazelcast.core import HazelcastJsonValue
from support.bridge_process import BridgeProcess, Consumer, NewBridge, day, eventually, land, scan

from bridge.system.host import host_id

pytestmark = pytest.mark.hazelcast
ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_it_has_every_field_of_its_schema(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    before = datetime.now(UTC)
    path = land(bridge.root, f"{day()}/a.arrow", scan(rows=7))
    seen = consumer.expect(path)
    status = bridge.wait_status(client, lambda status: status["published"], "it is published")
    value = client.get_map(bridge.target.map_name).blocking().get("latest_eigen_scan")
    lag_ms = status["published"]["lag_ms"]

    moments = {"started_at": status.pop("started_at"), "heartbeat_at": status.pop("heartbeat_at")}
    moments["published_at"] = status["published"].pop("published_at")
    assert status == {
        "schema_version": 1,
        "history": None,
        "instance": "bridge",
        "host": socket.gethostname(),
        "host_id": host_id(),
        "pid": bridge.pid,
        "version": version("scan-bridge"),
        "heartbeat_s": 0.5,
        "source": {"root": str(bridge.root), "state": "ok", "watch_mode": "inotify", "reason": ""},
        "published": {
            "path": path,
            "mtime_ns": os.stat(bridge.root / path).st_mtime_ns,
            "sequence": 1,
            "rows": 7,
            "bytes": len(value),
            "lag_ms": lag_ms,
        },
        "newest": {"path": path, "mtime_ns": seen.mtime_ns},
        "counters": {"published": 1, "skipped": 0, "bad": 0, "retries": 0, "reconnects": 0, "overflows": 0},
        "lag_ms": {name: pytest.approx(lag_ms, abs=0.001) for name in ("p50", "p90", "p99", "max")},
        "files_per_min_1m": 1.0,
        "files_per_min_5m": 0.2,
        "map": bridge.target.map_name,
        "scan_key": "latest_eigen_scan",
        "role": "active",
        "state": "running",
    }
    assert lag_ms > 0
    for text in moments.values():
        assert ISO_8601.fullmatch(text)
    started, heartbeat, published = (datetime.fromisoformat(text) for text in moments.values())
    assert started < before < published <= heartbeat <= datetime.now(UTC)


def test_it_is_a_json_value_that_any_client_can_query(bridge: BridgeProcess, client: hazelcast.HazelcastClient) -> None:
    bridge.wait_status(client, bool, "a status")

    entry = client.get_map(bridge.target.map_name).blocking().get("bridge_status")

    assert isinstance(entry, HazelcastJsonValue)
    assert json.loads(entry.to_string())["instance"] == "bridge"


def test_before_the_first_scan_it_says_that_there_is_none(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient
) -> None:
    status = bridge.wait_status(client, lambda status: status["source"]["state"] == "empty", "an empty ROOT")

    assert status["published"] is None
    assert status["newest"] is None
    assert status["lag_ms"] == {"p50": None, "p90": None, "p99": None, "max": None}
    assert status["files_per_min_1m"] == 0.0


def test_the_heartbeat_goes_on_without_new_scans(new_bridge: NewBridge, client: hazelcast.HazelcastClient) -> None:
    bridge = new_bridge(status={"heartbeat_s": 0.3}).start()
    first = bridge.wait_status(client, bool, "a status")

    beats = {first["heartbeat_at"]}
    eventually(lambda: beats.add(bridge.status(client)["heartbeat_at"]) or len(beats) >= 5, "five heartbeats")

    moments = sorted(datetime.fromisoformat(beat) for beat in beats)
    # Four pauses of 0.3 s; one that ends late may shorten the next.
    assert (moments[-1] - moments[0]).total_seconds() > 0.6


def test_the_newest_scan_on_disk_is_told_even_if_it_is_not_published(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"settle_s": 3600}).start()
    whole = land(bridge.root, f"{day()}/a.arrow")
    consumer.expect(whole)
    unfinished = land(bridge.root, f"{day()}/b.arrow", scan()[:-1])

    status = bridge.wait_status(
        client, lambda status: (status["newest"] or {}).get("path") == unfinished, "it is the newest"
    )

    assert status["published"]["path"] == whole
    assert status["newest"]["mtime_ns"] == os.stat(bridge.root / unfinished).st_mtime_ns


def test_under_load_it_is_written_at_most_five_times_a_second(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge.wait_status(client, bool, "a status")
    writes: list[float] = []
    entries = client.get_map(bridge.target.map_name).blocking()
    listener = entries.add_entry_listener(
        key="bridge_status", updated_func=lambda event: writes.append(time.monotonic())
    )
    try:
        begin_s = time.monotonic()
        number = 0
        while time.monotonic() - begin_s < 1.5 or len(consumer.seen) < 50:
            number += 1
            consumer.expect(land(bridge.root, f"{day()}/{number:05}.arrow"))
        last = f"{day()}/{number:05}.arrow"
        bridge.wait_status(client, lambda status: status["published"]["path"] == last, "the last one is told")
        assert 2 <= len(writes) <= 2 + 5 * (time.monotonic() - begin_s)
    finally:
        entries.remove_entry_listener(listener)


def test_its_counters_tell_what_happened(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"settle_s": 0.1}).start()
    for number in range(3):
        consumer.expect(land(bridge.root, f"{day()}/{number}.arrow"))
    bridge.wait_status(client, lambda status: status["counters"]["published"] == 3, "three are published")
    older_ns = consumer.seen[0].mtime_ns - 1
    land(bridge.root, f"{day()}/older_1.arrow", mtime_ns=older_ns)
    land(bridge.root, f"{day()}/older_2.arrow", mtime_ns=older_ns)
    land(bridge.root, f"{day()}/bad.arrow", b"garbage")

    status = bridge.wait_status(
        client,
        lambda status: (status["counters"]["bad"], status["counters"]["skipped"]) == (1, 2),
        "one bad, two skipped",
    )

    assert status["counters"]["published"] == 3
    assert status["counters"]["retries"] >= 1
    assert status["files_per_min_1m"] == 3.0
    lag = status["lag_ms"]
    assert 0 < lag["p50"] <= lag["p90"] <= lag["p99"] <= lag["max"]
