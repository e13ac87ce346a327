"""The health check against a real Hazelcast member: healthy, foreign, killed, frozen, and from another host."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hazelcast
import pyarrow as pa
import pytest
from hazelcast.core import HazelcastJsonValue
from support.hazelcast_member import Member

from bridge.config import Hazelcast, Source
from bridge.model.provenance import Provenance
from bridge.model.status import BridgeStatus, Counters, NewestStatus, SourceStatus, Statuses
from healthcheck import check, cli
from healthcheck.act.apprise_urls import SpareNotifier
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.judge.own_bridge import Watched, own_status
from healthcheck.model.finding import Cause, Severity
from healthcheck.model.observation import Known, Unknown
from healthcheck.model.report import Report
from healthcheck.observe import cluster

pytestmark = pytest.mark.hazelcast

DEADLINE_S = 20.0


def settings(member: Member, map_name: str = "scan_bridge", **changes: object) -> Hazelcast:
    return Hazelcast(
        **{"members": (member.address,), "cluster_name": member.cluster_name, "map": map_name, **changes}  # type: ignore[arg-type]
    )


def scan_value(provenance: Provenance) -> bytearray:
    """A whole Arrow IPC stream with this provenance, as a bridge publishes it."""
    table = pa.table({"eigenvalue": [1.0, 2.0]}).replace_schema_metadata(provenance.to_metadata())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytearray(sink.getvalue().to_pybytes())


def provenance(age_s: float) -> Provenance:
    then = time.time_ns() - int(age_s * 1e9)
    return Provenance("2026-03-24/scan.arrow", then, 100, 7, then, "bridge-1")


def status(heartbeat_s: float = 0.0, **changes: object) -> BridgeStatus:
    now = datetime.now(UTC)
    healthy = BridgeStatus(
        instance="bridge-1",
        host="bridge-1",
        pid=4711,
        version="1.0.0",
        started_at=now - timedelta(hours=1),
        heartbeat_at=now - timedelta(seconds=heartbeat_s),
        heartbeat_s=5.0,
        source=SourceStatus(root="/data/scans", state="ok", watch_mode="inotify"),
        counters=Counters(published=100),
        files_per_min_1m=60.0,
        files_per_min_5m=60.0,
    )
    return healthy.model_copy(update=changes)


class Published:
    """Writes into the map what a bridge would."""

    def __init__(self, client: hazelcast.HazelcastClient, name: str) -> None:
        self.map = client.get_map(name).blocking()
        self.statuses = client.get_map(f"{name}_status").blocking()

    def scan(self, age_s: float) -> Provenance:
        written = provenance(age_s)
        self.map.set("latest_eigen_scan", scan_value(written))
        return written

    def status(self, written: BridgeStatus) -> None:
        self.statuses.set(written.instance, HazelcastJsonValue(written.model_dump_json()))

    def status_of_1_0(self, written: BridgeStatus) -> None:
        new = {"map", "scan_key", "role", "state"}
        self.map.set("bridge_status", HazelcastJsonValue(written.model_dump_json(exclude=new)))


@pytest.fixture
def published(client: hazelcast.HazelcastClient, map_name: str) -> Published:
    return Published(client, map_name)


def test_an_empty_map_is_known_to_hold_nothing(member: Member, map_name: str) -> None:
    answers = cluster.read_map(settings(member, map_name), DEADLINE_S)
    assert isinstance(answers.hazelcast, Known)
    assert answers.hazelcast.value.reachable
    assert isinstance(answers.entry, Known)
    assert answers.entry.value is None
    assert answers.statuses == Known(Statuses({}), answers.statuses.how)


def test_the_scans_metadata_and_the_status_are_read(member: Member, map_name: str, published: Published) -> None:
    scan, written = published.scan(3.0), status()
    published.status(written)
    answers = cluster.read_map(settings(member, map_name), DEADLINE_S)
    assert isinstance(answers.entry, Known)
    assert answers.entry.value == scan
    assert isinstance(answers.statuses, Known)
    assert answers.statuses.value.bridges == {"bridge-1": written}


def test_of_version_1_0_the_status_is_read_where_it_wrote_it(
    member: Member, map_name: str, published: Published
) -> None:
    written = status()
    published.status_of_1_0(written)
    published.status(status(instance="bridge-2"))
    answers = cluster.read_map(settings(member, map_name), DEADLINE_S)
    assert isinstance(answers.statuses, Known)
    assert set(answers.statuses.value.bridges) == {"bridge-1", "bridge-2"}
    published.status(upgraded := status(pid=4712))
    answers = cluster.read_map(settings(member, map_name), DEADLINE_S)
    assert isinstance(answers.statuses, Known)
    assert answers.statuses.value.bridges["bridge-1"] == upgraded


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "no scan but a string"),
        (bytearray(b"\x00\x01"), "no scan"),
        (bytearray(pa.schema([pa.field("x", pa.int8())]).serialize().to_pybytes()), "no bridge wrote"),
    ],
)
def test_a_foreign_value_is_unknown_and_does_not_hide_the_status(
    member: Member, map_name: str, published: Published, value: object, reason: str
) -> None:
    published.map.set("latest_eigen_scan", value)
    published.status(status())
    answers = cluster.read_map(settings(member, map_name), DEADLINE_S)
    assert isinstance(answers.entry, Unknown)
    assert reason in answers.entry.reason
    assert isinstance(answers.statuses, Known)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "no JSON value"),
        (HazelcastJsonValue("{}"), "cannot be read"),
        (HazelcastJsonValue(status(schema_version=99).model_dump_json()), "schema 99"),
    ],
)
def test_a_status_that_cannot_be_read_is_unknown(
    member: Member, map_name: str, published: Published, value: object, reason: str
) -> None:
    published.statuses.set("bridge-1", value)
    answers = cluster.read_map(settings(member, map_name), DEADLINE_S)
    assert isinstance(answers.statuses, Known)
    assert answers.statuses.value.bridges == {}
    assert reason in answers.statuses.value.unreadable["bridge-1"]


@pytest.mark.parametrize("trouble", [Member.kill, Member.pause], ids=["killed", "frozen"])
def test_a_member_that_is_killed_or_frozen_is_away_not_unknown(
    own_member: Member, trouble: Callable[[Member], None]
) -> None:
    config = settings(own_member, connect_timeout_s=0.5, call_timeout_s=0.5)
    trouble(own_member)
    answers = cluster.read_map(config, DEADLINE_S)
    assert isinstance(answers.hazelcast, Known)
    assert not answers.hazelcast.value.reachable
    assert answers.hazelcast.value.detail
    assert isinstance(answers.entry, Unknown)


def test_the_deadline_holds_however_long_the_client_would_wait(own_member: Member) -> None:
    config = settings(own_member, connect_timeout_s=60)
    own_member.pause()
    answers = cluster.read_map(config, 0.5)
    assert isinstance(answers.hazelcast, Known)
    assert answers.hazelcast.value.detail == "no answer within 0.5 s"


def test_a_cluster_of_another_name_is_not_ours(member: Member) -> None:
    answers = cluster.read_map(settings(member, cluster_name="another"), DEADLINE_S)
    assert isinstance(answers.hazelcast, Known)
    assert not answers.hazelcast.value.reachable


def test_proof_is_the_status_that_meets_the_condition_and_nothing_less(
    member: Member, map_name: str, published: Published
) -> None:
    config = settings(member, map_name)
    published.status(status(pid=1))
    assert cluster.wait_for_status(config, lambda status: status.pid == 2, 1.0) is None
    later = threading.Timer(0.5, lambda: published.status(status(pid=2)))
    later.start()
    found = cluster.wait_for_status(config, lambda status: status.pid == 2, DEADLINE_S)
    later.join()
    assert found is not None
    assert found.pid == 2


# --- A pair, seen by the check of the frozen one's own host ---------------------------------------------------------


def test_the_check_of_a_bridge_that_hangs_is_not_deceived_by_the_other(
    member: Member, map_name: str, published: Published, tmp_path: Path
) -> None:
    """Restarts nothing: there is no such unit here, but its process is this one."""
    hangs = status(60.0, host=socket.gethostname(), pid=os.getpid())
    published.scan(1.0)
    published.status(hangs)
    published.status(status(instance="bridge-2", host="elsewhere"))
    found = cluster.read_map(settings(member, map_name), DEADLINE_S).statuses
    place = Elsewhere(settings(member, map_name), tmp_path)
    own = own_status(found, Watched(socket.gethostname(), os.getpid()), place.config)
    assert isinstance(own, Known)
    assert own.value == hangs


def test_the_other_bridge_gone_is_one_alert_and_resolved_when_it_is_forgotten(
    elsewhere: Elsewhere, published: Published
) -> None:
    health = elsewhere.config.health
    soon = health.model_copy(update={"alerts": health.alerts.model_copy(update={"resolve_after_s": 0.001})})
    elsewhere.config = elsewhere.config.model_copy(update={"health": soon})
    published.scan(1.0)
    published.status(status())
    published.status(status(60.0, instance="bridge-2"))
    assert findings(elsewhere.check()) == {"redundancy": (Severity.WARNING, Cause.OTHER_SILENT)}
    published.status(status())
    assert elsewhere.check().changes == ()
    published.statuses.delete("bridge-2")
    published.status(status())
    assert elsewhere.check().headline == "Healthy"
    assert [change.kind for change in elsewhere.check().changes] == ["resolved"]


# --- A whole check from another host than the bridge's ------------------------------------------------------------


class Elsewhere:
    """Checks of one cluster from a host that has no bridge; state in a folder of its own."""

    def __init__(self, hazelcast: Hazelcast, folder: Path) -> None:
        for name in ("state", "spare"):
            (folder / name).mkdir()
        self.config = HealthConfig(
            source=Source(root=folder / "nothing-here"),
            hazelcast=hazelcast,
            health=Health(scope="remote", state_dir=folder / "state", spare_state_dir=folder / "spare"),
        )

    def check(self) -> Report:
        return check.run_check(self.config, SpareNotifier(self.config.health), by="test")


@pytest.fixture
def elsewhere(member: Member, map_name: str, tmp_path: Path) -> Elsewhere:
    return Elsewhere(settings(member, map_name), tmp_path)


def findings(report: Report) -> dict[str, tuple[Severity, Cause | None]]:
    return {f.rule: (f.severity, f.cause) for f in report.findings if f.severity is not Severity.OK}


def test_a_healthy_bridge_is_healthy_from_elsewhere(elsewhere: Elsewhere, published: Published) -> None:
    published.scan(1.0)
    published.status(status())
    report = elsewhere.check()
    assert (report.headline, findings(report)) == ("Healthy", {})
    assert any("only Hazelcast was looked at" in note for note in report.notes)


def test_a_silent_bridge_and_a_stopped_producer_are_told_apart_from_elsewhere(
    elsewhere: Elsewhere, published: Published
) -> None:
    scan = published.scan(90.0)
    newest = NewestStatus(path=scan.source, mtime_ns=scan.mtime_ns)
    published.status(status(newest=newest, files_per_min_1m=0.0, files_per_min_5m=0.2))
    assert findings(elsewhere.check())["stale_data"] == (Severity.CRITICAL, Cause.PRODUCER_STOPPED)
    published.status(status(60.0, newest=newest))
    found = findings(elsewhere.check())
    assert found["stale_data"] == (Severity.CRITICAL, Cause.BRIDGE_SILENT)
    assert found["hazelcast"] == (Severity.CRITICAL, Cause.BRIDGE_SILENT)


def test_an_outage_of_the_cluster_is_one_alert_and_over_when_it_is_back(own_member: Member, tmp_path: Path) -> None:
    client = own_member.client()
    place = Elsewhere(settings(own_member), tmp_path)
    place.config = place.config.model_copy(
        update={
            "health": place.config.health.model_copy(
                update={"alerts": place.config.health.alerts.model_copy(update={"resolve_after_s": 0.001})}
            )
        }
    )
    published = Published(client, "scan_bridge")
    published.scan(1.0)
    published.status(status())
    assert place.check().headline == "Healthy"
    client.shutdown()
    own_member.kill()
    away = place.check()
    assert [change.kind for change in away.changes] == ["opened"]
    assert findings(away)["hazelcast"] == (Severity.CRITICAL, Cause.HAZELCAST_AWAY)
    assert place.check().changes == ()
    own_member.start()
    published = Published(own_member.client(), "scan_bridge")
    published.scan(1.0)
    published.status(status())
    assert place.check().headline == "Healthy"
    over = place.check()
    assert ([change.kind for change in over.changes], over.alerts) == (["resolved"], ())


def test_a_password_that_cannot_be_read_is_no_outage_of_the_cluster(
    member: Member, map_name: str, tmp_path: Path
) -> None:
    place = Elsewhere(settings(member, map_name, username="u", password_file=tmp_path / "gone"), tmp_path)
    report = place.check()
    assert isinstance(report.snapshot.hazelcast, Unknown)
    assert "gone: No such file" in report.snapshot.hazelcast.reason
    assert report.severity is Severity.UNKNOWN


def test_the_command_on_another_host_exits_as_nagios_wants_it(
    member: Member, map_name: str, published: Published, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published.scan(1.0)
    published.status(status())
    config = tmp_path / "config.toml"
    config.write_text(
        f'[source]\nroot = "{tmp_path}/scans"\n'
        f'[hazelcast]\nmembers = ["{member.address}"]\ncluster_name = "{member.cluster_name}"\nmap = "{map_name}"\n'
        f'[health]\nunit = "no-such-unit-anywhere.service"\nstate_dir = "{tmp_path}/state"\n'
        f'spare_state_dir = "{tmp_path}/spare"\n'
    )
    assert cli.main(["check", "--config", str(config)]) == 0
    assert capsys.readouterr().out.startswith("SCAN-BRIDGE OK - found nothing wrong | data_age=")
    published.scan(50.0)
    published.status(status())
    assert cli.main(["check", "--json", "--config", str(config)]) == 1
    assert json.loads(capsys.readouterr().out)["headline"] == "Degraded"


def test_a_relative_key_is_found_where_systemd_hands_credentials_over(
    member: Member, map_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("password", "cert.pem", "key.pem"):
        (tmp_path / name).touch(mode=0o600)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    tls = {"enabled": True, "cert_file": "cert.pem", "key_file": "key.pem"}
    config = settings(member, map_name, username="u", password_file="password", tls=tls)
    # The files are empty, so there is no connection; but they were found, or it would be an OSError.
    answer = cluster.read_map(config, DEADLINE_S).hazelcast
    assert isinstance(answer, Known)
    assert not answer.value.reachable
    assert "No such file" not in answer.value.detail
