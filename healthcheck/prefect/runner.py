"""Prefect's runner, by the few names of it that its documentation does not promise; used here and nowhere else.

A Prefect without one of them is refused when this is imported: nothing must fail in silence later.
"""

from __future__ import annotations

from datetime import datetime

from prefect import __version__
from prefect.runner import Runner

_UNPROMISED = ("last_polled", "query_seconds", "started", "has_slots_available")


class CheckRunner(Runner):
    """Carries out the runs of a deployment one at a time, each in a process of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, limit=1, pause_on_shutdown=False)

    @property
    def polled_at(self) -> datetime | None:
        """When the server was last asked for runs."""
        return self.last_polled

    @property
    def poll_s(self) -> float:
        """Seconds between two polls."""
        return self.query_seconds

    @property
    def is_running(self) -> bool:
        """Whether it polls."""
        return self.started

    @property
    def is_busy(self) -> bool:
        """Whether a run is being carried out."""
        return self.started and not self.has_slots_available()


if _missing := [name for name in _UNPROMISED if not hasattr(Runner(), name)]:
    raise ImportError(f"Prefect {__version__} has no Runner.{_missing[0]}, which this program needs")
