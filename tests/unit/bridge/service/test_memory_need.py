"""The largest scan that is allowed fits into the memory that the unit may have, or the bridge says so at the start."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.arrow.json_head import MOST_BYTES
from bridge.config import Config, Hazelcast, HistorySection, Source
from bridge.service.memory_need import most_bytes, shortage

UNIT = Path(__file__).parents[4] / "systemd" / "dolphin-scan-bridge.service"
SHIPPED = Config(source=Source(root=Path("/scans")))


def test_the_shipped_limits_have_room_for_the_shipped_sizes() -> None:
    """Also below MemoryHigh=, where the kernel begins to slow the process down."""
    (high_mb,) = re.findall(r"^MemoryHigh=(\d+)M$", UNIT.read_text(), re.MULTILINE)
    assert shortage(SHIPPED, int(high_mb) * 1024**2) is None
    assert most_bytes(SHIPPED) < int(high_mb) * 1024**2


def test_sizes_that_do_not_fit_are_named_with_the_limit_and_the_cure() -> None:
    said = shortage(allowing(100_000_000), 524_288_000)
    assert said is not None
    for part in ("source.max_scan_bytes = 100000000", "may take 834 MB", "may have 524 MB", "MemoryMax="):
        assert part in said


def test_the_historys_process_takes_as_much_again_and_json_many_times_the_longest_text() -> None:
    history = SHIPPED.model_copy(update={"history": HistorySection(keep_s=3600)})
    assert most_bytes(history) == 2 * most_bytes(SHIPPED)
    as_json = SHIPPED.model_copy(update={"hazelcast": Hazelcast(value="json")})
    assert most_bytes(as_json) - most_bytes(SHIPPED) == 10 * MOST_BYTES


def test_up_to_the_limit_itself_it_fits() -> None:
    assert shortage(SHIPPED, most_bytes(SHIPPED)) is None
    assert shortage(SHIPPED, most_bytes(SHIPPED) - 1) is not None
    assert shortage(allowing(2**40), None) is None


def allowing(max_scan_bytes: int) -> Config:
    """The defaults, and scans of this size."""
    return Config(source=Source(root=Path("/scans"), max_scan_bytes=max_scan_bytes))
