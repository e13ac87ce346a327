"""Real inotify on real folders: which hint comes of what happens there, and what becomes of the watches."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.mounts import in_user_namespace

from bridge.folder.inotify import Hints, Watcher
from bridge.folder.listing import Folder

DAY = "2026-03-24"
SCAN = f"{DAY}/a.arrow"
WithoutRoot = Callable[[], AbstractContextManager[None]]
Heard = list[tuple[object, ...]]


def folder(root: Path, name: str) -> Folder:
    info = (root / name).stat()
    return Folder(name, info.st_dev, info.st_ino)


class Watched:
    """A ROOT with a day folder, a watcher on both, and what it said."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.day = root / DAY
        self.day.mkdir(parents=True)
        self.heard: Heard = []
        self.watcher = Watcher(
            root,
            Hints(
                completed=lambda path: self.heard.append(("completed", path)),
                created=lambda path: self.heard.append(("created", path)),
                touched=lambda path: self.heard.append(("touched", path)),
                list_again=lambda reason: self.heard.append(("list", reason)),
                day=lambda name: self.heard.append(("day", name)),
                overflow=lambda: self.heard.append(("overflow",)),
            ),
        )
        assert self.arm()

    def arm(self, *days: str) -> bool:
        """Watch ROOT and these days, or those that are there."""
        names = days or tuple(path.name for path in self.root.iterdir())
        return self.watcher.arm([folder(self.root, name) for name in ("", *names)])

    def hints(self) -> Heard:
        """What was heard since last asked. The kernel has an event ready by the time the system call returns."""
        while self.watcher.unread_bytes():
            self.watcher.read()
        heard = self.heard[:]
        self.heard.clear()
        return heard


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path / "scans")
    yield watched
    watched.watcher.close()


# ---- scans


def test_a_scan_renamed_into_place_is_told_at_once(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"scan")
    (tmp_path / "new").rename(watched.root / SCAN)
    assert watched.hints() == [("completed", SCAN)]


def test_a_scan_renamed_within_its_folder_is_told_once(watched: Watched) -> None:
    temporary = watched.day / ".a.arrow.tmp"
    temporary.write_bytes(b"scan")
    temporary.rename(watched.root / SCAN)
    assert watched.hints() == [("completed", SCAN)]


def test_a_scan_written_in_place_is_told_when_created_and_as_complete_when_closed(watched: Watched) -> None:
    with (watched.root / SCAN).open("wb") as file:
        assert watched.hints() == [("created", SCAN)]
        file.write(b"scan")
        file.flush()
        assert watched.hints() == []
    assert watched.hints() == [("completed", SCAN)]


def test_a_scan_linked_into_place_is_told_as_created(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"scan")
    (watched.root / SCAN).hardlink_to(tmp_path / "new")
    assert watched.hints() == [("created", SCAN)]


@pytest.mark.parametrize(
    "touch",
    [
        pytest.param(lambda path: path.chmod(0o600), id="mode"),
        pytest.param(lambda path: os.utime(path, ns=(1, 1)), id="times"),
        pytest.param(lambda path: os.chown(path, -1, os.getgid()), id="owner"),
    ],
)
def test_a_change_of_mode_times_or_owner_is_told_as_a_touch(watched: Watched, touch: Callable[[Path], None]) -> None:
    (watched.root / SCAN).write_bytes(b"scan")
    watched.hints()
    touch(watched.root / SCAN)
    assert watched.hints() == [("touched", SCAN)]


def test_what_is_no_scan_is_not_told(watched: Watched) -> None:
    for name in ("notes.txt", ".hidden.arrow", "a.arrow.tmp"):
        (watched.day / name).write_bytes(b"x")
        (watched.day / name).chmod(0o600)
        (watched.day / name).unlink()
    assert watched.hints() == []


def test_a_scan_that_is_read_or_deleted_is_not_told(watched: Watched) -> None:
    (watched.root / SCAN).write_bytes(b"scan")
    watched.hints()
    (watched.root / SCAN).read_bytes()
    (watched.root / SCAN).unlink()
    assert watched.hints() == []


def test_a_name_that_is_no_utf8_is_told(watched: Watched) -> None:
    with open(os.fsencode(watched.day) + b"/\xff.arrow", "wb"):
        pass
    assert watched.hints()[-1] == ("completed", f"{DAY}/\udcff.arrow")


def test_scans_are_told_in_the_order_of_their_events(watched: Watched, tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / "new").write_bytes(b"scan")
        (tmp_path / "new").rename(watched.day / f"{number}.arrow")
    assert watched.hints() == [("completed", f"{DAY}/{number}.arrow") for number in range(100)]


# ---- folders


@pytest.mark.parametrize("how", ["made", "moved"])
def test_a_day_folder_that_appears_is_told(watched: Watched, tmp_path: Path, how: str) -> None:
    if how == "made":
        (watched.root / "2026-03-25").mkdir()
    else:
        (tmp_path / "prepared").mkdir()
        (tmp_path / "prepared").rename(watched.root / "2026-03-25")
    assert watched.hints() == [("day", "2026-03-25")]


def test_what_is_no_day_folder_is_not_told(watched: Watched) -> None:
    (watched.root / "other").mkdir()
    (watched.root / "a.arrow").write_bytes(b"x")
    assert watched.hints() == []


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_day_folder_that_goes_asks_for_a_listing(watched: Watched, tmp_path: Path, how: str) -> None:
    if how == "deleted":
        watched.day.rmdir()
    else:
        watched.day.rename(tmp_path / "aside")
    assert ("list", f"{DAY} was moved, deleted or unmounted") in watched.hints()


def test_a_day_folder_deleted_and_recreated_is_watched_anew(watched: Watched) -> None:
    shutil.rmtree(watched.day)
    watched.day.mkdir()
    hints = watched.hints()
    assert ("list", f"watch on {DAY} ended") in hints
    assert ("day", DAY) in hints
    assert watched.arm()
    (watched.root / SCAN).write_bytes(b"scan")
    assert watched.hints()[-1] == ("completed", SCAN)


def test_a_day_folder_moved_away_and_replaced_is_told_of_by_its_new_self_only(watched: Watched, tmp_path: Path) -> None:
    watched.day.rename(tmp_path / "aside")
    watched.day.mkdir()
    watched.hints()
    assert watched.arm()
    (tmp_path / "aside" / "old.arrow").write_bytes(b"scan")
    (watched.day / "new.arrow").write_bytes(b"scan")
    assert {path for kind, path, *_ in watched.hints() if kind == "completed"} == {f"{DAY}/new.arrow"}


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_root_that_goes_asks_for_a_listing(watched: Watched, tmp_path: Path, how: str) -> None:
    if how == "deleted":
        shutil.rmtree(watched.root)
    else:
        watched.root.rename(tmp_path / "aside")
    assert ("list", "ROOT was moved, deleted or unmounted") in watched.hints()


# ---- watches


def test_what_is_watched_already_is_nothing_new(watched: Watched) -> None:
    assert not watched.arm()
    (watched.root / "2026-03-25").mkdir()
    assert watched.arm()
    assert not watched.arm()


def test_what_is_no_longer_wanted_is_no_longer_watched(watched: Watched) -> None:
    (watched.root / "2026-03-25").mkdir()
    watched.arm("2026-03-25")
    watched.hints()
    (watched.root / SCAN).write_bytes(b"scan")
    assert watched.hints() == []
    (watched.root / "2026-03-25" / "b.arrow").write_bytes(b"scan")
    assert watched.hints()[-1] == ("completed", "2026-03-25/b.arrow")


def test_watches_do_not_pile_up_over_the_days(watched: Watched) -> None:
    for number in range(1, 29):
        name = f"2026-02-{number:02}"
        (watched.root / name).mkdir()
        watched.arm(name)
    watched.hints()
    info = Path(f"/proc/self/fdinfo/{watched.watcher.fileno()}").read_text()
    assert len(re.findall("^inotify wd:", info, flags=re.MULTILINE)) == 2


def test_a_folder_that_is_gone_before_it_is_watched_is_passed_over(watched: Watched) -> None:
    gone = Folder("2026-03-25", 1, 2)
    assert not watched.watcher.arm([folder(watched.root, ""), folder(watched.root, DAY), gone])
    (watched.root / SCAN).write_bytes(b"scan")
    assert watched.hints()[-1] == ("completed", SCAN)


def test_a_link_or_file_in_place_of_a_day_folder_is_not_watched(watched: Watched, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (watched.root / "2026-03-25").symlink_to(tmp_path / "outside")
    (watched.root / "2026-03-26").touch()
    watched.hints()
    assert not watched.arm(DAY, "2026-03-25", "2026-03-26")
    (tmp_path / "outside" / "a.arrow").write_bytes(b"scan")
    assert watched.hints() == []


def test_a_folder_without_permission_is_watched_once_there_is(open_path: Path, without_root: WithoutRoot) -> None:
    watched = Watched(open_path / "scans")
    closed = watched.root / "2026-03-25"
    closed.mkdir(mode=0o000)
    watched.hints()
    with without_root():
        assert not watched.arm()
    closed.chmod(0o755)
    with without_root():
        assert watched.arm()
    watched.hints()
    (closed / "a.arrow").write_bytes(b"scan")
    assert watched.hints()[-1] == ("completed", "2026-03-25/a.arrow")
    watched.watcher.close()


def test_close_gives_every_descriptor_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(3):
        watched = Watched(tmp_path / str(number))
        (watched.root / SCAN).write_bytes(b"scan")
        watched.hints()
        watched.watcher.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_unread_events_are_seen_to_wait(watched: Watched) -> None:
    assert watched.watcher.unread_bytes() == 0
    (watched.root / SCAN).write_bytes(b"scan")
    assert watched.watcher.unread_bytes() > 0
    watched.hints()
    assert watched.watcher.unread_bytes() == 0


def test_events_reach_an_event_loop_as_they_come(watched: Watched, tmp_path: Path) -> None:
    async def wait_for_scans() -> Heard:
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()

        def read() -> None:
            watched.watcher.read()
            if len(watched.heard) == 20:
                heard.set()

        loop.add_reader(watched.watcher.fileno(), read)
        for number in range(20):
            (tmp_path / "new").write_bytes(b"scan")
            (tmp_path / "new").rename(watched.day / f"{number}.arrow")
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await heard.wait()
        loop.remove_reader(watched.watcher.fileno())
        return watched.heard

    assert asyncio.run(wait_for_scans()) == [("completed", f"{DAY}/{number}.arrow") for number in range(20)]


# ---- limits


def test_an_overflow_of_the_kernels_queue_is_told(watched: Watched) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    files = [watched.day / "a.arrow", watched.day / "b.arrow"]
    for file in files:
        file.touch()
    watched.hints()
    for number in range(limit + 10):
        os.utime(files[number % 2])  # taken in turn: the kernel joins equal events that follow each other
    hints = watched.hints()
    assert hints[-1] == ("overflow",)
    assert hints.count(("overflow",)) == 1
    files[0].touch()
    assert ("touched", f"{DAY}/a.arrow") in watched.hints(), "it goes on after an overflow"


LIMITED = """
    import sys
    from pathlib import Path
    Path("/proc/sys/user", sys.argv[1]).write_text(sys.argv[2])
    from bridge.folder.listing import Folder
    from bridge.folder.inotify import Hints, Watcher
    nothing = lambda *_: None
    hints = Hints(nothing, nothing, nothing, nothing, nothing, nothing)
"""


@pytest.mark.limits
def test_the_kernels_limit_of_instances_is_an_os_error() -> None:
    script = """
    try:
        Watcher(Path("/"), hints)
    except OSError as error:
        print(error)
    """
    said = in_user_namespace(LIMITED + script, "max_inotify_instances", "0")
    assert said == "[Errno 24] inotify instance limit reached\n"


@pytest.mark.limits
def test_the_kernels_limit_of_watches_is_an_os_error() -> None:
    script = """
    watcher = Watcher(Path("/"), hints)
    try:
        watcher.arm([Folder(name, 0, number) for number, name in enumerate(("", "usr", "etc"))])
    except OSError as error:
        print(error)
    watcher.close()
    """
    said = in_user_namespace(LIMITED + script, "max_inotify_watches", "1")
    assert said == "[Errno 28] inotify watch limit reached\n"
