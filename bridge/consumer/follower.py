"""Each newest scan as it comes. Never an older one, never one twice.

Who is slow gets the newest, and learns how many went by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

from bridge.consumer.newest import Newest
from bridge.consumer.scan import Scan, missed_between
from bridge.model.provenance import Provenance


class Follower(Iterator[Scan]):
    """An iterator over fresh scans, for one thread or several (each scan goes to one of them).

    It raises `NoFreshScan` when the newest scan turns stale (or there is none to begin with), once; asked again, it
    waits for the next fresh one. It ends when the consumer is closed.
    """

    def __init__(self, newest: Newest) -> None:
        self._newest = newest
        self._last: Provenance | None = None
        self._told = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Scan:
        newest = self._newest
        if newest.closing.is_set():
            raise StopIteration
        newest.check_open()
        with newest.changed:
            while not newest.closing.is_set():
                state = newest.state()
                if isinstance(state, Scan):
                    if self._last is None or state.key != self._last.held.key:
                        missed = missed_between(self._last, state.provenance)
                        self._last, self._told = state.provenance, False
                        return replace(state, missed=missed)
                elif state is not None and not self._told:
                    self._told = True
                    raise state
                newest.wait(state)
        raise StopIteration
