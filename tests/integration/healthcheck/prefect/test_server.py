"""The local Prefect server as its unit runs it: ended when it cannot write any more or its database is damaged."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from support import prefect_database
from support.hazelcast_member import free_port
from support.prefect_server import START_S, answers, eventually, quick_client_environment

from healthcheck.prefect import server
from healthcheck.prefect.server import EX_DATAERR, EX_IOERR

ROOM = 400 * 10**6
ENDS_S = 120.0


class LocalServer:
    """`python -m healthcheck.prefect.server` with a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.log = home.parent / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        script = "from healthcheck.prefect import server; server.LOOK_S = server.VERIFY_S = 1.0; exit(server.main())"
        environment = {
            **quick_client_environment(None, self.home),
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        with self.log.open("wb") as log:
            command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-c", script]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def until_it_answers(self) -> None:
        eventually(lambda: answers(self.api_url), START_S, self.log.read_text)

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        assert self.process is not None
        return self.process.wait(ENDS_S)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalServer]:
    """One that was not started yet."""
    (tmp_path / "home").mkdir()
    made = LocalServer(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def small(local: LocalServer, as_root: None) -> Iterator[LocalServer]:
    """One whose folder is a file system of its own."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", local.home]
    subprocess.run(mount, check=True)
    yield local
    local.close()
    subprocess.run(["umount", "--lazy", local.home], check=True)


@pytest.mark.prefect
def test_a_full_disk_ends_it_and_it_starts_once_there_is_room(small: LocalServer) -> None:
    prefect_database.put_into(small.home)
    small.start()
    small.until_it_answers()
    filler = small.home / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(small.home)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - 10**6)
    assert small.ended() == EX_IOERR
    text = small.log.read_text()
    assert "it cannot write: " in text
    assert len(text.splitlines()) < 1000
    small.start()
    assert small.ended() == EX_IOERR, "not even tried while there is no room"
    filler.unlink()
    small.start()
    small.until_it_answers()


@pytest.mark.prefect
def test_a_damaged_database_ends_it_and_it_starts_with_a_new_one(local: LocalServer) -> None:
    prefect_database.put_into(local.home)
    local.start()
    local.until_it_answers()
    database = local.home / "prefect.db"
    damage(database)
    assert local.ended() == EX_DATAERR
    assert f"its database {database} is damaged: " in local.log.read_text()
    local.start()
    assert local.ended() == EX_DATAERR, "the server is not started with it"
    database.rename(database.with_suffix(".damaged"))
    local.start()
    local.until_it_answers()
    with SyncPrefectClient(local.api_url) as client:
        assert client.read_block_type_by_slug("slack-webhook"), "the form that an operator fills in"
    local.process.terminate()
    assert local.ended() == 0


def damage(database: Path) -> None:
    """Random blocks written into it, as a dying disk or a stray `dd` does."""
    shuffled = random.Random(1)
    with database.open("r+b") as file:
        blocks = database.stat().st_size // 4096
        assert blocks > 100
        for block in shuffled.sample(range(1, blocks), blocks // 4):
            file.seek(block * 4096)
            file.write(shuffled.randbytes(4096))


def test_a_whole_database_is_not_called_damaged_and_a_foreign_file_is(tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    assert server.damage(database) is None, "the first start"
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 1000)
        connection.commit()
        assert server.damage(database) is None, "while it is in use"
    connection.close()
    damage(database)
    assert server.damage(database)
    database.write_bytes(b"no database at all" * 1000)
    assert server.damage(database) == "file is not a database"


def test_a_folder_that_cannot_be_written_is_said_to_be_one(tmp_path: Path) -> None:
    assert server.no_room(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert server.no_room(tmp_path / "missing") == f"{tmp_path}/missing: No such file or directory"
    assert server.no_room(Path("/proc")) is not None
