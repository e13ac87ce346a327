"""The stage that keeps the connection to Hazelcast: opens it, waits until it is lost, opens it anew, for ever.

Never more than one attempt at a time, each within its deadline, with backoff and jitter between them.
"""

from __future__ import annotations

import asyncio
import logging

from bridge.cluster.connection import Cluster, ClusterError
from bridge.service.discovery import Discovery
from bridge.service.metrics import Metrics
from bridge.service.pipeline import Pipeline
from bridge.system.backoff import Backoff

log = logging.getLogger(__name__)


class Connector:
    """Connects, and tells the stages that have to begin anew with each connection."""

    def __init__(self, cluster: Cluster, pipeline: Pipeline, discovery: Discovery, metrics: Metrics) -> None:
        self._cluster = cluster
        self._pipeline = pipeline
        self._discovery = discovery
        self._metrics = metrics
        self.attempted = asyncio.Event()  # set once a first attempt has ended, well or not
        self.begin_anew()

    def begin_anew(self) -> None:
        """The cluster is another one now, or the way to it."""
        self._backoff = Backoff(log, f"connecting to Hazelcast {self._cluster.address}")
        self._was_connected = False
        self.attempted.clear()

    async def step(self, longest_wait_s: float) -> None:
        """Connect if there is no connection, else wait until it is lost."""
        if self._cluster.connected:
            try:
                async with asyncio.timeout(longest_wait_s):
                    await self._cluster.lost.wait()
            except TimeoutError:
                return
            log.warning("Hazelcast connection lost: %s", self._cluster.address)
        try:
            await self._cluster.connect()
        except ClusterError as error:
            self.attempted.set()
            await asyncio.sleep(self._backoff.failed(str(error)))
            return
        self._backoff.succeeded()
        log.info("Hazelcast connected: %s", self._cluster.address)
        self._metrics.reconnects += self._was_connected
        self._was_connected = True
        self.attempted.set()
        self._pipeline.ask_the_map()
        self._discovery.list_soon(forget=True)
