"""When a file counts, as a property: whatever writers, events and looks do, none counts while it is being written.

A world of files, their writers and a file server with a clock of its own; the backlog hears of it as the bridge does:
some events are lost, looks come at any time. What it hands out is compared with what the writers really did.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bridge.model.order import ScanFile
from bridge.service.backlog import LAST_RETRY_S, Backlog

S = 1_000_000_000
QUIET_S = 0.25
SETTLE_S = 2.0
paths = st.sampled_from(["2026-03-24/a.arrow", "2026-03-24/b.arrow"])


@dataclass
class OnDisk:
    """A file, and the truth about its writers."""

    stat: ScanFile
    written_s: float
    announced: bool = False  # closed after the last write, and the bridge was told


class OnlyWholeFilesCount(RuleBasedStateMachine):
    """Each scan handed out is either one whose writer was done, or one that was quiet for QUIET_S, in real time."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(max_future_s=1e9, settle_s=SETTLE_S, quiet_s=QUIET_S)
        self.now_s = 1000.0
        self.server_ahead_s = 0.0
        self.ticks = 0
        self.disk: dict[str, OnDisk] = {}

    @property
    def now_ns(self) -> int:
        return int(self.now_s * S)

    def server_ns(self) -> int:
        """The server's clock: wrong by any amount, but no two changes within one tick of it."""
        self.ticks += 1
        return int((self.now_s + self.server_ahead_s) * S) + self.ticks

    @rule(ahead_s=st.sampled_from([-3600.0, -5.0, 5.0, 3600.0]))
    @precondition(lambda self: not self.disk)
    def the_server_has_another_clock(self, ahead_s: float) -> None:
        self.server_ahead_s = ahead_s

    @rule(path=paths, size=st.integers(1, 2))
    def write(self, path: str, size: int) -> None:
        """Any writer, in place, a piece; often the size stays (it was set first), so only the times tell."""
        at_ns = self.server_ns()
        self.disk[path] = OnDisk(ScanFile(at_ns, path, size, at_ns), self.now_s)

    @rule(path=paths, heard=st.booleans())
    def close(self, path: str, heard: bool) -> None:
        """The writer closes the file, or it is renamed into place; the event may be lost."""
        if (file := self.disk.get(path)) and heard:
            file.announced = True
            self.backlog.offer(file.stat, self.now_s, self.now_ns, writer_done=True)

    @rule(path=paths, back=st.booleans())
    def touch(self, path: str, back: bool) -> None:
        """Mode or owner are set, or the time is set back."""
        if file := self.disk.get(path):
            file.stat = file.stat._replace(ctime_ns=self.server_ns(), mtime_ns=file.stat.mtime_ns - back * S)

    @rule(path=paths)
    def look(self, path: str) -> None:
        """A listing, an event of creation, or the look at a file that changed lately."""
        if file := self.disk.get(path):
            self.backlog.offer(file.stat, self.now_s, self.now_ns)

    @rule(seconds=st.sampled_from([0.01, 0.1, QUIET_S, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(valid=st.booleans())
    def read_the_next(self, valid: bool) -> None:
        waiting = self.backlog.next(self.now_s, self.now_ns)
        if waiting is None:
            return
        file = self.disk[waiting.file.path]
        if (file.stat.size, file.stat.mtime_ns) != (waiting.file.size, waiting.file.mtime_ns):
            self.backlog.changed(waiting, file.stat, self.now_s, self.now_ns)
            return
        assert file.announced or self.now_s - file.written_s >= QUIET_S - 1e-6, "it may still be being written"
        if valid:
            self.backlog.drop(waiting.file)
        elif not self.backlog.retry_later(waiting, self.now_s):
            self.backlog.settle(waiting.file)

    def teardown(self) -> None:
        """Once the writers are done, everything known gets its turn as soon as it was quiet."""
        end_s = self.now_s + 2 * (QUIET_S + LAST_RETRY_S)  # found to have changed, quiet, and some
        while len(self.backlog):
            self.now_s += self.backlog.due_in_s(self.now_s) or 0.0
            assert self.now_s <= end_s
            self.read_the_next(valid=True)


TestOnlyWholeFilesCount = pytest.mark.exhaustive(OnlyWholeFilesCount.TestCase)
TestOnlyWholeFilesCount.settings = settings(max_examples=200, stateful_step_count=30)
