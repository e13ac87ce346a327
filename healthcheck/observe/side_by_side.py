"""Runs jobs at once, each in a thread of its own, with one deadline for all."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping

Outcome = object | Exception


def run(jobs: Mapping[str, Callable[[], object]], deadline_s: float) -> dict[str, Outcome]:
    """Run every job at once; each gives its result, what it raised, or TimeoutError after `deadline_s`.

    The threads are daemons: one that hangs for ever is left behind and does not keep the process from ending.
    """
    done: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()

    def one(name: str, job: Callable[[], object]) -> None:
        try:
            done.put((name, job()))
        except Exception as error:  # noqa: BLE001  # whatever a probe raises is its answer
            done.put((name, error))

    for name, job in jobs.items():
        threading.Thread(target=one, args=(name, job), name=f"probe-{name}", daemon=True).start()
    outcomes: dict[str, Outcome] = {name: TimeoutError(f"no answer within {deadline_s:g} s") for name in jobs}
    deadline = time.monotonic() + deadline_s
    for _ in jobs:
        try:
            name, outcome = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        outcomes[name] = outcome
    return outcomes
