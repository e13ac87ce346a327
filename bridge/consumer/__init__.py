"""What a strategy imports: the newest scan, guarded against staleness, and every scan of the last hours.

    from bridge.consumer import ScanConsumer, Settings

    with ScanConsumer(Settings(members=["10.0.0.5:5701"], cluster_name="prod", max_age_s=30)) as consumer:
        scan = consumer.newest()

It imports hazelcast, pyarrow and the standard library, nothing else, and it never writes to Hazelcast.
"""

from bridge.consumer.consumer import ScanConsumer
from bridge.consumer.errors import Closed, ConsumerError, NoFreshScan, NoScan, Stale, StaleCause, Unreachable
from bridge.consumer.follower import Follower
from bridge.consumer.history import History
from bridge.consumer.scan import Scan
from bridge.consumer.settings import Settings

__all__ = [
    "Closed",
    "ConsumerError",
    "Follower",
    "History",
    "NoFreshScan",
    "NoScan",
    "Scan",
    "ScanConsumer",
    "Settings",
    "Stale",
    "StaleCause",
    "Unreachable",
]
