"""Runs the local Prefect server, and ends it when its folder or its database cannot be used any more.

`python -m healthcheck.prefect.server` is what dolphin-scan-bridge-prefect.service starts. Left alone, a server that
cannot write fires its Automations again every few seconds (they are marked as fired in its database) and logs a
hundred lines a second, while its unit looks well. Ended, its unit has failed and says why, the check's timer takes
over, and systemd starts it again until it can be used. The database is only read here.
"""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from bridge.system import journal
from bridge.system.sd_notify import Notify

EX_DATAERR, EX_IOERR = 65, 74  # sysexits.h: the database is damaged; there is no room
LEAST_FREE = 32 * 10**6  # bytes; enough for the server to end in good order
LOOK_S = 10.0
STARTING_LOOK_S = 1.0
ANSWER_S = 10.0
VERIFY_S = 60.0  # between two whole readings of the database, or longer:
VERIFY_SHARE = 0.001  # they take at most this share of the time
STOP_S = 15.0
MEMO = "memo_store.toml"  # in PREFECT_HOME, by Prefect's default for PREFECT_SERVER_MEMO_STORE_PATH
DATABASE_URLS = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")

log = logging.getLogger(__name__)


def main() -> int:
    """Serve until SIGTERM; returns the exit status."""
    journal.set_up("info", "scan-bridge-prefect")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    home = Path(os.environ["PREFECT_HOME"])
    own_database = not any(name in os.environ for name in DATABASE_URLS)
    database = home / "prefect.db" if own_database else None
    notify = Notify()
    problem = unusable(home, database)
    if problem is None:
        forget_what_is_gone(home, database)
        with subprocess.Popen([sys.executable, "-P", "-m", "prefect", "server", "start"]) as server:
            problem = _watch(server, home, database, notify, stop)
            _end(server)
    if problem is None:
        return 0 if stop.is_set() else 1
    status, text = problem
    notify.status(text)
    log.critical("the Prefect server is not run: %s", text)
    return status


def unusable(home: Path, database: Path | None) -> tuple[int, str] | None:
    """The exit status, and in words why no server can be run with these; None if one can."""
    if problem := no_room(home):
        return EX_IOERR, f"it cannot write: {problem}"
    if database and (problem := damage(database)):
        return (
            EX_DATAERR,
            f"its database {database} is damaged: {problem}; what to do: alerts.md, Prefect's database",
        )
    return None


def forget_what_is_gone(home: Path, database: Path | None) -> None:
    """Let the server register its kinds of block in a new database: it takes them for registered if it ever did so."""
    if database and not database.exists():
        (home / MEMO).unlink(missing_ok=True)


def no_room(folder: Path) -> str | None:
    """Why nothing can be written there; None if it can."""
    probe = folder / ".room"
    try:
        free = os.statvfs(folder)
        if (left := free.f_bavail * free.f_frsize) < LEAST_FREE:
            return f"{left / 1e6:.0f} MB left in {folder}, {LEAST_FREE / 1e6:.0f} MB needed"
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return None


def damage(database: Path) -> str | None:
    """What SQLite finds wrong with the whole database; None if nothing, or if it cannot be told now."""
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=ANSWER_S)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:  # locked, for one
        log.warning("%s could not be verified: %s", database, error)
        return None
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(str(found).split())


def answers(environment: Mapping[str, str]) -> bool:
    """Whether the server answers."""
    host = environment.get("PREFECT_SERVER_API_HOST", "127.0.0.1")
    port = environment.get("PREFECT_SERVER_API_PORT", "4200")
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/api/health", timeout=ANSWER_S):
            return True
    except urllib.error.HTTPError:  # it wants a password
        return True
    except OSError:
        return False


def _watch(
    server: subprocess.Popen[bytes], home: Path, database: Path | None, notify: Notify, stop: threading.Event
) -> tuple[int, str] | None:
    """Look until the server ends, is to be stopped, or cannot go on: then why."""
    ready = False
    verify_at_s = time.monotonic() + VERIFY_S
    while not stop.wait(LOOK_S if ready else STARTING_LOOK_S) and server.poll() is None:
        if not ready and answers(os.environ):
            notify.ready()
            notify.status("answers")
            ready = True
        started_s = time.monotonic()
        verify = database if started_s > verify_at_s else None
        if problem := unusable(home, verify):
            return problem
        if verify:
            took_s = time.monotonic() - started_s
            verify_at_s = time.monotonic() + max(VERIFY_S, took_s / VERIFY_SHARE)
    return None


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    sys.exit(main())
