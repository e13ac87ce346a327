"""The environment over the file: what a variable is, by the type of what it sets."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.config import Config
from bridge.config_environment import overlaid
from bridge.config_file import ConfigError
from healthcheck.config.settings import HealthConfig

FILE = {"source": {"root": "/file", "poll_s": 1}, "health": {"groups": {"ops": {"blocks": ["slack-webhook/ops"]}}}}


@pytest.mark.parametrize(
    ("environment", "section", "expected"),
    [
        ({"SOURCE__ROOT": "/b"}, "source", {"root": "/b", "poll_s": 1}),
        ({"SOURCE": '{"root": "/b"}'}, "source", {"root": "/b", "poll_s": 1}),
        ({"SOURCE__ROOT": "/c", "SOURCE": '{"root": "/b"}'}, "source", {"root": "/c", "poll_s": 1}),
        ({"SOURCE__POLL_S": "2"}, "source", {"root": "/file", "poll_s": "2"}),
        # what is text stays text, whatever it looks like
        ({"HAZELCAST__MAP": "[1]"}, "hazelcast", {"map": "[1]"}),
        ({"HAZELCAST__USERNAME": "{}"}, "hazelcast", {"username": "{}"}),
        ({"METRICS__LISTEN": ""}, "metrics", {"listen": ""}),
        ({"HAZELCAST__MEMBERS": '["a:1"]'}, "hazelcast", {"members": ["a:1"]}),
        ({"HAZELCAST__TLS": '{"enabled": true}'}, "hazelcast", {"tls": {"enabled": True}}),
        (
            {"HEALTH__GROUPS__TRADING__BLOCKS": '["x/y"]'},
            "health",
            {"groups": {"ops": {"blocks": ["slack-webhook/ops"]}, "trading": {"blocks": ["x/y"]}}},
        ),
        ({"HEALTH__GROUPS__OPS": '{"blocks": []}'}, "health", {"groups": {"ops": {"blocks": []}}}),
        (
            {"HEALTH__RULES__CPU__CRITICAL_NOTIFY": '["ops"]'},
            "health",
            {**FILE["health"], "rules": {"cpu": {"critical_notify": ["ops"]}}},
        ),
        ({"HEALTH__EXPECTED": "[]"}, "health", {**FILE["health"], "expected": []}),
    ],
    ids=str,
)
def test_a_variable_sets_what_it_names_and_leaves_the_rest(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], section: str, expected: dict[str, Any]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv("SCAN_BRIDGE_" + name, value)
    assert overlaid(FILE, HealthConfig)[section] == expected


def test_what_others_read_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SCAN_BRIDGE_CONFIG", "SOURCE__ROOT"):
        monkeypatch.setenv(name, "/x")
    assert overlaid(FILE, HealthConfig) == FILE


def test_the_document_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"source": {"root": "/a"}}
    monkeypatch.setenv("SCAN_BRIDGE_SOURCE__ROOT", "/b")
    overlaid(before, Config)
    assert before == {"source": {"root": "/a"}}


@pytest.mark.parametrize("name", ["HAZELCAST__MEMBERS", "HAZELCAST", "HEALTH__GROUPS", "HEALTH__RULES__CPU"])
def test_a_list_or_section_that_is_no_json_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("SCAN_BRIDGE_" + name, "10.0.0.5:5701")
    with pytest.raises(ConfigError, match=r"^environment: "):
        overlaid(FILE, HealthConfig)
