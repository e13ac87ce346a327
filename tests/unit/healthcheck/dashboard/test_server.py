"""The dashboard without a browser: what it knows and since when, its history, and whom it answers."""

from __future__ import annotations

import http.client
import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.hazelcast_member import free_port
from support.health_cases import AWAY, NOW, REMOTE, ago, config, entry, evaluate, snapshot, status

from bridge.config import ConfigError
from bridge.model.status import BridgeStatus
from healthcheck import cli
from healthcheck.config.dashboard import Dashboard
from healthcheck.config.settings import load
from healthcheck.dashboard import document as page_document
from healthcheck.dashboard import fleet
from healthcheck.dashboard.history import KEPT_S, STEP_S, PlotHistory
from healthcheck.dashboard.server import PAGE, Server
from healthcheck.dashboard.sources import Heard, InMap, Overview, Verdict, next_verdict
from healthcheck.keep.state import State
from healthcheck.model.alert import Alert
from healthcheck.model.finding import Severity
from healthcheck.model.observation import Known, Unknown
from healthcheck.model.report import Report

# ---- what is known


def report(**answers: Any) -> Report:
    shot = snapshot(**answers)
    return Report(shot, evaluate(shot), 0.1)


def overview(**changes: Any) -> Overview:
    """All sources answered just now, and all is well; with these changes."""
    in_map = InMap(Known(entry(1), "test"), Known(status(), "test"))
    healthy: dict[str, Any] = {
        "in_map": Heard(in_map, NOW, None),
        "report": Heard(report(), NOW, None),
        "state": Heard(State(completed_at=ago(30), completed_by="prefect"), NOW, None),
        "warnings": Heard((), NOW, None),
        "run": Heard(None, NOW, None),
        "verdict": Verdict(Severity.OK, ago(600), exact=True),
    }
    return Overview(**{**healthy, **changes})


def bridges(what: Overview) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in fleet.rows({"bridge-1": what}, ago(3600), NOW)}


def knows(**others: BridgeStatus) -> Overview:
    """A map that knows these other bridges too."""
    own = status()
    return overview(in_map=Heard(InMap(Known(entry(1), "t"), Known(own, "t"), {"bridge-1": own, **others}), NOW, None))


def test_each_bridge_of_the_map_is_a_row_and_those_of_this_host_have_a_page() -> None:
    shown = bridges(knows(b2=status(instance="b2", host="host-2")))
    assert list(shown) == ["bridge-1", "b2"]
    assert (shown["bridge-1"]["page"], shown["bridge-1"]["severity"]) == ("bridge-1", "ok")
    other = shown["b2"]
    assert (other["page"], other["severity"], other["host"], other["age_s"]) == (None, "ok", "host-2", 1.0)
    json.dumps(shown)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"heartbeat_at": ago(60)}, "silent"), ({"state": "stopped"}, "stopped")],
    ids=["away", "stopped"],
)
def test_of_a_host_that_is_away_nothing_is_called_well(changes: dict[str, Any], words: str) -> None:
    other = bridges(knows(b2=status(instance="b2", host="host-2", **changes)))["b2"]
    assert other["severity"] == "unknown"
    assert other["words"].startswith(words)
    assert other["since"]
    assert not other["known"]


def test_with_hazelcast_away_other_bridges_are_unknown_since_then() -> None:
    away = knows(b2=status(instance="b2", host="host-2"))
    away = replace(away, in_map=away.in_map.failed("away"))
    assert bridges(away)["b2"]["severity"] == "unknown"


def document(what: Overview, now: datetime = NOW) -> dict[str, Any]:
    return page_document.document(what, PlotHistory().document(), config(), ago(3600), now)


def source(what: Overview, name: str) -> dict[str, Any]:
    return next(one for one in document(what)["sources"] if one["name"] == name)


def test_when_all_answer_the_rules_verdict_is_shown() -> None:
    shown = document(overview())
    assert shown["verdict"] == {
        "severity": "ok",
        "since": "2026-03-24T08:05:00.000000Z",
        "exact": True,
        "words": "Found nothing wrong, by 15 rules.",
    }
    assert [one["state"] for one in shown["sources"]] == ["ok"] * 5
    assert shown["scan"]["age_s"] == 1.0
    assert shown["restarts"]["by_systemd"] == 0


def test_before_the_first_look_nothing_is_known() -> None:
    shown = document(Overview())
    assert (shown["verdict"]["severity"], shown["verdict"]["since"]) == ("unknown", "2026-03-24T07:15:00.000000Z")
    assert {one["state"] for one in shown["sources"]} == {"unknown"}
    assert shown["scan"] is None
    json.dumps(shown)


def test_an_old_judgement_is_unknown_since_it_was_made() -> None:
    later = NOW + timedelta(seconds=page_document.REPORT_OLD_S + 1)
    verdict = document(overview(), later)["verdict"]
    assert (verdict["severity"], verdict["since"]) == ("unknown", "2026-03-24T08:15:00.000000Z")


def test_a_judgement_made_while_the_cluster_was_there_is_void_once_it_is_away() -> None:
    away = Heard(overview().in_map.value, ago(3), "dev@127.0.0.1:5701: refused")
    verdict = document(overview(in_map=away))["verdict"]
    assert (verdict["severity"], verdict["since"]) == ("unknown", "2026-03-24T08:14:57.000000Z")
    assert "refused" in verdict["words"]


def test_a_judgement_that_knows_of_the_outage_stands() -> None:
    away = Unknown("the cluster was not reached", "test")
    judged = report(hazelcast=AWAY, entry=away, status=away)
    standing = Verdict(judged.severity, ago(5), exact=True)
    what = overview(in_map=Heard(None, None, "refused"), report=Heard(judged, NOW, None), verdict=standing)
    verdict = document(what)["verdict"]
    assert verdict["severity"] == "critical"
    assert verdict["words"].startswith("hazelcast (Hazelcast away): ")
    assert ".." not in verdict["words"]


def test_the_last_scan_seen_is_called_that_while_the_map_is_away() -> None:
    scan = document(overview(in_map=replace(overview().in_map, problem="refused")))["scan"]
    assert scan["known"] is False
    assert scan["seen_at"] == "2026-03-24T08:15:00.000000Z"


def test_a_bridge_without_a_heartbeat_is_silent_since_its_last() -> None:
    in_map = InMap(Known(entry(1), "test"), Known(status(heartbeat_s=25), "test"))
    bridge = source(overview(in_map=Heard(in_map, NOW, None)), "Bridge")
    assert (bridge["state"], bridge["since"]) == ("bad", "2026-03-24T08:14:35.000000Z")


def test_a_health_check_that_does_not_run_is_said_to_be_silent() -> None:
    check = source(overview(state=Heard(State(completed_at=ago(200)), NOW, None)), "Health check")
    assert (check["state"], check["since"]) == ("bad", "2026-03-24T08:11:40.000000Z")


def test_state_that_cannot_be_read_is_unknown_since_it_could() -> None:
    check = source(overview(state=Heard(State(), ago(10), "state.json: Permission denied")), "Health check")
    assert (check["state"], check["since"]) == ("unknown", "2026-03-24T08:14:50.000000Z")
    assert "Permission denied" in check["words"]


def test_from_another_host_unit_and_journal_are_not_looked_at() -> None:
    what = overview(report=Heard(report(scope=REMOTE), NOW, None))
    assert source(what, "systemd unit")["state"] == source(what, "Journal")["state"] == "none"
    assert source(what, "systemd unit")["words"] == "not looked at: no such unit here"


def test_control_characters_of_foreign_text_are_escaped() -> None:
    in_map = InMap(Known(entry(1, "2026-03-24/\x1b[31m\u202egnp.arrow"), "test"), Known(status(), "test"))
    path = document(overview(in_map=Heard(in_map, NOW, None)))["scan"]["path"]
    assert path == r"2026-03-24/\x1b[31m\u202egnp.arrow"


# ---- since when


def alert(severity: Severity, opened_s: float, **changes: Any) -> Alert:
    made = Alert("stale_data", ago(opened_s), severity, "", ("old",), "", ("stale_data",), ago(1))
    return replace(made, **changes)


def test_a_severity_stands_since_it_was_first_seen() -> None:
    before = Verdict(Severity.CRITICAL, ago(100), exact=True)
    after = next_verdict(before, Heard(report(), NOW, None), Heard())
    assert after == Verdict(Severity.OK, NOW, exact=True)
    later = replace(report(), snapshot=snapshot(clock=replace(snapshot().clock, wall=NOW + timedelta(seconds=60))))
    assert next_verdict(after, Heard(later, NOW, None), Heard()) == after


def test_the_first_look_knows_only_that_it_is_so_now() -> None:
    assert next_verdict(None, Heard(report(), NOW, None), Heard()) == Verdict(Severity.OK, NOW, exact=False)


def test_at_the_first_look_the_last_alerts_end_tells_since_when_it_is_healthy() -> None:
    past = (alert(Severity.CRITICAL, 500, resolved_at=ago(100), healthy_since=ago(200)),)
    found = next_verdict(None, Heard(report(), NOW, None), Heard(State(past=past), NOW, None))
    assert found == Verdict(Severity.OK, ago(200), exact=True)


def test_a_look_that_failed_changes_nothing() -> None:
    before = Verdict(Severity.OK, ago(100), exact=True)
    assert next_verdict(before, Heard(report(), NOW, "it hangs"), Heard()) is before


# ---- the history


def test_each_step_keeps_the_worst_and_a_gap_has_its_place() -> None:
    history = PlotHistory()
    start = 1_000_000 // STEP_S * STEP_S
    history.add(start, 3.0, ("a", 900.0), 5.0)  # seen at the start: may be old
    history.add(start + 1, 9.0, ("b", 2.0), 6.0)
    history.add(start + 2, 1.0, ("b", 2.0), 7.0)
    history.add(start + STEP_S, None, None, None)
    history.add(start + 3 * STEP_S, 4.0, ("c", 8.0), 8.0)
    assert history.document() == {
        "start_s": start,
        "step_s": STEP_S,
        "age_s": [9.0, None, None, 4.0],
        "lag_ms": [2.0, None, None, 8.0],
        "per_min": [7.0, None, None, 8.0],
    }


def test_the_history_is_bounded_in_number_and_in_time() -> None:
    history = PlotHistory()
    for second in range(0, 2 * KEPT_S, STEP_S):
        history.add(second, 1.0, None, 1.0)
    assert len(history.document()["age_s"]) == KEPT_S // STEP_S
    history.add(10 * KEPT_S, 1.0, None, 1.0)
    shown = history.document()["age_s"]
    assert len(shown) == KEPT_S // STEP_S
    assert shown.count(None) == len(shown) - 1


def test_a_clock_stepped_back_far_starts_anew() -> None:
    history = PlotHistory()
    history.add(10 * KEPT_S, 1.0, None, 1.0)
    history.add(10 * KEPT_S - 60, 2.0, None, 1.0)
    assert history.document()["age_s"] == [1.0]
    history.add(KEPT_S, 3.0, None, 1.0)
    assert history.document()["age_s"] == [3.0]


# ---- the server


class Client:
    """Speaks to a server of this test."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, path: str = "/", method: str = "GET", host: str | None = "localhost", **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        for name, value in {**({"Host": host} if host else {}), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse()


@pytest.fixture
def client() -> Iterator[Client]:
    alive = [True]
    server = Server(
        Dashboard(listen=f"127.0.0.1:{free_port()}", hosts=("dash.example.org",)),
        lambda name: {"at": NOW, "lag": math.nan} if name in (None, "bridge-1") else None,
        lambda: alive[0],
    )
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    made = Client(server.server_port)
    made.alive = alive  # type: ignore[attr-defined]
    yield made
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("path", "kind"), [(path, kind) for path, (_, kind) in PAGE.items()])
def test_the_page_is_served_with_its_policy(client: Client, path: str, kind: str) -> None:
    answer = client.ask(path)
    assert (answer.status, answer.getheader("Content-Type")) == (200, kind)
    policy = answer.getheader("Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("Access-Control-Allow-Origin") is None
    assert len(answer.read()) == int(answer.getheader("Content-Length") or 0)


def test_the_state_is_valid_json_whatever_the_numbers(client: Client) -> None:
    answer = client.ask("/api/state?x=1")
    assert json.loads(answer.read()) == {"at": "2026-03-24T08:15:00Z", "lag": None}


def test_each_bridge_of_the_host_has_its_state_and_no_other(client: Client) -> None:
    assert client.ask("/api/state?bridge=bridge-1").status == 200
    assert client.ask("/api/state?bridge=bridge-2").status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(client: Client, method: str) -> None:
    answer = client.ask("/api/state", method)
    assert answer.status == (501 if method == "BREW" else 405)
    assert answer.getheader("Content-Security-Policy")
    assert b"BREW" not in answer.read()


def test_head_has_headers_only(client: Client) -> None:
    answer = client.ask("/", "HEAD")
    assert answer.status == 200
    assert int(answer.getheader("Content-Length") or 0) > 1000
    assert answer.read() == b""


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8080",
        "127.0.0.1:9478",
        "127.1.2.3",
        "[::1]:9478",
        "dash.example.org",
        "dash.example.org:80",
    ],
)
def test_it_answers_to_its_names(client: Client, host: str) -> None:
    assert client.ask(host=host).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("evil.example:9478", 421),
        ("localhost@evil.example", 421),
        ("evil@localhost", 421),
        ("192.168.1.5", 421),
        ("[::1", 421),
        ("", 400),
        (None, 400),
    ],
)
def test_it_answers_to_no_other_name(client: Client, host: str | None, status: int) -> None:
    for path in ("/", "/api/state"):
        answer = client.ask(path, host=host)
        assert answer.status == status
        assert b"evil" not in answer.read()


@pytest.mark.parametrize(
    "path", ["/x", "/../dashboard.py", "/page/../../config.py", "/index.html", "/%2e%2e/config.py"]
)
def test_there_is_nothing_else_to_have(client: Client, path: str) -> None:
    assert client.ask(path).status == 404


def test_its_health_is_that_of_its_looks(client: Client) -> None:
    assert client.ask("/healthz").status == 200
    client.alive[0] = False  # type: ignore[attr-defined]
    assert client.ask("/healthz").status == 503


# ---- the settings


@pytest.mark.parametrize("listen", ["127.0.0.1:9478", "[::1]:9478", "localhost:80", "127.0.0.2:65535"])
def test_loopback_addresses_are_fine(listen: str) -> None:
    assert Dashboard(listen=listen).address[1] > 0


@pytest.mark.parametrize(
    "listen", ["", "9478", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "::1:9478", "a@localhost:1", "localhost:1/x"]
)
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError, match="host:port"):
        Dashboard(listen=listen)


def test_another_address_than_loopback_needs_names() -> None:
    with pytest.raises(ValidationError, match="needs hosts"):
        Dashboard(listen="0.0.0.0:9478")
    assert Dashboard(listen="0.0.0.0:9478", hosts=("dash.example.org",)).hosts


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "http://user:secret@host", "http://a b"])
def test_a_link_to_prefect_is_a_web_address(url: str) -> None:
    with pytest.raises(ValidationError):
        Dashboard(prefect_url=url)


def test_a_mistake_in_the_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('[source]\nroot = "/data"\n[health.dashboard]\nport = 1\n')
    with pytest.raises(ConfigError, match=r"health\.dashboard\.port: unknown key"):
        load(path)


def test_a_port_that_is_taken_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], client: Client
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[source]\nroot = "/data"\n[health.dashboard]\nlisten = "127.0.0.1:{client.port}"\n')
    assert cli.main(["dashboard", "--config", str(path)]) == 1
    assert f"cannot listen on 127.0.0.1:{client.port}: Address already in use" in capsys.readouterr().err
