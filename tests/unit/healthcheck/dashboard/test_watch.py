"""The dashboard looks often while somebody has its page open, and hardly while nobody has."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.bridge_process import eventually
from support.health_cases import config

from bridge.config import Hazelcast
from healthcheck.dashboard import watch
from healthcheck.dashboard.watch import Watch

SOON_S = 0.01
A_MOMENT_S = 0.3  # in which somebody who looks without a pause looks many times


@pytest.fixture
def resting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """One that looks at once again and again, but hardly ever while nobody asks; and nobody has."""
    for pause in ("POLL_S", "MOST_PAUSE_S", "LOOK_S"):
        monkeypatch.setattr(watch, pause, SOON_S)
    monkeypatch.setattr(watch, "UNASKED_S", A_MOMENT_S)
    for pause in ("UNASKED_POLL_S", "UNASKED_LOOK_S"):
        monkeypatch.setattr(watch, pause, 3600.0)
    settings = config(scope="remote", state_dir=tmp_path, spare_state_dir=tmp_path)
    nowhere = Hazelcast(members=("127.0.0.1:1",), connect_timeout_s=0.1)
    one = Watch(settings.model_copy(update={"hazelcast": nowhere}))
    one.start()
    eventually(lambda: one._overview.report.at and one._overview.in_map.problem and is_still(one), "it does not rest")
    return one


def is_still(one: Watch) -> bool:
    before = one._polled_s, one._looked_s
    time.sleep(A_MOMENT_S)
    return before == (one._polled_s, one._looked_s)


def test_while_nobody_asks_it_hardly_looks_and_who_asks_wakes_it(resting: Watch) -> None:
    polled_s, looked_s = resting._polled_s, resting._looked_s
    eventually(lambda: resting.overview() and resting._polled_s > polled_s, "it does not look at the map")
    eventually(lambda: resting.overview() and resting._looked_s > looked_s, "it does not look at everything else")


def test_one_that_rests_does_not_hang(resting: Watch) -> None:
    assert not resting.hangs
