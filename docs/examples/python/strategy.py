"""Prints each new scan as it comes, and says at once when there is none that may be acted upon. Ctrl-C ends it.

Scans come as they are published; one that is slow gets the newest, and `missed` says how many went by. That a scan is
too old is noticed also while Hazelcast hangs, by a clock that does not step.
"""

import os

from bridge.consumer import NoFreshScan, ScanConsumer, Settings

settings = Settings(
    members=[os.environ.get("HAZELCAST_MEMBER", "127.0.0.1:5701")],
    cluster_name=os.environ.get("HAZELCAST_CLUSTER", "dev"),
    max_age_s=float(os.environ.get("MAX_AGE_S", "30")),
)
with ScanConsumer(settings) as consumer:
    scans = consumer.follow()
    while True:
        try:
            scan = next(scans)
        except NoFreshScan as reason:  # NoScan, Stale or Unreachable: once, until there is a fresh one again
            print(f"hands off: {reason}")
        except KeyboardInterrupt:
            break
        else:
            print(scan.provenance.sequence, scan.provenance.source, scan.table.num_rows, scan.missed)
