import os

import hazelcast
import pyarrow as pa

client = hazelcast.HazelcastClient(
    cluster_members=[os.environ.get("HAZELCAST_MEMBER", "127.0.0.1:5701")],
    cluster_name=os.environ.get("HAZELCAST_CLUSTER", "dev"),
)
value = client.get_map("scan_bridge").blocking().get("latest_eigen_scan")
client.shutdown()
if value is None:
    raise SystemExit("no scan yet")
scan = pa.ipc.open_stream(pa.py_buffer(value)).read_all()
print(scan.schema.metadata[b"scan_bridge.source"].decode(), scan.num_rows)
