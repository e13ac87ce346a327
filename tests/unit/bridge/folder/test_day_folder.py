"""One day folder: what is new in it, and when its times are enough to know that nothing is.

The folder is real; what `stat` says of it, and the time, are given: so its times can stand still while it changes.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.folder.day_folder import RACY_S, DayFolder
from bridge.folder.file_system import FileStat, stat_file


class Folder:
    """A real day folder, and its listing."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.path = path
        self.info = stat_file(path)
        self.now_s = 1000.0
        self.progressed = 0
        self.day = DayFolder(path, self.info, self._progress)

    def _progress(self) -> None:
        self.progressed += 1

    def put(self, name: str) -> None:
        (self.path / name).write_bytes(b"scan")

    def new(self, info: FileStat | None = None, *, trust_times: bool = True, forget: bool = False) -> list[str]:
        """The names that a listing finds, with the folder's times as they were at first, or these."""
        files = self.day.list_new(info or self.info, self.now_s, trust_times=trust_times, forget=forget)
        return sorted(file.path for file in files)

    def times_known_for(self, seconds: float) -> None:
        """As if the folder's times had been seen so long ago, and it had been listed since."""
        self.new()
        self.now_s += seconds
        self.new()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "2026-03-24")


def test_a_scan_that_comes_while_the_folders_times_stand_still_is_found(folder: Folder) -> None:
    folder.times_known_for(3600)
    folder.put("a.arrow")
    assert folder.new(trust_times=False) == ["2026-03-24/a.arrow"]
    assert folder.new(trust_times=False) == []
    folder.put("b.arrow")
    assert folder.new(trust_times=False) == ["2026-03-24/b.arrow"]


def test_a_folder_with_trusted_times_is_not_listed_again_while_they_stand_still(folder: Folder) -> None:
    folder.times_known_for(RACY_S)
    progressed = folder.progressed
    folder.put("a.arrow")
    assert folder.new() == []
    assert folder.progressed == progressed
    assert folder.new(folder.info._replace(mtime_ns=folder.info.mtime_ns + 1)) == ["2026-03-24/a.arrow"]


def test_a_folder_whose_mtime_was_set_back_is_listed_again(folder: Folder) -> None:
    folder.times_known_for(RACY_S)
    folder.put("a.arrow")
    assert folder.new(folder.info._replace(ctime_ns=folder.info.ctime_ns + 1)) == ["2026-03-24/a.arrow"]


@pytest.mark.parametrize("server_ahead_s", [-3600, 0, 3600])
def test_what_comes_within_one_tick_of_the_folders_times_is_found_whatever_the_servers_clock(
    folder: Folder, server_ahead_s: int
) -> None:
    shift_ns = server_ahead_s * 10**9
    at = folder.info
    folder.info = at._replace(mtime_ns=at.mtime_ns + shift_ns, ctime_ns=at.ctime_ns + shift_ns)
    folder.times_known_for(RACY_S - 0.1)
    folder.put("a.arrow")
    assert folder.new() == ["2026-03-24/a.arrow"]


def test_times_that_stood_still_though_something_came_are_found_out(folder: Folder) -> None:
    folder.times_known_for(RACY_S)
    folder.put("a.arrow")
    assert folder.new() == []
    assert not folder.day.times_lie
    assert folder.new(forget=True) == ["2026-03-24/a.arrow"]
    assert folder.day.times_lie


def test_times_that_stand_still_while_nothing_comes_are_no_lie(folder: Folder) -> None:
    folder.put("a.arrow")
    folder.times_known_for(RACY_S)
    assert folder.new(forget=True) == ["2026-03-24/a.arrow"]
    assert folder.new(forget=True) == ["2026-03-24/a.arrow"]
    assert not folder.day.times_lie


def test_a_scan_renamed_over_an_old_name_is_new(folder: Folder) -> None:
    folder.put("a.arrow")
    folder.new(trust_times=False)
    folder.put(".a.tmp")
    os.replace(folder.path / ".a.tmp", folder.path / "a.arrow")
    assert folder.new(trust_times=False) == ["2026-03-24/a.arrow"]


def test_a_listing_that_was_not_finished_loses_nothing(folder: Folder) -> None:
    for number in range(3):
        folder.put(f"{number}.arrow")
    next(folder.day.list_new(folder.info, folder.now_s, trust_times=True, forget=False))
    assert len(folder.new()) == 3


def test_another_folder_in_its_place_is_told_apart(folder: Folder) -> None:
    assert folder.day.is_at(stat_file(folder.path))
    folder.path.rename(folder.path.with_name("aside"))
    folder.path.mkdir()
    assert not folder.day.is_at(stat_file(folder.path))
