"""How fast the history is caught up. Pure; no clock.

As fast as it can, catching up would take the processors from the newest scan, and the member's time too: what is put is
memory that stays, which a collector of garbage copies while the member stands still (docs/performance.md has figures).
"""

from __future__ import annotations

MOST_PER_S = 400
MOST_BYTES_PER_S = 40_000_000
ARREARS_S = 0.05  # that are made good: timers come a little late


class Pace:
    """When the next scan has its turn."""

    def __init__(self) -> None:
        self.next_s = 0.0

    def took(self, size: int, now_s: float) -> None:
        """A scan of so many bytes has its turn now."""
        rest_s = max(1 / MOST_PER_S, size / MOST_BYTES_PER_S)
        self.next_s = max(self.next_s, now_s - ARREARS_S) + rest_s
