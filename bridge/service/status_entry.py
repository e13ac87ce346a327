"""Where this bridge says how it is: its entry in the status map, and whether another bridge claims the same name.

Two of one name must not write over each other: then each would be taken for the other. The one that started later steps
aside to a key of its own, and comes back when the name is free.
"""

from __future__ import annotations

import logging

from hazelcast.core import HazelcastJsonValue

from bridge.cluster import status_map
from bridge.cluster.connection import Cluster
from bridge.config import Config
from bridge.model.status import BridgeStatus

log = logging.getLogger(__name__)


class StatusEntry:
    """This bridge's entry in the status map."""

    def __init__(self, config: Config, cluster: Cluster) -> None:
        self._cluster = cluster
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Go on with another configuration."""
        self._config = config.hazelcast
        self._instance = config.status.instance
        self._key = self._instance
        self._written = False
        self._told_of: str | None = None

    async def write(self, status: BridgeStatus, value: HazelcastJsonValue) -> None:
        """Say how this bridge is; `value` is the same as JSON. Raises ClusterError."""
        if self._key != self._instance:
            await self._return_if_free(status)
        before = await status_map.write(self._cluster, self._config, self._key, value)
        # What stood there at the first write may be of the process before, or of one that is long dead.
        if self._written and before is not None and not before.is_same_process(status):
            self._claimed(status, before)
        self._written = True

    def _claimed(self, ours: BridgeStatus, other: BridgeStatus) -> None:
        where = f"{other.host} (pid {other.pid})"
        if self._told_of != where:
            self._told_of = where
            log.error(
                "a bridge on %s calls itself %s too: give each its own status.instance, or end one of them",
                where, self._instance,
            )  # fmt: skip
        if (ours.started_at, ours.host, ours.pid) > (other.started_at, other.host, other.pid):
            self._key = f"{self._instance}@{ours.host}"
            if ours.host == other.host:
                self._key += f"-{ours.pid}"

    async def _return_if_free(self, status: BridgeStatus) -> None:
        holder = await status_map.read_one(self._cluster, self._config, self._instance)
        if holder is not None and not holder.is_same_process(status) and holder.is_alive(status.heartbeat_at):
            return
        spare, self._key, self._written, self._told_of = self._key, self._instance, False, None
        log.warning("the name %s is free again", self._instance)
        await status_map.remove(self._cluster, self._config, spare)
