"""The database of a Prefect server that was never used, made once: to make it takes most of a server's first start.

Prefect's own kinds of block are registered in it, so that `KNOWN_BLOCKS` tells each server not to do it once more.
"""

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
KNOWN_BLOCKS = {"PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"}
MAKE = """
import asyncio
from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration

async def make():
    database = provide_database_interface()
    await database.create_db()
    async with database.session_context() as session:
        await run_block_auto_registration(session=session)

asyncio.run(make())
"""


def put_into(home: Path) -> None:
    """Give the server whose PREFECT_HOME this is an empty database."""
    shutil.copy(_empty(), home / NAME)


@functools.cache
def _empty() -> Path:
    return cached(f"prefectdb-{version('prefect')}-with-blocks", _make, keep=2) / NAME


def _make(folder: Path) -> None:
    process.run(
        [sys.executable, "-c", MAKE], env=process.environment(PREFECT_HOME=str(folder)), timeout_s=MAKING_S, check=True
    )
    with closing(sqlite3.connect(folder / NAME)) as connection:  # all of it into the one file
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
