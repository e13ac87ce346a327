"""Alerts while Prefect is down: delivered by Apprise to a real HTTP server, by the names of Prefect's blocks."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config import Source
from healthcheck import check
from healthcheck.act.apprise_urls import SpareNotifier, parse_urls
from healthcheck.act.deliver import NotDelivered
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.model.condition import Unusable

BLOCK = "slack-webhook/ops"


class Service:
    """A web service that takes alerts: what it got, and with which status it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str]]] = []
        self.status = 200
        self.hang = threading.Event()
        self.hang.set()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.hang.wait(60)
                service.got.append((self.path, body))
                self.send_response(service.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"json://127.0.0.1:{self._server.server_port}/hunter2"

    def close(self) -> None:
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()


def notifier(tmp_path: Path, lines: str | None, mode: int = 0o600) -> SpareNotifier:
    file = tmp_path / "urls"
    if lines is not None:
        file.write_text(lines)
        file.chmod(mode)
    return SpareNotifier(Health(spare_urls_file=file))


@pytest.mark.prefect
def test_an_alert_is_delivered_to_the_line_of_its_block(tmp_path: Path, service: Service) -> None:
    lines = f"# while Prefect is down\n\nmail/other json://127.0.0.1:1/\n{BLOCK}  {service.url}\n"
    notifier(tmp_path, lines).send(BLOCK, "subject", "body\nof two lines")
    ((path, body),) = service.got
    assert path == "/hunter2"
    assert (body["title"], body["message"]) == ("subject", "body\nof two lines")


@pytest.mark.prefect
def test_a_service_that_refuses_is_no_delivery_and_the_reason_has_no_secret(
    tmp_path: Path, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    service.status = 500
    with pytest.raises(NotDelivered) as error:
        notifier(tmp_path, f"{BLOCK} {service.url}\n").send(BLOCK, "subject", "body")
    assert str(error.value) == "the service behind its spare URL did not take it"
    assert "hunter2" not in caplog.text


@pytest.mark.prefect
def test_a_service_that_hangs_is_given_up(tmp_path: Path, service: Service) -> None:
    service.hang.clear()
    slow = notifier(tmp_path, f"{BLOCK} {service.url}\n")
    slow._health = slow._health.model_copy(
        update={"alerts": slow._health.alerts.model_copy(update={"send_timeout_s": 1.0})}
    )
    with pytest.raises(NotDelivered):
        slow.send(BLOCK, "subject", "body")


@pytest.mark.prefect
def test_a_url_that_apprise_does_not_know_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="none that Apprise knows"):
        notifier(tmp_path, f"{BLOCK} nonsense://x\n").send(BLOCK, "subject", "body")


@pytest.mark.parametrize(
    ("lines", "mode", "reason"),
    [
        (None, 0o600, "No such file"),
        ("", 0o600, "has no line for it"),
        (f"{BLOCK} json://x\n", 0o644, "chmod 0600"),
    ],
)
def test_without_a_usable_url_the_alert_waits_and_the_reason_is_told(
    tmp_path: Path, lines: str | None, mode: int, reason: str
) -> None:
    with pytest.raises(NotDelivered, match=reason):
        notifier(tmp_path, lines, mode).send(BLOCK, "subject", "body")


def test_lines_without_a_url_or_commented_out_are_no_recipients() -> None:
    assert parse_urls("# a b\na/b c://d?e=f g\n\n x/y \n") == {"a/b": "c://d?e=f g", "x/y": ""}


@pytest.mark.prefect
def test_what_was_told_without_prefect_is_not_told_again_with_it(tmp_path: Path, service: Service) -> None:
    urls = tmp_path / "urls"
    urls.write_text(f"{BLOCK} {service.url}\n")
    urls.chmod(0o600)
    for name in ("state", "spare"):
        (tmp_path / name).mkdir()
    config = HealthConfig(
        source=Source(root=tmp_path),
        hazelcast={"members": ["127.0.0.1:1"]},
        health={
            "scope": "remote",
            "state_dir": tmp_path / "state",
            "spare_state_dir": tmp_path / "spare",
            "spare_urls_file": urls,
            "groups": {"ops": {"blocks": [BLOCK, "mail/only-prefect-knows"]}},
        },
    )

    class Prefects:
        """Stands where the notifier with Prefect's blocks would: takes everything."""

        def __init__(self) -> None:
            self.took: list[tuple[str, str]] = []

        def send(self, block: str, subject: str, body: str) -> None:
            self.took.append((block, body.split("\n")[0]))

        def unusable(self, blocks: object) -> dict[str, Unusable]:
            return {}

    prefects = Prefects()
    check.run_check(config, SpareNotifier(config.health), by="timer")
    assert len(service.got) == 1
    assert "CRITICAL: hazelcast (Hazelcast away)" in service.got[0][1]["title"]
    check.run_check(config, prefects, by="prefect")
    # New is only that one recipient could not be told; that one is told of both.
    waited = "WARNING: notifier (notifier failed)"
    assert prefects.took == [
        (BLOCK, waited),
        ("mail/only-prefect-knows", "CRITICAL: hazelcast (Hazelcast away)"),
    ]
