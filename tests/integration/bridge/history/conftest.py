"""Fixtures for tests of the history: a bridge that keeps one, and what its map holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import hazelcast
import pytest
from support.bridge_process import BridgeProcess, NewBridge
from support.history_map import HistoryMap

KEEP_S = 3600.0


@pytest.fixture
def kept(client: hazelcast.HazelcastClient, map_name: str) -> Iterator[HistoryMap]:
    """This test's history on the shared member."""
    kept = HistoryMap(client, f"{map_name}_history")
    yield kept
    kept.map.destroy()


@pytest.fixture
def keeping(new_bridge: NewBridge, map_name: str) -> Callable[..., BridgeProcess]:
    """Makes a bridge that keeps a history; not started yet."""

    def new(name: str = "bridge", keep_s: float = KEEP_S, **options: object) -> BridgeProcess:
        section = {"keep_s": keep_s, "map": f"{map_name}_history"}
        return new_bridge(name, **{"history": section, "source": {"rescan_s": 0.5}, **options})

    return new
