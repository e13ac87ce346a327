"""A child process: what people do instead. A loop that looks at the folder now and then and sets the newest file.

`python -m bench.polling_loop ADDRESS CLUSTER MAP KEY FOLDER PERIOD_S`. It trusts names and does not validate.
"""

from __future__ import annotations

import os
import sys
import time

import hazelcast


def run(address: str, cluster: str, map_name: str, key: str, folder: str, period_s: float) -> None:
    """Loop until killed."""
    client = hazelcast.HazelcastClient(cluster_members=[address], cluster_name=cluster)
    map_ = client.get_map(map_name).blocking()
    last = ""
    while True:
        newest = max(os.listdir(folder), default="")
        if newest > last:
            last = newest
            with open(os.path.join(folder, newest), "rb") as file:
                map_.set(key, bytearray(file.read()))
        time.sleep(period_s)


if __name__ == "__main__":
    *names, period = sys.argv[1:]
    run(*names, float(period))
