"""Never a gap, never a double, whatever happens: in the end the keys are the valid files, each value its file."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hazelcast
import pytest
from support.bridge_process import BridgeProcess, Target, day, eventually, land, scan
from support.hazelcast_member import Member
from support.history_map import HistoryMap

pytestmark = pytest.mark.hazelcast

SECOND_NS = 1_000_000_000
KEEP_S = 7200.0
FILES = 2000
EVENTS = 40
MAP = "kept"
# Looks often, so that the end comes soon.
SOURCE = {"rescan_s": 0.5, "settle_s": 0.3, "quiet_s": 0.1}


class Chaos:
    """A producer, two bridges and a member, and what befalls them. The seed decides in which order."""

    def __init__(self, seed: int, member: Member, bridges: list[BridgeProcess]) -> None:
        self._random = random.Random(seed)
        self._member = member
        self._bridges = bridges
        self._root = bridges[0].root
        self._numbers = 0
        self._paths: list[str] = []
        self._befalls: list[Callable[[], None]] = [
            self.kill_a_bridge,
            self.kill_a_history,
            self.freeze_a_history,
            self.freeze_the_member,
            self.lose_some_entries,
            self.lose_all_data,
        ]

    def run(self) -> None:
        """All of it."""
        for event in range(EVENTS):
            self.produce(FILES // EVENTS)
            # Whoever loses everything loses what is wrong too, so not at the end.
            befalls = self._befalls if event < EVENTS // 2 else self._befalls[:-1]
            self._random.choice(befalls)()
            if event % 10 == 9:  # or nothing would ever be kept that is rewritten or lost later
                self.let_them_catch_up()

    def end(self) -> None:
        """Both bridges run."""
        for bridge in self._bridges:
            if bridge.exit_code() is not None:
                bridge.kill()
                bridge.start(wait=False)

    # ---- the producer

    def produce(self, count: int) -> None:
        for _ in range(count):
            kind = self._random.random()
            if kind < 0.8 or not self._paths:
                self._land_new()
            elif kind < 0.9:
                self._rewrite()
            else:
                land(self._root, self._new_path("bad"), self._random.choice([b"", b"no scan", scan("cut")[:-20]]))

    def _land_new(self) -> None:
        late = self._random.random() < 0.2
        age_s = self._random.uniform(10, KEEP_S / 2) if late else 0
        where = day(-self._random.randrange(0, 40)) if late else day()
        path = self._new_path("scan", where)
        content = scan(path, self._random.randrange(0, 50), self._random.choice(["file", "stream"]))
        land(self._root, path, content, time.time_ns() - int(age_s * SECOND_NS) if late else None)
        self._paths.append(path)

    def _rewrite(self) -> None:
        """With other content: under the same time, an earlier or a later one."""
        path = self._random.choice(self._paths)
        before_ns = os.stat(self._root / path).st_mtime_ns
        mtime_ns = before_ns + self._random.choice([0, -SECOND_NS, SECOND_NS // 1000])
        land(self._root, path, scan(f"{path} again {self._numbers}"), mtime_ns)
        self._numbers += 1

    def _new_path(self, kind: str, where: str | None = None) -> str:
        self._numbers += 1
        return f"{where or day()}/{kind}-{self._numbers}.arrow"

    # ---- what befalls the others

    def let_them_catch_up(self) -> None:
        self.end()
        with plain(self._member) as client:
            kept = client.get_map(MAP).blocking()
            eventually(lambda: kept.size() >= len(self._paths), lambda: f"{kept.size()} of {len(self._paths)}", 300.0)

    def kill_a_bridge(self) -> None:
        bridge = self._random.choice(self._bridges)
        bridge.kill()
        self.produce(20)
        bridge.start(wait=False)

    def kill_a_history(self) -> None:
        for pid in children(self._random.choice(self._bridges)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze_a_history(self) -> None:
        for pid in children(self._random.choice(self._bridges)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.produce(20)
                os.kill(pid, signal.SIGCONT)

    def freeze_the_member(self) -> None:
        self._member.pause()
        self.produce(100)
        time.sleep(self._random.uniform(0, 3))
        self._member.resume()

    def lose_all_data(self) -> None:
        self._member.kill()
        self.produce(50)
        self._member.start()

    def lose_some_entries(self) -> None:
        """Nobody tells the bridges: only a comparison finds that."""
        with contextlib.suppress(Exception), plain(self._member) as client:
            kept = client.get_map(MAP).blocking()
            for key in self._random.sample(sorted(kept.key_set()), k=min(5, kept.size())):
                kept.delete(key)


def children(bridge: BridgeProcess) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/{bridge.pid}/task/{bridge.pid}/children").read_text().split()]
    return []


@contextlib.contextmanager
def plain(member: Member) -> Iterator[hazelcast.HazelcastClient]:
    client = hazelcast.HazelcastClient(cluster_members=[member.address], cluster_name=member.cluster_name)
    try:
        yield client
    finally:
        client.shutdown()


def test_never_a_gap_never_a_double_whatever_happens(
    own_member: Member, new_bridge: Callable[..., BridgeProcess]
) -> None:
    seed = random.randrange(10**6)  # another one with each run, the same with the same --randomly-seed
    print(f"seed {seed}")  # pytest shows it if the test fails
    target = Target(own_member.address, own_member.cluster_name, "newest")
    sections = {"source": SOURCE, "history": {"keep_s": KEEP_S, "map": MAP}, "hazelcast": {"call_timeout_s": 1.0}}
    first = new_bridge("first", target, **sections)
    second = new_bridge("second", target, root=first.root, **sections)
    chaos = Chaos(seed, own_member, [first.start(), second.start()])

    chaos.run()
    chaos.end()

    with plain(own_member) as client:
        # The last loss of an entry is found by the next comparison, a minute later at most.
        HistoryMap(client, MAP).wait_complete(first.root, deadline_s=300.0)
    for bridge in (first, second):
        eventually(lambda bridge=bridge: "history complete" in bridge.status_line(), bridge.status_line)
