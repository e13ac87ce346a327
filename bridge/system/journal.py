"""Where log lines go: to the journal with priority and fields, or to a terminal for people.

A record may carry fields by `extra={"fields": {"SCAN_PATH": …}}`; the journal keeps them searchable
(`journalctl SCAN_PATH=…`). Nothing in a message can forge a field, or a line: on a terminal, what follows a line
break is indented, and control characters are escaped.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import traceback
from collections.abc import Mapping
from enum import IntEnum

from bridge.model.order import printable

JOURNAL_SOCKET = "/run/systemd/journal/socket"


class Priority(IntEnum):
    """How urgent a line of the journal is, as syslog(3) numbers it."""

    EMERG = 0
    ALERT = 1
    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


PRIORITIES = (
    (logging.CRITICAL, Priority.CRIT),
    (logging.ERROR, Priority.ERR),
    (logging.WARNING, Priority.WARNING),
    (logging.INFO, Priority.INFO),
    (logging.NOTSET, Priority.DEBUG),
)
COLOURS = {logging.WARNING: "33", logging.ERROR: "31", logging.CRITICAL: "1;31", logging.DEBUG: "2"}


def set_up(level: str, identifier: str = "scan-bridge") -> None:
    """Send log records of `level` and above to the journal if systemd connected us to it or would have, else to stderr.

    `identifier` is the name in front of each line that journalctl shows.
    """
    handler: logging.Handler = (
        JournalHandler(identifier) if _stderr_is_journal() or _journal_was_away() else TerminalHandler()
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    quiet_hazelcast(unless=level == "debug")


def quiet_hazelcast(*, unless: bool = False) -> None:
    """Drop what the client logs: each failed attempt with a traceback. Who uses it has sparser words for that."""
    client = logging.getLogger("hazelcast")
    client.propagate = unless
    client.handlers[:] = [logging.NullHandler()]


def _stderr_is_journal() -> bool:
    try:
        info = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{info.st_dev}:{info.st_ino}"


def _journal_was_away() -> bool:
    """Whether systemd started us while there was no journal: it then puts /dev/null in its place (systemd.exec)."""
    try:
        # Of another /dev than ours, if the unit has PrivateDevices=: the same device, not the same file.
        is_null = os.fstat(sys.stderr.fileno()).st_rdev == os.stat(os.devnull).st_rdev
    except (OSError, ValueError):
        return False
    return is_null and os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


class TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Time, level, message; coloured on a terminal."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(_Formatter("%(asctime)s.%(msecs)03d %(levelname)-8s %(message)s", "%H:%M:%S"))
        self._colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ

    def format(self, record: logging.LogRecord) -> str:
        """One line (and a traceback below it, if there is one)."""
        text = super().format(record)
        colour = COLOURS.get(record.levelno)
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour and colour else text


class _Formatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        return "\n  ".join(printable(line) for line in super().formatMessage(record).splitlines())


class JournalHandler(logging.Handler):
    """Speaks the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

    def __init__(self, identifier: str) -> None:
        super().__init__()
        self._identifier = identifier
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(0.2)  # a journal that hangs must not hold up the scans
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. A journal that is away costs the record, never the program; once back, it is told how many.

        The socket is looked up by name each time, so that a journal that was started anew is found.
        """
        try:
            datagram = encode(self._fields(record))
        except Exception:  # noqa: BLE001  # logging must not raise
            self.handleError(record)
            return
        try:
            if self._lost:
                self._send(encode(self._fields(self._loss())))
                self._lost = 0
            self._send(datagram)
        except OSError:
            self._lost += 1

    def _send(self, datagram: bytes) -> None:
        self._socket.sendto(datagram, JOURNAL_SOCKET)

    def _loss(self) -> logging.LogRecord:
        text = "the journal did not take %d log lines before this"
        return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (self._lost,), None)

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        fields = {
            "MESSAGE": record.getMessage(),
            "PRIORITY": str(next(int(priority) for level, priority in PRIORITIES if record.levelno >= level)),
            "SYSLOG_IDENTIFIER": self._identifier,
            "LOGGER": record.name,
            "CODE_FILE": record.pathname,
            "CODE_LINE": str(record.lineno),
            "CODE_FUNC": record.funcName or "",
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["MESSAGE"] += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return fields


def encode(fields: Mapping[str, object]) -> bytes:
    """A datagram of the native protocol; every value in its binary form, so that none can forge a field."""
    datagram = bytearray()
    for name, value in fields.items():
        content = str(value).encode(errors="backslashreplace")
        datagram += name.encode() + b"\n" + struct.pack("<Q", len(content)) + content + b"\n"
    return bytes(datagram)
