"""Fixtures for tests of the real bridge against a real Hazelcast member."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hazelcast
import pytest
from support.bridge_process import BridgeProcess, Consumer, NewBridge, Target
from support.hazelcast_member import Member


@pytest.fixture
def target(member: Member, map_name: str) -> Target:
    """This test's own map on the shared member."""
    return Target(member.address, member.cluster_name, map_name)


@pytest.fixture
def new_bridge(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewBridge]:
    """Makes a bridge that publishes to `target`, not started yet. All are gone after the test."""
    made: list[BridgeProcess] = []

    def new(name: str = "bridge", target: Target | None = None, **options: Any) -> BridgeProcess:
        made.append(BridgeProcess(tmp_path / name, target or request.getfixturevalue("target"), **options))
        return made[-1]

    # Bridges must be gone before the map is.
    if "map_name" in request.fixturenames:
        request.getfixturevalue("map_name")
    yield new
    for bridge in made:
        bridge.close()


@pytest.fixture
def bridge(new_bridge: NewBridge, target: Target) -> BridgeProcess:
    """A running bridge that publishes to `target`."""
    return new_bridge().start()


@pytest.fixture
def consumer(client: hazelcast.HazelcastClient, map_name: str) -> Iterator[Consumer]:
    """Listens to this test's map from the start."""
    consumer = Consumer(client, map_name)
    yield consumer
    consumer.close()


@pytest.fixture
def as_root() -> None:
    """For tests that mount, or set the kernel's limits."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
