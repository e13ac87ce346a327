"""What the bridge tells of the history's process: its own words, and for how long the history has not been complete."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from bridge.config import Config
from bridge.model.history import to_line
from bridge.model.status import HistoryStatus
from bridge.service import history_process
from bridge.service.history_process import HistoryProcess


def heard(*told: HistoryStatus, monkeypatch: pytest.MonkeyPatch) -> HistoryStatus:
    """What the bridge tells once a process has told it this."""
    said = "".join(to_line(status).decode() for status in told)
    monkeypatch.setattr(history_process, "COMMAND", (sys.executable, "-c", f"print({said!r}); input(); input()"))
    config = Config.model_validate({"source": {"root": Path("/")}, "history": {"keep_s": 3600}})

    async def hear() -> HistoryStatus:
        process = HistoryProcess(config, lambda _: None)
        for _ in range(1 + len(told)):  # the start, then a line each
            await process.step(10.0)
        status = process.status
        await process.close()
        assert status is not None
        return status

    return asyncio.run(hear())


def test_a_map_that_loses_scans_is_behind_although_none_is_missing_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    losing = HistoryStatus(missing=0, behind_s=400.0, trouble="loses scans")
    for before in ((), (HistoryStatus(missing=7, behind_s=5000.0),)):
        found = heard(*before, losing, monkeypatch=monkeypatch)
        assert 400 <= found.behind_s < 460
        assert found.trouble == "loses scans"


def test_a_process_that_was_started_again_is_behind_for_as_long_as_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = heard(HistoryStatus(missing=7, behind_s=400.0), HistoryStatus(missing=None), monkeypatch=monkeypatch)
    assert found.behind_s >= 400


def test_once_it_is_complete_it_is_not_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    found = heard(HistoryStatus(missing=7, behind_s=400.0), HistoryStatus(missing=0), monkeypatch=monkeypatch)
    assert found.behind_s == 0
