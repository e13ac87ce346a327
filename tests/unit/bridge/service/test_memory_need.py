"""The largest scan that is allowed fits into the memory that the unit may have, or the bridge says so at the start."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.config import Source
from bridge.service.memory_need import most_bytes, shortage

UNIT = Path(__file__).parents[4] / "systemd" / "dolphin-scan-bridge.service"
SHIPPED = Source(root=Path("/scans"))


def test_the_shipped_limits_have_room_for_the_shipped_sizes() -> None:
    """Also below MemoryHigh=, where the kernel begins to slow the process down."""
    (high_mb,) = re.findall(r"^MemoryHigh=(\d+)M$", UNIT.read_text(), re.MULTILINE)
    assert shortage(SHIPPED, int(high_mb) * 1024**2) is None
    assert most_bytes(SHIPPED) < int(high_mb) * 1024**2


def test_sizes_that_do_not_fit_are_named_with_the_limit_and_the_cure() -> None:
    large = SHIPPED.model_copy(update={"max_scan_bytes": 100_000_000})
    said = shortage(large, 524_288_000)
    assert said is not None
    for part in ("source.max_scan_bytes = 100000000", "may take 824 MB", "may have 524 MB", "MemoryMax="):
        assert part in said


def test_the_historys_process_takes_as_much_again() -> None:
    most = most_bytes(SHIPPED)
    assert shortage(SHIPPED, 2 * most, processes=2) is None
    assert shortage(SHIPPED, 2 * most - 1, processes=2) is not None


def test_without_a_limit_everything_fits() -> None:
    assert shortage(SHIPPED.model_copy(update={"max_scan_bytes": 2**40}), None) is None
