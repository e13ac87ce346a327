"""`python -m bench.clients`: the two clients of hazelcast-python-client side by side, the threaded and the asyncio one.

On one member, each in a process of its own, in turn: CPU while connected and idle, and the time of a `set` and of a
`replace_if_same` of a 100 kB value.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import hazelcast
from hazelcast.asyncio import HazelcastClient
from rich.console import Console
from support.hazelcast_member import Member

from bench import tables
from bench.plan import KB
from bench.quantiles import quantiles
from bench.scans import Template

WARM_UP, CALLS = 1500, 2000
IDLE_S = 30.0
TURNS = ("asyncio", "threaded") * 2

Call = Callable[..., Awaitable[Any]]


async def threaded(address: str, cluster: str) -> tuple[Call, Call]:
    """`set` and `replace_if_same` of the threaded client; each waits for its own result and blocks meanwhile."""
    map_ = hazelcast.HazelcastClient(cluster_members=[address], cluster_name=cluster).get_map("threaded")

    async def set_(*arguments: Any) -> Any:
        return map_.set(*arguments).result()

    async def replace_if_same(*arguments: Any) -> Any:
        return map_.replace_if_same(*arguments).result()

    return set_, replace_if_same


async def asyncio_(address: str, cluster: str) -> tuple[Call, Call]:
    """The same of the asyncio client."""
    client = await HazelcastClient.create_and_start(cluster_members=[address], cluster_name=cluster)
    map_ = await client.get_map("asyncio")
    return map_.set, map_.replace_if_same


async def measure(kind: str, address: str, cluster: str) -> dict[str, Any]:
    """One process' turn: idle CPU in percent of a core, and milliseconds of each call."""
    set_, replace_if_same = await (threaded if kind == "threaded" else asyncio_)(address, cluster)
    template = Template(100 * KB)
    old, new = bytearray(template.numbered(1)), bytearray(template.numbered(2))
    set_ms, replace_ms = [], []
    for _ in range(WARM_UP + CALLS):
        begin_s = time.perf_counter()
        await set_("k", old)
        between_s = time.perf_counter()
        assert await replace_if_same("k", old, new)
        set_ms.append(1e3 * (between_s - begin_s))
        replace_ms.append(1e3 * (time.perf_counter() - between_s))
    begin_s, begin_cpu_s = time.monotonic(), time.process_time()
    await asyncio.sleep(IDLE_S)
    idle = 100 * (time.process_time() - begin_cpu_s) / (time.monotonic() - begin_s)
    return {"idle": idle, "set": set_ms[WARM_UP:], "replace_if_same": replace_ms[WARM_UP:]}


def main() -> None:
    """A row for each turn and call."""
    member = Member()
    member.start()
    rows = []
    try:
        for kind in TURNS:
            command = [sys.executable, "-P", "-m", "bench.clients", kind, member.address, member.cluster_name]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, start_new_session=True)
            found = json.loads(done.stdout)
            for call in ("set", "replace_if_same"):
                row = {"client": kind, "idle CPU %": found["idle"], "call": call, **asdict(quantiles(found[call]))}
                rows.append(row)
    finally:
        member.close()
    Console().print(tables.rows_table("clients side by side, 100 kB values (ms)", rows))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(asyncio.run(measure(*sys.argv[1:]))), flush=True)
        os._exit(0)  # without waiting for the threads of a client
    main()
