"""The keys of the history, and the lines its process tells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.model.history import BadFile, from_line, history_key, read_history_key, to_line
from bridge.model.order import LATEST_NS, OrderKey, ScanFile
from bridge.model.status import HistoryStatus

keys = st.builds(OrderKey, st.integers(0, LATEST_NS), st.text(min_size=1))


@given(keys, keys)
def test_keys_can_be_read_back_and_sort_as_scans_do(one: OrderKey, other: OrderKey) -> None:
    assert read_history_key(history_key(one)) == one
    assert (history_key(one) < history_key(other)) == (one < other)


@pytest.mark.parametrize("text", ["", "1 a", "0177434010000000000x a", "01774340100000000000", "01774340100000000000 "])
def test_what_no_bridge_wrote_is_no_key(text: str) -> None:
    assert read_history_key(text) is None


@pytest.mark.parametrize(
    "message",
    [
        HistoryStatus(missing=3, per_s=1.5, trouble="why"),
        BadFile(ScanFile(1, "2026-03-24/\udcff\n.arrow", 2, 3), "no scan"),
    ],
)
def test_a_message_is_one_line_and_comes_back(message: HistoryStatus | BadFile) -> None:
    line = to_line(message)
    assert line.count(b"\n") == 1
    assert from_line(line) == message
