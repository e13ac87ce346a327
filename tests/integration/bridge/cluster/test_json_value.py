"""`hazelcast.value = "json"`: the same order and the same compare-and-set, in a form that needs no Arrow."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hazelcast
import pyarrow as pa
import pytest
from hazelcast.core import HazelcastJsonValue
from support import process
from support.arrow_samples import written
from support.bridge_process import COMMAND, BridgeProcess, NewBridge, Target, day, eventually, land
from support.download_cache import cached
from support.hazelcast_member import Member

from bridge.consumer import NoFreshScan, ScanConsumer, Settings

pytestmark = pytest.mark.hazelcast
JSON = {"value": "json"}
KEY = "latest_eigen_scan"
DOWNLOAD_S = 300.0
SQL_ENGINE = "com.hazelcast:hazelcast-sql:5.6.0"
SQL_JAR = "hazelcast-sql-5.6.0.jar"


def held(client: hazelcast.HazelcastClient, bridge: BridgeProcess) -> Any:
    """What the map holds: a document, or bytes."""
    value = client.get_map(bridge.target.map_name).blocking().get(KEY)
    return json.loads(value.to_string()) if isinstance(value, HazelcastJsonValue) else value


def expect(client: hazelcast.HazelcastClient, bridge: BridgeProcess, path: str) -> Any:
    """Wait until the bridge has published this; what the map holds then."""
    bridge.wait_status(client, lambda status: (status["published"] or {}).get("path") == path, f"{path} published")
    return held(client, bridge)


def test_a_scan_stands_in_the_map_as_one_document_with_its_provenance(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient
) -> None:
    bridge = new_bridge(hazelcast=JSON).start()
    path = land(bridge.root, f"{day()}/a.arrow")
    document = expect(client, bridge, path)
    file = (bridge.root / path).stat()
    assert document["scan_bridge"] | {"published_ns": 0} == {
        "source": path,
        "mtime_ns": file.st_mtime_ns,
        "size": file.st_size,
        "sequence": 1,
        "published_ns": 0,
        "bridge": bridge.folder.name,
    }
    assert document["columns"] == {
        "asset": [f"{path}{number}" for number in range(20)],
        "eigenvalue": [float(number) for number in range(20)],
    }


def test_an_older_scan_never_replaces_a_newer_one_and_a_time_set_late_is_corrected(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient
) -> None:
    bridge, now_ns = new_bridge(hazelcast=JSON).start(), time.time_ns()
    newest = land(bridge.root, f"{day()}/b.arrow", mtime_ns=now_ns)
    expect(client, bridge, newest)
    land(bridge.root, f"{day()}/a.arrow", mtime_ns=now_ns - 1)
    bridge.wait_status(client, lambda status: status["counters"]["skipped"] == 1, "the older one is counted")
    assert held(client, bridge)["scan_bridge"]["source"] == newest

    land(bridge.root, newest, (bridge.root / newest).read_bytes(), mtime_ns=now_ns - 100)
    eventually(
        lambda: held(client, bridge)["scan_bridge"]["mtime_ns"] == now_ns - 100, lambda: str(held(client, bridge))[:300]
    )
    assert held(client, bridge)["scan_bridge"]["sequence"] == 2


def test_the_form_can_be_changed_on_a_running_system_in_both_directions(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient
) -> None:
    bridge, now_ns = new_bridge().start(), time.time_ns()
    expect(client, bridge, land(bridge.root, f"{day()}/a.arrow", mtime_ns=now_ns))
    for number, form in enumerate(("json", "arrow", "json"), 1):
        bridge.configure(hazelcast={"value": form})
        bridge.send(signal.SIGHUP)
        eventually(lambda n=number: len(bridge.lines("configuration reloaded")) == n, "it is reloaded")
        older = land(bridge.root, f"{day()}/older{number}.arrow", mtime_ns=now_ns + number - 2)
        value = expect(client, bridge, land(bridge.root, f"{day()}/b{number}.arrow", mtime_ns=now_ns + number))
        assert isinstance(value, dict) == (form == "json")
        status = bridge.status(client)
        assert status["published"]["sequence"] == number + 1
        assert status["published"]["path"] != older
    assert not bridge.lines("no bridge wrote")


def test_two_bridges_with_different_forms_keep_one_order(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient
) -> None:
    one = new_bridge("one").start()
    other = new_bridge("other", root=one.root, hazelcast=JSON).start()
    last = ""
    for number in range(30):
        last = land(one.root, f"{day()}/{number:02}.arrow")

    def source() -> str | None:
        with ScanConsumer(settings(one)) as consumer, contextlib.suppress(NoFreshScan):
            return consumer.newest().provenance.source
        return None

    eventually(lambda: source() == last, "the newest one stands there")
    for bridge in (one, other):
        bridge.wait_status(client, lambda status: (status["newest"] or {}).get("path") == last, "it has seen it")
        assert not bridge.lines("no bridge wrote")


def settings(bridge: BridgeProcess) -> Settings:
    """Of a consumer of this bridge's map."""
    target = bridge.target
    return Settings(
        members=[target.address], cluster_name=target.cluster_name, map=target.map_name, connect_timeout_s=30
    )


def test_commands_and_consumer_read_it(new_bridge: NewBridge, client: hazelcast.HazelcastClient) -> None:
    bridge = new_bridge(hazelcast=JSON).start()
    path = land(bridge.root, f"{day()}/a.arrow")
    expect(client, bridge, path)

    def latest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return process.run([*COMMAND, "latest", "--config", bridge.config_path, *arguments])

    assert json.loads(latest("--format", "json").stdout)["scan_bridge"]["source"] == path
    shown = latest().stdout
    assert path in shown
    assert "20 rows" in shown
    assert latest("--format", "csv").stdout.splitlines()[:2] == ['"asset","eigenvalue"', f'"{path}0",0']
    latest("--format", "arrow", "-o", bridge.folder / "scan.arrows")
    assert pa.ipc.open_stream((bridge.folder / "scan.arrows").read_bytes()).read_all().num_rows == 20
    with ScanConsumer(settings(bridge)) as consumer:
        scan = consumer.newest()
    assert (scan.provenance.source, scan.table.num_rows) == (path, 20)


def test_a_scan_of_lists_maps_and_dictionaries_is_read_by_a_consumer(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient
) -> None:
    columns = {
        "list": pa.array([[1.5, None], [], None]),
        "map": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "word": pa.array(["a", None, "a"]).dictionary_encode(),
    }
    bridge = new_bridge(hazelcast=JSON).start()
    expect(client, bridge, land(bridge.root, f"{day()}/a.arrow", written([pa.record_batch(columns)], "file")))
    with ScanConsumer(settings(bridge)) as consumer:
        read = consumer.newest().table.to_pydict()
    assert read == {
        "list": [[1.5, None], [], None],
        "map": [[{"key": "k", "value": 1}], [], None],
        "word": ["a", None, "a"],
    }


def test_a_small_scan_that_would_be_endless_text_is_bad_and_the_next_one_comes(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient
) -> None:
    bridge = new_bridge(hazelcast=JSON, source={"settle_s": 0.1}).start()
    endless = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * 1_000_000]))
    land(bridge.root, f"{day()}/a.arrow", written([pa.record_batch({"x": endless})], "file"))
    assert "more than 25165824 bytes" in bridge.wait_log("ERROR")
    expect(client, bridge, land(bridge.root, f"{day()}/b.arrow"))


@pytest.fixture(scope="module")
def sql_member() -> Iterator[Member]:
    """A member with Hazelcast's SQL engine, which is a jar of its own."""

    def download(folder: Path) -> None:
        maven = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        command = ["mvn", "-q", "-B", maven, f"-Dartifact={SQL_ENGINE}", f"-DoutputDirectory={folder}"]
        process.run(command, env=process.environment(downloads=True), check=True, timeout_s=DOWNLOAD_S)

    jar = cached(SQL_JAR, download) / SQL_JAR
    member = Member(jar=jar, java_options=("-Dlocal.jet=true",))
    try:
        yield member.start()
    finally:
        member.close()


@pytest.mark.java
def test_sql_reads_scan_and_status(new_bridge: NewBridge, sql_member: Member) -> None:
    client = sql_member.client()
    target = Target(sql_member.address, sql_member.cluster_name, "scan_bridge")
    bridge = new_bridge(target=target, hazelcast=JSON).start()
    path = land(bridge.root, f"{day()}/a.arrow")
    expect(client, bridge, path)

    def rows(statement: str) -> list[list[Any]]:
        result = client.sql.execute(statement).result()
        if not result.is_row_set():
            return []
        names = [column.name for column in result.get_row_metadata().columns]
        return [[row.get_object(name) for name in names] for row in result]

    rows("CREATE MAPPING scan_bridge TYPE IMap OPTIONS ('keyFormat' = 'varchar', 'valueFormat' = 'json')")
    select = (
        "JSON_VALUE(this, '$.scan_bridge.source'), "
        "JSON_VALUE(this, '$.scan_bridge.mtime_ns' RETURNING BIGINT), "
        "JSON_VALUE(this, '$.columns.eigenvalue[19]' RETURNING DOUBLE)"
    )
    file = (bridge.root / path).stat()
    assert rows(f"SELECT {select} FROM scan_bridge WHERE __key = '{KEY}'") == [[path, file.st_mtime_ns, 19.0]]
