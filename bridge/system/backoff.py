"""A trouble that lasts is one story, not a thousand log lines: told when it begins, now and then, and when it ends."""

from __future__ import annotations

import logging
import random
import time

REPEAT_S = 60.0
OTHER_REASON_S = 5.0


class Backoff:
    """One kind of attempt that may fail for long: how long to wait, and what to log."""

    def __init__(
        self, logger: logging.Logger, what: str, first_wait_s: float = 0.1, longest_wait_s: float = 1.0
    ) -> None:
        """`what` begins each log line. Waits double from `first_wait_s` to `longest_wait_s`, with jitter."""
        self._logger = logger
        self._what = what
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._wait_s = first_wait_s
        self._since_s: float | None = None
        self._told_s = 0.0
        self._reason: str | None = None

    def failed(self, reason: str) -> float:
        """The attempt failed (again). Logs if there is news; returns how many seconds to wait before trying again."""
        now_s = time.monotonic()
        if self._since_s is None:
            self._since_s = now_s
        silent_s = now_s - self._told_s
        is_news = self._reason is None or (reason != self._reason and silent_s >= OTHER_REASON_S)
        if is_news or silent_s >= REPEAT_S:
            lasting_s = now_s - self._since_s
            lasting = f" (for {lasting_s:.0f} s now)" if lasting_s >= 1 else ""
            self._logger.warning("%s: %s; trying again%s", self._what, reason, lasting)
            self._reason, self._told_s = reason, now_s
        wait_s = self._wait_s * random.uniform(0.75, 1.25)  # noqa: S311  # jitter is no secret
        self._wait_s = min(self._wait_s * 2, self._longest_wait_s)
        return wait_s

    def succeeded(self) -> None:
        """It works (again)."""
        if self._since_s is not None:
            self._logger.info("%s: over after %.1f s", self._what, time.monotonic() - self._since_s)
        self._since_s, self._wait_s, self._reason = None, self._first_wait_s, None
