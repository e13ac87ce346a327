"""From a value on its way to the code of a strategy: `bridge.consumer` against a bare listener, in turns.

Also the child process: `python -m bench.consumers KIND ADDRESS CLUSTER MAP` writes a line `SEQUENCE MONOTONIC_NS` for
each value, once its table is open.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hazelcast
import pyarrow as pa
from support import process
from support.hazelcast_member import Member

from bench.processes import KEY
from bench.scans import Template
from bridge.arrow.scan import parse
from bridge.consumer import Scan, ScanConsumer, Settings
from bridge.model.provenance import Provenance

KINDS = ("bare listener", "bridge.consumer")
WARM_UP = 50
READY_S = 60.0
PAUSE_S = 0.05


def lags_ms(
    member: Member, client: hazelcast.HazelcastClient, template: Template, scans: int
) -> dict[str, list[float]]:
    """By kind, from just before the `set` to the strategy's code."""
    scan = parse(template.numbered(1), 1 << 30)
    with _reading(member, KINDS[0]) as bare, _reading(member, KINDS[1]) as consumer:
        found: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for sequence in range(1, WARM_UP + scans + 1):
            for kind, reader in zip(KINDS, (bare, consumer), strict=True):
                now_ns = time.time_ns()
                provenance = Provenance(f"2026-03-24/{sequence}.arrow", now_ns, 1, sequence, now_ns, "bench")
                value = bytearray(b"".join(scan.with_metadata(provenance.to_metadata())))
                sent_ns = time.monotonic_ns()
                client.get_map(kind).set(KEY, value).result()
                seen_ns = reader.wait(sequence)
                if sequence > WARM_UP:
                    found[kind].append((seen_ns - sent_ns) / 1e6)
                time.sleep(PAUSE_S)
        return found


class _Reader:
    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._seen: dict[int, int] = {}
        self._news = threading.Condition()
        threading.Thread(target=self._follow, daemon=True).start()

    def wait(self, sequence: int) -> int:
        """When (monotonic ns) the strategy's code had this value."""
        with self._news:
            if not self._news.wait_for(lambda: sequence in self._seen, READY_S):
                raise TimeoutError(f"value {sequence} not seen in {READY_S:g} s")
            return self._seen[sequence]

    def _follow(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            sequence, at_ns = map(int, line.split())
            with self._news:
                self._seen.setdefault(sequence, at_ns)
                self._news.notify_all()


@contextmanager
def _reading(member: Member, kind: str) -> Iterator[_Reader]:
    command = [sys.executable, "-P", "-m", "bench.consumers", kind, member.address, member.cluster_name, kind]
    with process.start(command, env=os.environ, stdout=subprocess.PIPE, stderr=None) as child:
        try:
            reader = _Reader(child)
            reader.wait(0)
            yield reader
        finally:
            child.kill()


def _handle(sequence: int) -> None:
    os.write(1, b"%d %d\n" % (sequence, time.monotonic_ns()))


def _listen(address: str, cluster: str, map_name: str) -> None:
    def seen(event: Any) -> None:
        table = pa.ipc.open_stream(pa.py_buffer(event.value)).read_all()
        _handle(int(table.schema.metadata[b"scan_bridge.sequence"]))

    client = hazelcast.HazelcastClient(cluster_members=[address], cluster_name=cluster)
    scans = client.get_map(map_name).blocking()
    scans.add_entry_listener(include_value=True, key=KEY, added_func=seen, updated_func=seen)
    _handle(0)
    threading.Event().wait()


def _consume(address: str, cluster: str, map_name: str) -> None:
    def seen(scan: Scan) -> None:
        assert scan.table.num_rows
        _handle(scan.provenance.sequence)

    settings = Settings(members=[address], cluster_name=cluster, map=map_name)
    with ScanConsumer(settings, on_scan=seen) as consumer:
        consumer.stale.wait(READY_S)  # it has been told that there is none yet
        _handle(0)
        threading.Event().wait()


if __name__ == "__main__":
    {KINDS[0]: _listen, KINDS[1]: _consume}[sys.argv[1]](*sys.argv[2:])
