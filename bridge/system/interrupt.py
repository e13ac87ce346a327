"""Ctrl-C ends a command at once: while it waits for the network, while nobody reads the terminal that it writes to,
and where SIGINT was inherited as ignored, as a shell hands it to background jobs.

For the commands that people type; the services end in good order by themselves. Must not wait for anything.
"""

from __future__ import annotations

import os
import select
import signal
from types import FrameType

LAST_WORDS_S = 0.2  # for a terminal to take them
STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


def end_at_once() -> None:
    """From now on SIGINT ends the process as by default. For commands that leave nothing behind."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def exit_at_once(last_words: bytes = b"") -> None:
    """From now on SIGINT writes `last_words` to the terminal, if that takes them, and ends the process: status 0."""

    def end(_number: int, _frame: FrameType | None) -> None:
        exit_in(LAST_WORDS_S)
        os.write(STANDARD_OUTPUT, last_words)
        os._exit(0)

    signal.signal(signal.SIGINT, end)


def exit_in(seconds: float) -> None:
    """End the process with status 0 in so many seconds, if it has not ended by then: called by handlers of signals."""
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, seconds)


def drop_unread_output() -> None:
    """What nobody reads goes nowhere from now on, also what is just being written: no write waits any longer."""
    for output in (STANDARD_OUTPUT, STANDARD_ERROR):
        if not select.select([], [output], [], 0)[1]:
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)
