"""What goes on beside a test or a measurement: a step that a thread repeats."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeated(step: Callable[[], None], every_s: float) -> Iterator[None]:
    """While inside, do it again and again, with this pause before each; at the end a step under way is waited for."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s):
            step()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
