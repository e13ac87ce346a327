"""Looking at a real folder: what counts, what is new, what cannot be had, and what a listing costs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType

import pytest
from support.mounts import bound, object_store

from bridge.folder import day_folder, file_system
from bridge.folder import listing as module
from bridge.folder.day_folder import is_scan_name
from bridge.folder.listing import Listing, ScanRoot, is_day_name, newest_days, stat_scan
from bridge.model.order import OrderKey, ScanFile

DAYS = 2
TODAY = datetime.now(UTC).date()  # once: midnight must not fall into a test
WithoutRoot = Callable[[], AbstractContextManager[None]]


def day(offset: int = 0) -> str:
    return (TODAY + timedelta(days=offset)).isoformat()


def write(root: Path, path: str, content: bytes = b"scan", mtime_ns: int | None = None) -> ScanFile:
    file = root / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    if mtime_ns is not None:
        os.utime(file, ns=(mtime_ns, mtime_ns))
    return stat_scan(root, path)


def make_old(folder: Path, seconds: int = 3600) -> None:
    """As if nothing had happened in this folder for so long."""
    before_ns = time.time_ns() - seconds * 10**9
    os.utime(folder, ns=(before_ns, before_ns))


def paths(listing: Listing) -> list[str]:
    return [file.path for file in listing.files]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    root.mkdir()
    return root


def source(root: Path, progress: Callable[[], None] = lambda: None) -> ScanRoot:
    return ScanRoot(root, DAYS, progress)


# ---- names


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("scan_0815.arrow", True),
        ("scan 0815.arrow", True),
        (".scan_0815.arrow", False),
        (".arrow", False),
        ("scan_0815.arrow.tmp", False),
        ("scan_0815.arrow~", False),
        ("scan_0815.ARROW", False),
        ("scan_0815", False),
    ],
)
def test_which_files_are_meant_as_scans(name: str, meant: bool) -> None:
    assert is_scan_name(name) is meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("2026-03-24", True),
        ("2026-03-24 ", False),
        ("2026-03-24\n", False),
        ("2026-3-24", False),
        ("20260324", False),
        ("lost+found", False),
        ("٢٠٢٦-٠٣-٢٤", False),  # digits to Python, but no date to us
    ],
)
def test_which_folders_are_day_folders(name: str, meant: bool) -> None:
    assert is_day_name(name) is meant


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param(["2026-03-24"], ["2026-03-24"], id="one"),
        pytest.param(
            ["2026-03-22", "2026-03-24", "other", "2026-03-23"], ["2026-03-24", "2026-03-23"], id="the newest two"
        ),
        pytest.param(
            ["2026-03-25", "2026-03-24", "2026-03-23"], ["2026-03-25", "2026-03-24"], id="tomorrow is possible"
        ),
        pytest.param(
            ["2026-03-26", "2026-03-27", "2026-03-28", "2026-03-24", "2026-03-23", "2026-03-22"],
            ["2026-03-28", "2026-03-27", "2026-03-24", "2026-03-23"],
            id="folders made ahead do not hide today's",
        ),
        pytest.param(["2019-01-01", "2018-01-01", "2017-01-01"], ["2019-01-01", "2018-01-01"], id="long ago"),
    ],
)
def test_which_day_folders_are_listed(names: list[str], expected: list[str]) -> None:
    assert newest_days(names, date(2026, 3, 24), 2) == expected


# ---- what is new


def test_a_listing_finds_the_scans_of_the_newest_days_newest_first(root: Path) -> None:
    now_ns = time.time_ns()
    second = write(root, f"{day()}/b.arrow", mtime_ns=now_ns - 2)
    first = write(root, f"{day()}/a.arrow", mtime_ns=now_ns - 1)
    third = write(root, f"{day(-1)}/c.arrow", mtime_ns=now_ns - 3)
    write(root, f"{day(-2)}/too_old.arrow")
    listing = source(root).list_newest(OrderKey(0, ""))
    assert listing.state == "ok"
    assert listing.reason == ""
    assert listing.files == (first, second, third)
    assert listing.left_out == 0


def test_what_is_found_is_told_as_stat_tells_it(root: Path) -> None:
    write(root, f"{day()}/a.arrow", b"12345", mtime_ns=1234567890123456789)
    (file,) = source(root).list_newest(None).files
    info = (root / day() / "a.arrow").stat()
    assert file == ScanFile(1234567890123456789, f"{day()}/a.arrow", 5, info.st_ctime_ns)


def test_each_scan_is_found_once(root: Path) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow")
    assert paths(scans.list_newest(None)) == [f"{day()}/a.arrow"]
    assert paths(scans.list_newest(None)) == []
    write(root, f"{day()}/b.arrow")
    assert paths(scans.list_newest(None)) == [f"{day()}/b.arrow"]
    assert paths(scans.list_newest(None)) == []


def test_a_scan_deleted_and_written_again_is_found_again(root: Path) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow")
    scans.list_newest(None)
    (root / day() / "a.arrow").unlink()
    assert scans.list_newest(None).files == ()
    again = write(root, f"{day()}/a.arrow")
    assert scans.list_newest(None).files == (again,)


def test_with_forget_every_scan_is_new(root: Path) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow")
    scans.list_newest(None)
    rewritten = write(root, f"{day()}/a.arrow", b"rewritten in place")
    assert scans.list_newest(None).files == ()
    assert scans.list_newest(None, forget=True).files == (rewritten,)


def test_only_scans_newer_than_asked_for_are_told(root: Path) -> None:
    write(root, f"{day()}/a.arrow", mtime_ns=1000)
    write(root, f"{day()}/b.arrow", mtime_ns=2000)
    write(root, f"{day()}/c.arrow", mtime_ns=2000)
    listing = source(root).list_newest(OrderKey(2000, f"{day()}/b.arrow"))
    assert paths(listing) == [f"{day()}/c.arrow"]


def test_days_made_ahead_of_time_do_not_hide_todays_scans(root: Path) -> None:
    for ahead in range(2, 40):
        (root / day(ahead)).mkdir()
    write(root, f"{day()}/a.arrow")
    assert paths(source(root).list_newest(OrderKey(0, ""))) == [f"{day()}/a.arrow"]


def test_other_things_in_root_and_in_day_folders_are_passed_over(root: Path) -> None:
    write(root, "lost+found/a.arrow")
    write(root, f"{day()}/.hidden.arrow")
    write(root, f"{day()}/notes.txt")
    write(root, "a.arrow")
    assert source(root).list_newest(None).files == ()


def test_links_fifos_and_folders_with_a_scans_name_are_told_but_not_followed(root: Path, tmp_path: Path) -> None:
    """The reader refuses them; passing over them in silence would hide a mistake."""
    outside = write(tmp_path, "outside/big", b"x" * 1000)
    (root / day()).mkdir()
    (root / day() / "link.arrow").symlink_to(tmp_path / outside.path)
    (root / day() / "folder.arrow").mkdir()
    os.mkfifo(root / day() / "fifo.arrow")
    listing = source(root).list_newest(None)
    assert sorted(paths(listing)) == [f"{day()}/{name}.arrow" for name in ("fifo", "folder", "link")]
    assert all(file.size != 1000 for file in listing.files)


def test_a_name_that_is_no_utf8_is_told(root: Path) -> None:
    (root / day()).mkdir()
    with open(os.fsencode(root / day()) + b"/\xff.arrow", "wb"):
        pass
    assert paths(source(root).list_newest(None)) == [f"{day()}/\udcff.arrow"]


def test_of_very_many_scans_the_newest_are_kept_and_the_rest_is_counted(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_FILES", 5)
    written = [write(root, f"{day(-(number % 2))}/{number}.arrow", mtime_ns=number) for number in range(12)]
    listing = source(root).list_newest(OrderKey(-1, ""))
    assert listing.files == tuple(reversed(written[-5:]))
    assert listing.left_out == 7


def test_a_listing_shows_that_it_gets_on(root: Path) -> None:
    calls: list[None] = []
    for number in range(2 * day_folder.PROGRESS_EVERY + 1):
        write(root, f"{day()}/{number}.arrow")
    source(root, lambda: calls.append(None)).list_newest(None)
    assert len(calls) == 3


def test_scans_known_before_are_told_as_they_are_now_if_asked_for(root: Path) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow")
    write(root, f"{day()}/b.arrow")
    scans.list_newest(None)
    rewritten = write(root, f"{day()}/a.arrow", b"rewritten in place")
    listing = scans.list_newest(OrderKey(2**63, ""), [f"{day()}/a.arrow", f"{day()}/gone.arrow"])
    assert (listing.files, listing.again) == ((), (rewritten,))


def test_on_a_file_system_of_this_host_a_file_is_as_old_as_our_clock_says(root: Path) -> None:
    write(root, f"{day()}/a.arrow")
    listing = source(root).list_newest(None)
    (file,) = listing.files
    assert 0 <= listing.age_s(file) < 60
    assert listing.age_s(file._replace(ctime_ns=file.ctime_ns - 3600 * 10**9)) > 3600
    assert listing.age_s(file._replace(ctime_ns=file.ctime_ns + 3600 * 10**9)) == 0


def step_clock(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """As this host's clock will be: nobody can set it for a test, nor the time at which a file changed."""
    before_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: before_ns() + seconds * 10**9)


def test_after_the_clock_was_stepped_back_nothing_that_lay_there_before_is_found_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = source(root)
    write(root, f"{day()}/before.arrow")
    assert scans.list_newest(None).stepped_back_s == 0
    step_clock(monkeypatch, -3600)
    listing = scans.list_newest(None, forget=True)
    assert listing.files == ()
    assert 3500 < listing.stepped_back_s <= 3600
    step_clock(monkeypatch, 3600)
    listing = scans.list_newest(None, forget=True)
    assert (paths(listing), listing.stepped_back_s) == ([f"{day()}/before.arrow"], 0)


def test_of_an_hour_that_comes_again_nothing_is_found_again_either(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.folder.listing.STEPPED_BACK_NS", 0)
    scans = source(root)
    first = last = write(root, f"{day()}/first.arrow")
    while last.ctime_ns == first.ctime_ns:
        last = write(root, f"{day()}/last.arrow")
    scans.list_newest(None)
    monkeypatch.setattr(time, "time_ns", lambda: first.ctime_ns)
    assert scans.list_newest(None, forget=True).files == ()


def test_started_after_the_clock_was_stepped_back_it_finds_only_what_can_have_landed_since(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, f"{day()}/before.arrow", mtime_ns=1000)
    step_clock(monkeypatch, -3600)
    scans = source(root)
    assert scans.list_newest(None).files == ()
    step_clock(monkeypatch, 3600)
    write(root, f"{day()}/since.arrow")
    assert paths(scans.list_newest(None)) == [f"{day()}/since.arrow"]


@pytest.mark.parametrize("seconds", [-1, 3600])
def test_a_clock_that_was_stepped_forward_or_by_a_moment_hides_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow")
    scans.list_newest(None)
    write(root, f"{day()}/b.arrow")
    step_clock(monkeypatch, seconds)
    assert paths(scans.list_newest(None)) == [f"{day()}/b.arrow"]
    assert len(scans.list_newest(None, forget=True).files) == 2


@pytest.mark.root
@pytest.mark.fuse
def test_elsewhere_it_is_as_old_as_the_latest_change_seen_there_says_whatever_the_servers_clock(tmp_path: Path) -> None:
    below, point = tmp_path / "below", tmp_path / "point"
    with object_store(below, point, behind_s=3600):
        first = write(below, f"{day(-1)}/first.arrow")
        last = write(below, f"{day()}/last.arrow")
        listing = source(point).list_newest(None)
        ages_s = [listing.age_s(file) for file in listing.files]
    assert ages_s == [0, (last.ctime_ns - first.ctime_ns) / 1e9]


@pytest.mark.root
@pytest.mark.fuse
def test_where_a_folders_times_stand_still_each_scan_is_found_by_the_next_listing(tmp_path: Path) -> None:
    below, point = tmp_path / "below", tmp_path / "point"
    with object_store(below, point):
        scans = source(point)
        for number in range(3):
            path = write(below, f"{day()}/{number}.arrow").path
            assert paths(scans.list_newest(None)) == [path]
            assert paths(scans.list_newest(None)) == []


@pytest.mark.root
@pytest.mark.fuse
def test_what_the_kernel_remembers_of_a_remote_folder_hides_nothing(tmp_path: Path) -> None:
    below, point = tmp_path / "below", tmp_path / "point"
    with bound(below, point, cached_s=3600):
        scans = source(point)
        file = write(below, f"{day()}/a.arrow")
        assert paths(scans.list_newest(None)) == [file.path]
        write(below, f"{day()}/b.arrow")
        grown = write(below, f"{day()}/a.arrow", b"grown in place")
        listing = scans.list_newest(None, [file.path])
        assert paths(listing) == [f"{day()}/b.arrow"]
        assert listing.again == (grown,)


# ---- which folders


def test_a_late_day_folder_is_listed_once_something_happened_there(root: Path) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow", mtime_ns=5)
    write(root, f"{day(-1)}/b.arrow", mtime_ns=4)
    assert len(scans.list_newest(OrderKey(0, "")).files) == 2
    late = write(root, f"{day(-100)}/late.arrow", mtime_ns=6)
    assert scans.list_newest(OrderKey(0, "")).files == ()
    scans.include(day(-100))
    listing = scans.list_newest(OrderKey(0, ""))
    assert listing.files == (late,)
    assert day(-100) in [name for name, *_ in listing.folders]


def test_only_the_last_few_touched_folders_are_remembered(root: Path) -> None:
    scans = source(root)
    for offset in range(10, 20):
        (root / day(-offset)).mkdir()
        scans.include(day(-offset))
    names = [name for name, *_ in scans.list_newest(OrderKey(0, "")).folders]
    assert names == ["", day(-10), day(-11), *(day(-offset) for offset in range(16, 20))]


def test_a_touched_folder_that_is_gone_again_is_no_trouble(root: Path) -> None:
    scans = source(root)
    file = write(root, f"{day()}/a.arrow")
    scans.include(day(-100))
    listing = scans.list_newest(None)
    assert (listing.state, listing.reason, listing.files) == ("ok", "", (file,))


def test_root_and_the_folders_listed_are_named_with_their_identity(root: Path) -> None:
    write(root, f"{day()}/a.arrow")
    expected = [(name, (root / name).stat().st_dev, (root / name).stat().st_ino) for name in ("", day())]
    assert list(source(root).list_newest(None).folders) == expected


def test_a_day_folder_deleted_and_recreated_is_another_folder_with_new_scans(root: Path) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow")
    before = scans.list_newest(None)
    (root / day()).rename(root / "aside")  # keeps the inode in use, so that the new folder gets another
    again = write(root, f"{day()}/a.arrow")
    after = scans.list_newest(None)
    assert after.files == (again,)
    assert after.folders[0] == before.folders[0]
    assert after.folders[1] != before.folders[1]


def test_at_the_first_start_the_newest_scan_is_found_however_far_back(root: Path) -> None:
    for offset in range(5):
        (root / day(-offset)).mkdir()
    write(root, f"{day(-5)}/a.arrow")
    write(root, f"{day(-6)}/older.arrow")
    assert paths(source(root).list_newest(None)) == [f"{day(-5)}/a.arrow"]


def test_while_the_map_is_unknown_old_scans_are_not_found_again_and_again(root: Path) -> None:
    scans = source(root)
    for offset in range(6):
        write(root, f"{day(-offset)}/{offset}.arrow", mtime_ns=1000 - offset)
    assert paths(scans.list_newest(None)) == [f"{day()}/0.arrow", f"{day(-1)}/1.arrow"]
    for _ in range(3):
        listing = scans.list_newest(None)
        assert (listing.files, listing.left_out) == ((), 0)


def test_an_old_scan_found_at_the_first_start_is_found_once(root: Path) -> None:
    scans = source(root)
    for offset in range(4):
        (root / day(-offset)).mkdir()
    write(root, f"{day(-5)}/a.arrow")
    write(root, f"{day(-6)}/older.arrow")
    assert paths(scans.list_newest(None)) == [f"{day(-5)}/a.arrow"]
    assert scans.list_newest(None).files == ()


# ---- what cannot be had


def test_a_missing_root_is_an_answer(root: Path) -> None:
    listing = source(root / "nowhere").list_newest(None)
    assert listing == Listing("missing", f"{root}/nowhere does not exist")


def test_a_root_without_day_folders_is_empty(root: Path) -> None:
    write(root, "other/a.arrow")
    listing = source(root).list_newest(None)
    assert (listing.state, listing.reason) == ("empty", f"{root} has no day folder")
    assert [name for name, *_ in listing.folders] == [""]


def test_a_root_that_is_a_file_is_unreadable(root: Path) -> None:
    (root / "file").write_text("")
    listing = source(root / "file").list_newest(None)
    assert (listing.state, listing.reason, listing.folders) == ("unreadable", f"{root}/file: Not a directory", ())


@pytest.mark.parametrize("mode", [0o000, 0o333, 0o644])
def test_a_day_folder_without_permission_is_named_and_others_are_listed(
    open_path: Path, without_root: WithoutRoot, mode: int
) -> None:
    write(open_path, f"{day()}/a.arrow")
    readable = write(open_path, f"{day(-1)}/b.arrow")
    (open_path / day()).chmod(mode)
    with without_root():
        listing = source(open_path).list_newest(None)
    assert listing.files == (readable,)
    assert (listing.state, listing.reason) == ("ok", f"{open_path / day()}: Permission denied")
    assert [name for name, *_ in listing.folders] == ["", day(-1)]


def test_a_root_without_permission_is_unreadable_and_comes_good(open_path: Path, without_root: WithoutRoot) -> None:
    root = open_path / "scans"
    file = write(root.parent, "scans/x")
    file = write(root, f"{day()}/a.arrow")
    scans = source(root)
    root.chmod(0o000)
    with without_root():
        listing = scans.list_newest(None)
        assert (listing.state, listing.reason) == ("unreadable", f"{root}: Permission denied")
    root.chmod(0o755)
    with without_root():
        assert scans.list_newest(None).files == (file,)


def test_with_no_readable_day_folder_the_source_is_unreadable(open_path: Path, without_root: WithoutRoot) -> None:
    write(open_path, f"{day()}/a.arrow")
    (open_path / day()).chmod(0o000)
    with without_root():
        assert source(open_path).list_newest(None).state == "unreadable"


def test_a_listing_that_failed_half_way_loses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system may fail in the middle of a folder."""
    for number in range(3):
        write(root, f"{day()}/{number}.arrow")
    scans = source(root)
    count_costs(monkeypatch, fail_at=2)
    assert scans.list_newest(None).reason == f"{root / day()}: Input/output error"
    monkeypatch.undo()
    assert len(scans.list_newest(None).files) == 3


def test_a_scan_that_vanished_during_the_listing_is_found_when_it_is_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, f"{day()}/a.arrow")
    scans = source(root)
    count_costs(monkeypatch, before_stat=lambda: (root / day() / "a.arrow").unlink())
    assert scans.list_newest(None).files == ()
    monkeypatch.undo()
    back = write(root, f"{day()}/a.arrow")
    assert scans.list_newest(None).files == (back,)


def test_a_symbolic_link_in_place_of_a_day_folder_is_refused(root: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/a.arrow")
    (root / day()).symlink_to(tmp_path / "outside")
    listing = source(root).list_newest(None)
    assert listing.files == ()
    assert listing.state == "unreadable"
    assert listing.reason == f"{root / day()}: not a folder (symbolic links are not followed)"


def test_root_itself_may_be_a_symbolic_link(root: Path, tmp_path: Path) -> None:
    file = write(root, f"{day()}/a.arrow")
    (tmp_path / "link").symlink_to(root)
    assert source(tmp_path / "link").list_newest(None).files == (file,)


def test_a_day_folder_that_appears_with_scans_in_it_is_found(root: Path) -> None:
    scans = source(root)
    assert scans.list_newest(None).state == "empty"
    file = write(root, f"{day()}/a.arrow")
    assert scans.list_newest(None).files == (file,)


@pytest.mark.parametrize("meanwhile", ["missing", "empty"])
def test_what_lies_in_a_root_that_was_away_is_new(root: Path, meanwhile: str) -> None:
    """Mounted again, it may be the very same folder; what was being read meanwhile had vanished."""
    of, aside = source(root), root.with_name("aside")
    write(root, f"{day()}/a.arrow")
    assert paths(of.list_newest(None)) == [f"{day()}/a.arrow"]
    root.rename(aside)
    if meanwhile == "empty":
        root.mkdir()
    assert of.list_newest(None).state == meanwhile
    if meanwhile == "empty":
        root.rmdir()
    aside.rename(root)
    assert paths(of.list_newest(None)) == [f"{day()}/a.arrow"]


def test_a_root_removed_and_recreated_comes_good(root: Path) -> None:
    scans = source(root)
    write(root, f"{day()}/a.arrow")
    scans.list_newest(None)
    shutil.rmtree(root)
    assert scans.list_newest(None).state == "missing"
    root.mkdir()
    make_old(root)
    file = write(root, f"{day()}/b.arrow")
    assert scans.list_newest(None).files == (file,)


# ---- what it costs


class Costs:
    """What a listing asked of the file system."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self.entries = 0
        self.stats = 0


class CountedEntry:
    def __init__(self, entry: os.DirEntry[str], stat: Callable[[os.DirEntry[str], bool], os.stat_result]) -> None:
        self.name = entry.name
        self._entry = entry
        self._stat = stat

    def inode(self) -> int:
        return self._entry.inode()

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        return self._stat(self._entry, follow_symlinks)


class CountedFolder:
    def __init__(self, entries: Iterator[CountedEntry]) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[CountedEntry]:
        return self._entries

    def __enter__(self) -> CountedFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        pass


def count_costs(
    monkeypatch: pytest.MonkeyPatch, *, fail_at: int | None = None, before_stat: Callable[[], None] = lambda: None
) -> Costs:
    """Count the calls that listing into folders; let the `fail_at`-th stat of an entry fail as a bad disk would."""
    costs = Costs()
    scandir, stat_file, stat = os.scandir, file_system.stat_file, os.stat

    def entry_stat(entry: os.DirEntry[str], follow_symlinks: bool) -> os.stat_result:
        costs.stats += 1
        if costs.stats == fail_at:
            raise OSError(5, os.strerror(5))
        before_stat()
        return stat(entry.path, follow_symlinks=follow_symlinks)

    def counted_scandir(path: str | Path) -> CountedFolder:
        def entries() -> Iterator[CountedEntry]:
            with scandir(path) as folder:
                for entry in folder:
                    costs.entries += 1
                    yield CountedEntry(entry, entry_stat)

        costs.listed.append(os.path.basename(path))
        return CountedFolder(entries())

    def counted_stat_file(path: str | Path, *, follow: bool = False) -> file_system.FileStat:
        costs.stats += not follow  # ROOT itself always
        return stat_file(path, follow=follow)

    monkeypatch.setattr(os, "scandir", counted_scandir)
    monkeypatch.setattr(module, "stat_file", counted_stat_file)
    return costs


@pytest.mark.parametrize("newer_than", [None, OrderKey(0, "")], ids=["map unknown", "map known"])
def test_the_archive_costs_nothing_but_its_line_in_root(
    root: Path, monkeypatch: pytest.MonkeyPatch, newer_than: OrderKey | None
) -> None:
    archive = 400
    for offset in range(2, archive):
        (root / day(-offset)).mkdir()
    for number in range(20):
        write(root, f"{day(-2)}/{number}.arrow")
    write(root, f"{day()}/a.arrow")
    write(root, f"{day(-1)}/b.arrow")
    monkeypatch.setattr(day_folder, "RACY_S", 0.0)  # as if that time had passed
    costs = count_costs(monkeypatch)
    scans = source(root)

    assert len(scans.list_newest(newer_than).files) == 2
    assert costs.listed == ["scans", day(), day(-1)]
    assert costs.entries == archive + 2  # the day folders' names in ROOT, and the two scans
    assert costs.stats == 2 + 2  # the two newest day folders, and the two scans

    costs.listed.clear()
    costs.stats = 0
    assert scans.list_newest(newer_than).files == ()
    assert costs.listed == ["scans"]
    assert costs.stats == 2


def test_of_a_folder_that_changed_only_the_new_scans_are_asked_for_their_times(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        write(root, f"{day()}/{number}.arrow")
    scans = source(root)
    scans.list_newest(None)
    write(root, f"{day()}/new.arrow")
    costs = count_costs(monkeypatch)
    assert paths(scans.list_newest(None)) == [f"{day()}/new.arrow"]
    assert costs.stats == 1 + 1  # the folder, and the new scan


def test_a_scan_renamed_over_an_old_name_is_new(root: Path) -> None:
    source = ScanRoot(root, 2, lambda: None)
    path = root / write(root, f"{day()}/a.arrow").path
    source.list_newest(None)
    replacement = root / day() / ".a.tmp"
    replacement.write_bytes(b"another")
    os.replace(replacement, path)
    assert [file.path for file in source.list_newest(None).files] == [f"{day()}/a.arrow"]


def test_misdated_scans_do_not_crowd_out_the_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.folder.listing.MOST_FILES", 3)
    good = write(root, f"{day()}/good.arrow")
    for number in range(5):
        write(root, f"{day()}/{number}.arrow", mtime_ns=4 * 10**18)
    assert good in ScanRoot(root, 2, lambda: None).list_newest(None).files
