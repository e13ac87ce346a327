"""The database of a Prefect server that was never used, made once: to make it takes most of a server's first start."""

from __future__ import annotations

import functools
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from support import process
from support.download_cache import cached

NAME = "prefect.db"
MAKING_S = 300.0  # ten seconds on an idle machine


def put_into(home: Path) -> None:
    """Give the server whose PREFECT_HOME this is an empty database."""
    shutil.copy(_empty(), home / NAME)


@functools.cache
def _empty() -> Path:
    return cached(f"prefectdb-{version('prefect')}", _make, keep=2) / NAME


def _make(folder: Path) -> None:
    command = (sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes")
    process.run(command, env=process.environment(PREFECT_HOME=str(folder)), timeout_s=MAKING_S, check=True)
    with closing(sqlite3.connect(folder / NAME)) as connection:  # all of it into the one file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
