"""The shipped dashboard and alert rules, held against Prometheus' own checker and against what really is exported."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.bridge_process import NewBridge, day, eventually, land
from support.hazelcast_member import free_port
from support.promtool import promtool

from healthcheck.check import run_check
from healthcheck.config.settings import load

DASHBOARD = Path(__file__).parents[4] / "docs" / "dashboard"
ALERTS = DASHBOARD / "alerts.yml"
GRAFANA = DASHBOARD / "grafana.json"


@dataclass(frozen=True)
class Exported:
    """What Prometheus gets to see, in its text format."""

    bridge: str
    health: str

    @property
    def samples(self) -> set[str]:
        """The names of all samples, those of a histogram's parts included."""
        families = [*text_string_to_metric_families(self.bridge), *text_string_to_metric_families(self.health)]
        return {sample.name for family in families for sample in family.samples}


class Nobody:
    """A notifier nobody has to hear: no group has a block."""

    def send(self, block: str, subject: str, body: str) -> None:
        raise AssertionError(f"{block}: {subject}")

    def unusable(self, blocks: object) -> None:
        """Nothing is known of any block."""


@pytest.fixture
def exported(new_bridge: NewBridge, tmp_path: Path, map_name: str) -> Exported:
    """What a running bridge that has published a scan exports, and one check of it."""
    address, textfile = f"127.0.0.1:{free_port()}", tmp_path / "health.prom"
    health = {"scope": "remote", "textfile": str(textfile)}
    health |= {"state_dir": str(tmp_path), "spare_state_dir": str(tmp_path)}
    bridge = new_bridge(
        metrics={"listen": address}, health=health, history={"keep_s": 3600.0, "map": f"{map_name}_history"}
    )
    land(bridge.root, f"{day()}/scan.arrow")
    bridge.start()

    def scraped() -> str:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
            return response.read().decode()

    scraped()  # READY=1 comes when there is an answer
    published = eventually(
        lambda: (
            "scan_bridge_published_total 1.0" in (text := scraped()) and "scan_bridge_history_missing" in text and text
        ),
        scraped,
    )
    run_check(load(bridge.config_path), Nobody(), by="test")
    return Exported(published, textfile.read_text())


def panels() -> Iterator[dict]:
    for panel in json.loads(GRAFANA.read_text())["panels"]:
        if panel["type"] != "row":
            yield panel


def named(text: str) -> set[str]:
    return set(re.findall(r"\bscan_bridge_\w+", text))


@pytest.mark.hazelcast
def test_prometheus_finds_nothing_to_say_about_the_metrics(exported: Exported) -> None:
    for text in (exported.bridge, exported.health):
        done = promtool("check", "metrics", stdin=text)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.hazelcast
def test_every_metric_in_the_dashboard_and_in_the_rules_is_exported(exported: Exported) -> None:
    for file in (GRAFANA, ALERTS):
        assert len(named(file.read_text())) >= 10
        assert named(file.read_text()) - exported.samples == set(), file.name


def test_the_alert_rules_are_valid() -> None:
    done = promtool("check", "rules", ALERTS)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_alert_rules_fire_when_they_should_and_only_then() -> None:
    done = promtool("test", "rules", Path(__file__).with_name("alerts_test.yml"))

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_been_seen_to_fire() -> None:
    alerts = set(re.findall(r"alert: (\w+)", ALERTS.read_text()))
    cases = Path(__file__).with_name("alerts_test.yml").read_text()

    assert alerts == set(re.findall(r'ALERTS\{alertname="(\w+)"', cases))


def test_every_query_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    rules = [
        {"record": f"panel:{i}", "expr": query.replace("$__rate_interval", "1m").replace("$instance", ".*")}
        for i, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    done = promtool("check", "rules", file)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout


def test_panels_explain_themselves_and_lie_side_by_side() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert (x, y) not in taken, f"{panel['title']} covers {taken[x, y]}"
                taken[x, y] = panel["title"]
