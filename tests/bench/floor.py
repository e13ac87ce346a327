"""A child process: the floor of the lag. One inotify wake-up, then a bare `set` of bytes that are already in memory; or
a bare compare-and-set, which the bridge's promises cost by themselves.

`python -m bench.floor ADDRESS CLUSTER MAP KEY FOLDER SIZE CALL`: nothing is read, validated, ordered, logged or
reported. When it is behind it takes the newest scan only, as the bridge does.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys

from hazelcast.asyncio import HazelcastClient

from bench.scans import Template, number_of

IN_NONBLOCK, IN_MOVED_TO = 0x800, 0x80


async def run(address: str, cluster: str, map_name: str, key: str, folder: str, size: int, call: str) -> None:
    """`set` or `replace` until killed."""
    client = await HazelcastClient.create_and_start(
        cluster_members=[address],
        cluster_name=cluster,
    )
    map_ = await client.get_map(map_name)
    template = Template(size)
    libc = ctypes.CDLL(None)
    inotify = libc.inotify_init1(IN_NONBLOCK)
    assert libc.inotify_add_watch(inotify, os.fsencode(folder), IN_MOVED_TO) >= 0
    newest, woken = 0, asyncio.Event()

    def on_events() -> None:
        nonlocal newest
        # An event is 16 bytes and the name, padded with zeros; all names here are of one length.
        events = os.read(inotify, 1 << 20)
        newest = number_of(events[events.rindex(b"scan_") :].rstrip(b"\0").decode())
        woken.set()

    asyncio.get_running_loop().add_reader(inotify, on_events)
    old = bytearray(template.numbered(0))
    await map_.set(key, old)
    while True:
        await woken.wait()
        woken.clear()
        if call == "set":
            await map_.set(key, template.numbered(newest))
        else:
            new = bytearray(template.numbered(newest))
            assert await map_.replace_if_same(key, old, new)
            old = new


if __name__ == "__main__":
    *names, size_, call_ = sys.argv[1:]
    asyncio.run(run(*names, int(size_), call_))
