"""Under which name a check stands in Prefect, and what becomes of it if two hosts claim one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.config_file import CONFIG_DIR
from healthcheck.prefect import claims
from healthcheck.prefect.claims import ALIVE_FOR, Claim, Place, choose

NOW = datetime(2026, 3, 24, 8, 15, tzinfo=UTC)
ALIVE = NOW - timedelta(seconds=60)
DEAD = NOW - ALIVE_FOR


@pytest.mark.parametrize(
    ("known", "place"),
    [
        ([], Place("b")),
        ([Claim("b", "here", ALIVE)], Place("b")),
        ([Claim("b", "there", DEAD)], Place("b")),
        ([Claim("b", "there", None)], Place("b")),
        ([Claim("b", "there", ALIVE)], Place("b@here", ("there",))),
        ([Claim("b@there", "there", ALIVE)], Place("b", ("there",))),
        ([Claim("b", "there", DEAD), Claim("b@here", "here", ALIVE)], Place("b")),
        ([Claim("b", "there", ALIVE), Claim("b@else", "else", ALIVE)], Place("b@here", ("else", "there"))),
    ],
    ids=["new", "own", "left", "never ran", "taken", "the other is aside", "free again", "three"],
)
def test_the_later_of_two_steps_aside_and_comes_back_when_the_name_is_free(known: list[Claim], place: Place) -> None:
    assert choose("b", "here", known, NOW) == place


@pytest.mark.parametrize("name", ["bridge-1", "Host.example_2", "b@there"])
def test_a_name_and_its_deployment_lead_to_each_other(name: str) -> None:
    assert claims.name_of(claims.deployment_of(name)) == name
    assert claims.instance_of(name) == name.split("@")[0]


@pytest.mark.parametrize("foreign", [None, "every-60s", "another"])
def test_a_deployment_of_ones_own_or_of_version_1_0_has_no_name(foreign: str | None) -> None:
    assert claims.name_of(foreign) is None


def test_an_artifact_has_a_key_that_prefect_takes() -> None:
    assert claims.artifact_key("bridge-2") == "scan-bridge-health-bridge-2"
    key = claims.artifact_key("Bridge_2.example@there")
    assert re.fullmatch("scan-bridge-health-bridge-2-example-there-[0-9a-f]{8}", key)


def test_two_names_have_two_artifacts_whatever_a_key_may_not_have() -> None:
    alike = ["vm-gpu", "vm_gpu", "vm.gpu", "VM-gpu", "vm-gpu.", "vm@gpu", "äöü", "äöé"]
    assert len({claims.artifact_key(name) for name in alike}) == len(alike)


def test_a_deployment_says_by_its_tags_whose_it_is() -> None:
    assert claims.host_of(claims.tags(Place("b"), "here")) == "here"
    assert claims.host_of([]) == ""


def test_who_claims_is_a_host_by_more_than_its_name_and_the_place_of_its_configurations() -> None:
    assert claims.host_name("vm", "", CONFIG_DIR) == "vm"
    assert claims.host_name("vm", "a1", CONFIG_DIR) == "vm-a1"
    assert "/" not in claims.host_name("vm", "a1", Path("/home/alice/.config/scan-bridge"))
    long = [Path("/home/" + "x" * 200 + end) for end in "ab"]
    assert len({claims.host_name("vm", host_id, folder) for host_id in ("a1", "a2") for folder in long}) == 4
