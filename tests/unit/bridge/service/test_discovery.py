"""What discovery tells of its looks: each change once, and no more than is known."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.config import Source
from bridge.folder.listing import Listing
from bridge.service.discovery import Discovery

STEPPED = Listing("ok", stepped_back_s=3600.0)
OK = Listing("ok")


@pytest.mark.parametrize("away", [Listing("missing", "gone"), Listing("unreadable", "no answer"), Listing("empty", "")])
def test_a_step_back_of_the_clock_is_told_once_though_the_source_was_away_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, away: Listing
) -> None:
    unused = cast(Any, None)
    discovery = Discovery(Source(root=tmp_path), unused, unused, progress=lambda: None)
    caplog.set_level(logging.INFO)
    for listing in (STEPPED, away, STEPPED, OK):
        discovery._tell(listing)
    told = [record.message for record in caplog.records if record.message.startswith("the clock")]
    assert [text.split(":")[0] for text in told] == [
        "the clock was stepped back",
        "the clock has caught up with what it had dated",
    ]
