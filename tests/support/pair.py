"""Two bridges for the same scans, each with its own copy of the folder and its own line to Hazelcast; and their faults.

A producer lands each scan in both copies with one modification time. A consumer records every value that the map ever
has, and when. A fault is ended only once the consumer has seen a scan that landed in the midst of it.
"""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import hazelcast
from support.bridge_process import BridgeProcess, Consumer, Seen, Target, day, eventually, land, scan
from support.hazelcast_member import Member, free_port
from support.relay import Relay

Fault = Literal["kill", "freeze", "cut", "unmount"]
FAULTS: tuple[Fault, ...] = ("kill", "freeze", "cut", "unmount")
INTERVAL_S = 0.1


def member_behind_relays() -> Member:
    """A member that tells its clients of an address where nobody listens, so that they keep to their relays."""
    return Member(java_options=(f"-Dhazelcast.local.publicAddress=127.0.0.1:{free_port()}",))


@dataclass(frozen=True)
class Landed:
    """A scan that a producer put in place."""

    path: str
    mtime_ns: int
    at_s: float  # by the steady clock


@dataclass
class Record:
    """What the consumer saw, and when."""

    arrived: list[tuple[float, Seen]] = field(default_factory=list)
    landed: list[Landed] = field(default_factory=list)

    def waits_ms(self) -> list[float]:
        """For each scan that landed, how long until the map held it or a newer one."""
        waits, arrivals = [], iter(self.arrived)
        at_s, held = next(arrivals)
        for one in self.landed:
            while held.key < (one.mtime_ns, one.path):
                at_s, held = next(arrivals)
            waits.append(max(0.0, at_s - one.at_s) * 1000)
        return waits


class RecordingConsumer(Consumer):
    """Keeps when each value came, too."""

    def __init__(self, client: hazelcast.HazelcastClient, map_name: str) -> None:
        self.at_s: list[float] = []
        super().__init__(client, map_name)

    def _take(self, event: Any) -> None:
        now_s = time.monotonic()
        super()._take(event)
        if len(self.seen) > len(self.at_s):
            self.at_s.append(now_s)


class Side:
    """One of the two: a bridge, its copy of the folder, its line to Hazelcast."""

    def __init__(self, name: str, folder: Path, member: Member, **source: Any) -> None:
        self.relay = Relay(member.port)
        self.relay.open()
        self.scans = folder / f"{name}-scans"  # where its producer writes
        self.scans.mkdir()
        target = Target(self.relay.address, member.cluster_name, "pair")
        self.bridge = BridgeProcess(
            folder / name,
            target,
            root=folder / f"{name}-root",
            source=source,
            hazelcast={"heartbeat_timeout_s": 1.0, "call_timeout_s": 1.0, "connect_timeout_s": 1.0},
        )
        self._mount()
        self.bridge.start()

    def _mount(self) -> None:
        self.bridge.root.symlink_to(self.scans)

    def begin(self, fault: Fault) -> None:
        """Something happens to it."""
        match fault:
            case "kill":
                self.bridge.kill()
            case "freeze":
                self.bridge.send(signal.SIGSTOP)
            case "cut":
                self.relay.shut()
            case "unmount":
                self.bridge.root.unlink()

    def end(self, fault: Fault) -> None:
        """As before."""
        match fault:
            case "kill":
                self.bridge.start()
            case "freeze":
                self.bridge.send(signal.SIGCONT)
            case "cut":
                self.relay.open()
            case "unmount":
                self._mount()

    def close(self) -> None:
        """Gone."""
        self.bridge.close()
        self.relay.shut()


class Pair:
    """Both sides, and the producer that feeds them until the end."""

    rows = 20  # of each scan

    def __init__(self, folder: Path, member: Member, client: hazelcast.HazelcastClient, standby_s: float) -> None:
        self._statuses = client.get_map("pair_status").blocking()
        self.consumer = RecordingConsumer(client, "pair")
        self.active = Side("active", folder, member)
        self.standby = Side("standby", folder, member, standby_s=standby_s)
        self.sides = (self.active, self.standby)
        self.takeovers: list[tuple[float, float]] = []  # when a side began and ceased to suffer that published before
        self._landed: list[Landed] = []
        self._end = threading.Event()
        self._producer = threading.Thread(target=self._produce, daemon=True)

    @contextmanager
    def producing(self) -> Iterator[None]:
        """Scans arrive meanwhile; the last of them is in the map afterwards."""
        self._producer.start()
        try:
            yield
        finally:
            self._end.set()
            self._producer.join()
        self.wait_seen(lambda: self._landed[-1])

    def _produce(self) -> None:
        for number in itertools.count():
            path = f"{day()}/{number:06}.arrow"
            content = scan(path, self.rows)
            mtime_ns, at_s = time.time_ns(), time.monotonic()
            for side in self.sides:
                land(side.scans, path, content, mtime_ns)
            self._landed.append(Landed(path, mtime_ns, at_s))
            if self._end.wait(INTERVAL_S):
                return

    def wait_seen(self, which: Callable[[], Landed]) -> None:
        """Wait until the consumer has seen this scan or a newer one."""
        one = which()
        eventually(
            lambda: (
                self.consumer.faults or (self.consumer.seen and self.consumer.seen[-1].key >= (one.mtime_ns, one.path))
            ),
            lambda: f"{one.path} in the map; last: {self.consumer.sources[-1:]}",
        )
        assert not self.consumer.faults

    def suffer(self, fault: Fault, side: Side) -> None:
        """A fault of one side, until scans flow by the other, and then until that side is whole again."""
        was_active = self.publishes(side)
        began_s = time.monotonic()
        side.begin(fault)
        began = len(self._landed)
        eventually(lambda: len(self._landed) > began + 3, "scans land meanwhile")
        self.wait_seen(lambda: self._landed[-1])
        if was_active:
            self.takeovers.append((began_s, time.monotonic()))
        side.end(fault)
        healed_ns = time.time_ns()
        eventually(
            lambda: self._sees(side, healed_ns),
            lambda: f"{side.bridge.folder.name} is back\n{side.bridge.log()[-2000:]}",
        )

    def publishes(self, side: Side) -> bool:
        """Whether what the map holds is of this side."""
        return (
            bool(self.consumer.seen)
            and self.consumer.seen[-1].metadata["scan_bridge.bridge"] == side.bridge.folder.name
        )

    def takeovers_ms(self) -> list[float]:
        """For each fault of the side that published: the longest wait for a scan that landed in it."""
        record = self.record()
        waits = list(zip(record.landed, record.waits_ms(), strict=True))
        return [
            max((wait for one, wait in waits if began_s <= one.at_s <= ended_s), default=0.0)
            for began_s, ended_s in self.takeovers
        ]

    def _sees(self, side: Side, since_ns: int) -> bool:
        """Whether it has said, since then, that it sees its folder: what it knows of is young."""
        status = self._statuses.get(side.bridge.folder.name)
        newest = status and status.loads().get("newest")
        return bool(newest and newest["mtime_ns"] > since_ns)

    def record(self) -> Record:
        """All that landed, and all that was seen."""
        return Record(list(zip(self.consumer.at_s, self.consumer.seen, strict=True)), list(self._landed))

    def close(self) -> None:
        """Everything of it is gone."""
        for side in self.sides:
            side.close()
        self.consumer.close()


def quantile(values: list[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
