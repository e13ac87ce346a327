"""Talking to systemd (sd_notify). Outside systemd every call does nothing.

WATCHDOG=1 is sent only by the main loop, and only when every stage has proved progress: see daemon.py.
"""

from __future__ import annotations

import os
import time

from sdnotify import SystemdNotifier

from bridge.model.order import printable


class Notify:
    """One method a message of sd_notify(3)."""

    def __init__(self) -> None:
        self._socket = SystemdNotifier()
        self._status = ""

    @property
    def watchdog_s(self) -> float | None:
        """The unit's WatchdogSec in seconds, if it is meant for this process."""
        usec, pid = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
        return int(usec) / 1e6 if usec and pid in (None, str(os.getpid())) else None

    def ready(self) -> None:
        """Start-up (or a reload) is complete."""
        self._socket.notify("READY=1")

    def watchdog(self) -> None:
        """Every stage makes progress."""
        self._socket.notify("WATCHDOG=1")

    def watchdog_trigger(self) -> None:
        """A stage hangs: act now as if the watchdog had run out."""
        self._socket.notify("WATCHDOG=trigger")

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows; sent only when it changes."""
        text = printable(" ".join(text.splitlines()))  # what follows a line break would be another message
        if text != self._status:
            self._status = text
            # systemd wants UTF-8, sdnotify sends Latin-1: of such characters as stand for the bytes of UTF-8.
            self._socket.notify(f"STATUS={text}".encode().decode("latin-1"))

    def extend_timeout(self, seconds: float) -> None:
        """The start (or stop) goes on for `seconds` more at the most."""
        self._socket.notify(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def reloading(self) -> None:
        """A reload begins; `ready` ends it."""
        self._socket.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._socket.notify("STOPPING=1")
