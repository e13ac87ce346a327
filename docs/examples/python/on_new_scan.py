"""Prints each new scan as it comes, and says when the newest one is too old. Ctrl-C ends it.

An event only makes it ask for the value: so what is handled is always the newest scan, however many came meanwhile,
and an event that got lost (the connection broke) costs at most LOOK_S. Nothing in here waits for Hazelcast: that a
scan is too old is noticed also while Hazelcast hangs.
"""

import os
import queue
import time

import hazelcast
import pyarrow as pa

MAX_AGE_S = 30.0  # an older scan is not to be used
LOOK_S = 1.0  # ask at least this often

client = hazelcast.HazelcastClient(
    cluster_members=[os.environ.get("HAZELCAST_MEMBER", "127.0.0.1:5701")],
    cluster_name=os.environ.get("HAZELCAST_CLUSTER", "dev"),
    invocation_timeout=5.0,  # not two minutes
)
scans = client.get_map("scan_bridge")  # without .blocking(): calls return a future
answers = queue.SimpleQueue()


def ask(event=None):
    """Called by the client's own thread, too, which must never be held up."""
    scans.get("latest_eigen_scan").add_done_callback(answers.put)


def handle(scan):
    """Your strategy."""
    metadata = scan.schema.metadata
    print(metadata[b"scan_bridge.sequence"].decode(), metadata[b"scan_bridge.source"].decode(), scan.num_rows)


scans.add_entry_listener(include_value=False, key="latest_eigen_scan", added_func=ask, updated_func=ask).result()
ask()
handled, written_s, usable = None, 0.0, True
try:
    while True:
        try:
            value = answers.get(timeout=LOOK_S).result()
            if value is not None:
                scan = pa.ipc.open_stream(pa.py_buffer(value)).read_all()
                sequence = int(scan.schema.metadata[b"scan_bridge.sequence"])
                if sequence != handled:
                    handle(scan)
                    handled, written_s = sequence, int(scan.schema.metadata[b"scan_bridge.mtime_ns"]) / 1e9
        except queue.Empty:
            ask()
        except hazelcast.errors.HazelcastError as error:
            print(f"no answer: {error}")
        age_s = time.time() - written_s
        if usable and age_s > MAX_AGE_S:
            print(f"stale: the newest scan is {age_s:.1f} s old" if handled else "no scan yet")
        usable = age_s <= MAX_AGE_S
except KeyboardInterrupt:
    client.shutdown()
