"""Ctrl-C ends at once what has last words, or something to bring to an end: also while it waits for the network, or
while nobody reads the terminal that it writes to.

For the commands that people type; those without either leave SIGINT as `bridge.__main__` sets it. The services end in
good order by themselves; of this they use only what frees them from whoever does not read what they write. Must not
wait for anything.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

LAST_WORDS_S = 0.2  # for a terminal to take them
STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


def exit_at_once(last_words: bytes = b"") -> None:
    """From now on SIGINT writes `last_words` to the terminal, if that takes them, and ends the process: status 0."""

    def end() -> None:
        if select.select([], [STANDARD_OUTPUT], [], LAST_WORDS_S)[1]:
            os.write(STANDARD_OUTPUT, last_words)
        os._exit(0)

    on_signal((signal.SIGINT,), end)


def on_signal(numbers: tuple[signal.Signals, ...], action: Callable[[], None]) -> None:
    """From now on the first of these signals runs `action`, in a thread of its own.

    Python runs its handlers in the main thread, between two steps of the program: one whose signal comes in the moment
    in which the main thread begins a write that nobody reads would never run.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for number in numbers:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> None:
        while os.read(reader, 1)[0] not in numbers:
            pass
        action()

    threading.Thread(target=wait, name="signals", daemon=True).start()


def stop_on_signal(farewell_s: float) -> threading.Event:
    """From now on SIGINT and SIGTERM set the event; what has not ended `farewell_s` later is ended, status 0."""
    stop = threading.Event()

    def end() -> None:
        stop.set()
        time.sleep(farewell_s)
        os._exit(0)

    on_signal((signal.SIGINT, signal.SIGTERM), end)
    return stop


def drop_unread_output() -> None:
    """What nobody reads goes nowhere from now on, also what is just being written: no write waits any longer."""
    for output in (STANDARD_OUTPUT, STANDARD_ERROR):
        with suppress(OSError):  # it was closed before
            if not select.select([], [output], [], 0)[1]:
                os.dup2(os.open(os.devnull, os.O_WRONLY), output)
