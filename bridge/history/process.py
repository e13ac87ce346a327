"""The process of the history. The bridge starts it, hands over its configuration and what was closed, and hears it.

It ends with the bridge: when the pipe from it does. Nothing else ends it but a fault of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import NoReturn

from bridge.cluster.connection import Cluster
from bridge.config import Config
from bridge.history.keeper import Keeper
from bridge.model.history import HistoryMessage, to_line
from bridge.system import journal
from bridge.system.malloc import keep_freed_memory

# The newest scan comes first, also for the processor. (The shipped unit does not allow to ask for it.)
NICENESS = 10
STATUS_S = 1.0


async def _serve() -> NoReturn:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # the Hazelcast client leaves failed calls behind
    lines = asyncio.StreamReader(limit=1_000_000)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    config = Config.model_validate_json(await lines.readline())
    journal.set_up(config.log.level)
    cluster = Cluster(config.hazelcast, f"scan-bridge {config.status.instance} history")
    keeper = Keeper(config, cluster, _tell)
    stages = [keeper.connect(), keeper.run(), _listen(lines, keeper), _report(keeper)]
    tasks = [asyncio.create_task(stage) for stage in stages]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()  # raises what it died of
    await cluster.close()
    os._exit(0)  # a thread that hangs in a disk read must not keep it


async def _listen(lines: asyncio.StreamReader, keeper: Keeper) -> None:
    """Hear of files that were closed, until the bridge ends."""
    while line := await lines.readline():
        keeper.closed(json.loads(line))


async def _report(keeper: Keeper) -> None:
    while True:
        _tell(keeper.status())
        await asyncio.sleep(STATUS_S)


def _tell(message: HistoryMessage) -> None:
    with contextlib.suppress(BrokenPipeError):  # then the other pipe ends too
        os.write(sys.stdout.fileno(), to_line(message))


def serve() -> None:
    """Run until the bridge ends."""
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    keep_freed_memory()
    asyncio.run(_serve())
