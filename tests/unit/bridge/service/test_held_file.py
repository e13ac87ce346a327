"""The file of the held scan: which changes of it are told, and which newest file stands behind it."""

from __future__ import annotations

import pytest

from bridge.model.order import ScanFile
from bridge.model.provenance import Provenance
from bridge.service.held_file import HeldFile

S = 1_000_000_000
NOW = 1_774_339_200 * S
FILE = ScanFile(NOW, "2026-03-24/b.arrow", 100, NOW)
HELD = Provenance(FILE.path, FILE.mtime_ns, FILE.size, 7, NOW + 1, "bridge-1")

CHANGES = {
    "as it was": (FILE, False),
    "mode": (FILE._replace(ctime_ns=NOW + 5), True),  # or other content, and the time set back
    "older": (FILE._replace(mtime_ns=NOW - S, ctime_ns=NOW + 5), True),
    "another size": (FILE._replace(size=99, ctime_ns=NOW + 5), True),
    "newer": (FILE._replace(mtime_ns=NOW + S, ctime_ns=NOW + 5), False),  # the rule of order sees to that
    "another file": (FILE._replace(path="2026-03-24/a.arrow", size=99), False),
}


@pytest.mark.parametrize(("file", "told"), CHANGES.values(), ids=CHANGES)
def test_a_change_that_is_no_newer_scan_is_told(file: ScanFile, told: bool) -> None:
    held_file = HeldFile()
    held_file.same(FILE)
    assert held_file.changed(file, HELD) is told


@pytest.mark.parametrize(("file", "told"), CHANGES.values(), ids=CHANGES)
def test_of_a_scan_that_another_process_published_it_is_told_by_size_and_time(file: ScanFile, told: bool) -> None:
    for before in (None, ScanFile(NOW - S, "2026-03-24/a.arrow", 50, NOW - S)):
        held_file = HeldFile()
        if before:
            held_file.same(before)
        assert held_file.changed(file, HELD) is (told and file.ctime_ns == NOW + 5 and file != CHANGES["mode"][0])


def test_each_change_is_told_once() -> None:
    held_file = HeldFile()
    held_file.same(FILE)
    held_file.same(CHANGES["older"][0])
    assert not held_file.changed(CHANGES["older"][0], HELD)
    assert held_file.changed(CHANGES["another size"][0], HELD)


def test_where_the_map_holds_nothing_nothing_changed() -> None:
    assert not HeldFile().changed(FILE, None)


def test_behind_it_stands_the_newest_that_was_published_before_or_passed_over() -> None:
    held_file = HeldFile()
    first, second, third = (FILE._replace(mtime_ns=NOW + number, path=f"2026-03-24/{number}") for number in range(3))
    held_file.same(second)
    assert held_file.runner_up is None
    held_file.passed_over(first)
    assert held_file.runner_up == first
    held_file.same(third)
    assert held_file.runner_up == second
    held_file.same(third._replace(ctime_ns=NOW + 9))
    assert held_file.runner_up == second
