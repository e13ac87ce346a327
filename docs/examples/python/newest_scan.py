import os

from bridge.consumer import ScanConsumer, Settings

settings = Settings(
    members=[os.environ.get("HAZELCAST_MEMBER", "127.0.0.1:5701")],
    cluster_name=os.environ.get("HAZELCAST_CLUSTER", "dev"),
    max_age_s=30,  # an older scan raises Stale, and says why there is none
)
with ScanConsumer(settings) as consumer:
    scan = consumer.newest()  # scan.table is a pyarrow.Table
    print(scan.provenance.source, scan.table.num_rows)
