"""What the history costs the cluster, from what lies on disk."""

from __future__ import annotations

from bridge.history.cost import estimate
from bridge.model.order import ScanFile

NOW_NS = 1_774_340_100_000_000_000


def files(count: int, every_s: float, size: int = 99_500) -> list[ScanFile]:
    """Newest first."""
    times = (NOW_NS - int(number * every_s * 1e9) for number in range(1, count + 1))
    return [ScanFile(time, f"2026-03-24/{time}.arrow", size, time) for time in times]


def test_it_is_rate_times_size_times_keep_s_with_one_backup() -> None:
    cost = estimate(files(7200, 0.5), 3600.0, NOW_NS)
    assert cost is not None
    assert round(cost.total_bytes / 1e9, 2) == 1.44
    assert "about 1.4 GB" in str(cost)


def test_as_json_scans_are_larger() -> None:
    arrow, json = (estimate(files(7200, 0.5), 3600.0, NOW_NS, form) for form in ("arrow", "json"))
    assert arrow is not None
    assert json is not None
    assert json.bytes == 2.5 * arrow.bytes


def test_where_less_than_keep_s_lies_on_disk_it_tells_from_what_does() -> None:
    half, whole = estimate(files(3600, 0.5), 3600.0, NOW_NS), estimate(files(7200, 0.5), 3600.0, NOW_NS)
    assert half == whole


def test_of_a_moment_nothing_can_be_told() -> None:
    assert estimate(files(10, 0.5), 3600.0, NOW_NS) is None
    assert estimate([], 3600.0, NOW_NS) is None
