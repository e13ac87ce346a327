"""The commands that findings name are those for the very bridge that they are about."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.health_cases import (
    ABOUT_TO_RESTART,
    AWAY,
    FAILED,
    REFUSES,
    STOPPED,
    ago,
    config,
    entry,
    evaluate,
    snapshot,
    status,
)

from healthcheck.model.condition import CheckCondition
from healthcheck.model.observation import Unknown

FURTHER = "dolphin-scan-bridge@gpu.service"
OF_ANOTHER = re.compile(
    r"(?<!-)scan-bridge(-health)? (?!--instance gpu)[a-z]|dolphin-scan-bridge(?!@gpu|-healthcheck|-prefect|\*)"
)
OTHER = status(instance="bridge-2", host="host-2", pid=200, map="scan_bridge", scan_key="latest_eigen_scan")
OLD = {"entry": entry(300), "status": status(newest=None)}
SICK: dict[str, dict[str, Any]] = {
    "refused": {"hazelcast": REFUSES},
    "away": {"hazelcast": AWAY, "entry": Unknown("away", "test"), "status": Unknown("away", "test")},
    "old": OLD,
    "failed": {"unit": FAILED, **OLD},
    "stopped": {"unit": STOPPED, **OLD},
    "restarting": {"unit": ABOUT_TO_RESTART},
    "silent": {"status": status(300.0), "entry": entry(300)},
    "other silent": {"bridges": {"bridge-2": OTHER.model_copy(update={"heartbeat_at": ago(70)})}},
    "claimed twice": {"bridges": {"x": OTHER.model_copy(update={"instance": config().status.instance})}},
    "large": {"memory_bytes": 600_000_000},
    "few": {"status": status(files_per_min_1m=0.0, files_per_min_5m=0.0)},
}


@pytest.mark.parametrize(
    ("unit", "instance"),
    [("dolphin-scan-bridge.service", ""), (FURTHER, " --instance gpu"), ("my-own.service", "")],
)
def test_a_command_has_the_instance_of_the_unit(unit: str, instance: str) -> None:
    health = config(unit=unit).health
    assert health.scan_bridge == f"scan-bridge{instance}"
    assert health.scan_bridge_health == f"scan-bridge-health{instance}"


@pytest.mark.parametrize("sick", SICK)
def test_no_finding_about_a_further_bridge_names_a_command_for_another(sick: str) -> None:
    condition = CheckCondition(unreachable={"slack-webhook/ops": "no answer"})
    everything = evaluate(snapshot(**SICK[sick]), None, config(unit=FURTHER), condition)
    found = [one for one in everything if one.severity.is_bad]
    assert found
    for finding in found:
        assert finding.look_further, finding.rule
        assert not OF_ANOTHER.search(f"{finding.text} {finding.look_further}"), finding
