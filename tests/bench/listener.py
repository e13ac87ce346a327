"""A child process: the independent client that sees new values. The same one for everything that is measured.

`python -m bench.listener ADDRESS CLUSTER MAP…` writes a line `MAP NUMBER MONOTONIC_NS` for each new value.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from typing import Any

from hazelcast.asyncio import HazelcastClient

from bench.scans import number_in


async def listen(address: str, cluster: str, maps: list[str]) -> None:
    """Listen until killed."""
    client = await HazelcastClient.create_and_start(cluster_members=[address], cluster_name=cluster)

    def seen(name: bytes, event: Any) -> None:
        now_ns = time.monotonic_ns()
        if number := number_in(event.value):
            os.write(1, b"%s %d %d\n" % (name, number, now_ns))

    for name in maps:
        map_ = await client.get_map(name)
        on_value = partial(seen, name.encode())
        await map_.add_entry_listener(include_value=True, added_func=on_value, updated_func=on_value)
    os.write(1, b"ready 0 0\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(listen(sys.argv[1], sys.argv[2], sys.argv[3:]))
