"""Prints each new scan as it comes, and says when the newest one is too old. Ctrl-C ends it.

An event only wakes the loop, which then asks the map: so what is handled is always the newest scan, however many came
meanwhile, and an event that was lost (the connection broke) costs at most LOOK_S.
"""

import os
import threading
import time

import hazelcast
import pyarrow as pa

MAX_AGE_S = 30.0  # older than this, a scan is not to be traded on
LOOK_S = 1.0  # how often to look although nothing was heard

client = hazelcast.HazelcastClient(
    cluster_members=[os.environ.get("HAZELCAST_MEMBER", "127.0.0.1:5701")],
    cluster_name=os.environ.get("HAZELCAST_CLUSTER", "dev"),
)
scans = client.get_map("scan_bridge").blocking()
news = threading.Event()


def wake(event):
    news.set()  # in the client's own thread: never call the map here, it would wait for itself


scans.add_entry_listener(include_value=False, key="latest_eigen_scan", added_func=wake, updated_func=wake)
handled = mtime_ns = None
try:
    while True:
        value = scans.get("latest_eigen_scan")
        if value is not None:
            schema = pa.ipc.open_stream(pa.py_buffer(value)).schema
            sequence, mtime_ns = (int(schema.metadata[b"scan_bridge." + key]) for key in (b"sequence", b"mtime_ns"))
            if sequence != handled:
                scan = pa.ipc.open_stream(pa.py_buffer(value)).read_all()
                print(sequence, schema.metadata[b"scan_bridge.source"].decode(), scan.num_rows, flush=True)
                handled = sequence
        age_s = time.time() - mtime_ns / 1e9 if mtime_ns else float("inf")
        if age_s > MAX_AGE_S:
            print(f"stale: the newest scan is {age_s:.1f} s old", flush=True)
        news.wait(LOOK_S)
        news.clear()
except KeyboardInterrupt:
    pass
finally:
    client.shutdown()
