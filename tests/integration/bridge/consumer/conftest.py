"""Fixtures for tests of `bridge.consumer` against real members."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hazelcast
import pytest
from support.hazelcast_member import Member
from support.scan_values import NewConsumer, Writer

from bridge.consumer import ScanConsumer, Settings


@pytest.fixture
def writer(client: hazelcast.HazelcastClient, map_name: str) -> Iterator[Writer]:
    """Writes to this test's own maps on the shared member."""
    writer = Writer(client, map_name)
    yield writer
    writer.close()


@pytest.fixture
def own_writer(own_member: Member) -> Writer:
    """Writes to a member of the test's own."""
    return Writer(own_member.client(), "scans")


@pytest.fixture
def consume(request: pytest.FixtureRequest) -> Iterator[NewConsumer]:
    """Makes a consumer of what a writer writes: `consume(member, writer, max_age_s=5, on_scan=…)`."""
    made: list[ScanConsumer] = []
    # Consumers must be gone before the map is.
    if "writer" in request.fixturenames:
        request.getfixturevalue("writer")

    def new(
        member: Member,
        writer: Writer,
        *,
        on_scan: Any = None,
        on_stale: Any = None,
        on_fresh: Any = None,
        **settings: Any,
    ) -> ScanConsumer:
        defaults = {
            "members": [member.address],
            "cluster_name": member.cluster_name,
            "map": writer.map_name,
            "history_map": writer.history.name,
            "status_map": writer.statuses.name,
            "max_age_s": 600.0,
        }
        made.append(
            ScanConsumer(Settings(**{**defaults, **settings}), on_scan=on_scan, on_stale=on_stale, on_fresh=on_fresh)
        )
        return made[-1]

    yield new
    for consumer in made:
        consumer.close()
