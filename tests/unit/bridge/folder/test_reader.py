"""Reading a scan: the whole file as it was taken for, or why not; whatever lies under its name, it never blocks."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bridge.folder import reader
from bridge.folder.file_system import Remote
from bridge.folder.listing import stat_scan
from bridge.folder.reader import Changed, NeverReadable, NoAnswer, NotReadable, Vanished, read
from bridge.model.order import ScanFile

PATH = "2026-03-24/a.arrow"
MOST = 1000
WithoutRoot = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the scan under test lies; its folder is there."""
    file = tmp_path / PATH
    file.parent.mkdir()
    return file


def seen(root: Path) -> ScanFile:
    return stat_scan(root, PATH)


@pytest.mark.parametrize("content", [b"", b"x", b"scan" * 250], ids=["empty", "one byte", "as large as allowed"])
def test_a_file_is_read_whole(tmp_path: Path, file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert read(tmp_path, seen(tmp_path), MOST) == content


def test_a_large_file_is_read_whole(tmp_path: Path, file: Path) -> None:
    content = os.urandom(5_000_000)
    file.write_bytes(content)
    assert read(tmp_path, seen(tmp_path), 64 * 1024**2) == content


def test_a_file_read_in_small_pieces_is_read_whole(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As network file systems give it."""
    file.write_bytes(b"0123456789")
    real_read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, count: real_read(descriptor, min(count, 3)))
    assert read(tmp_path, seen(tmp_path), MOST) == b"0123456789"


def test_no_descriptor_is_left_open(tmp_path: Path, file: Path) -> None:
    file.write_bytes(b"scan")
    before = len(os.listdir("/proc/self/fd"))
    read(tmp_path, seen(tmp_path), MOST)
    for bad in (ScanFile(0, PATH, 0, 0), ScanFile(0, "2026-03-24/none.arrow", 0, 0), ScanFile(0, "none/a", 0, 0)):
        with pytest.raises((Changed, Vanished)):
            read(tmp_path, bad, MOST)
    with pytest.raises(NeverReadable):
        read(tmp_path, seen(tmp_path), 1)
    assert len(os.listdir("/proc/self/fd")) == before


# ---- no longer what it was taken for


@pytest.mark.parametrize("now", [b"longer than", b"short", b""], ids=["grown", "shrunk", "emptied"])
def test_a_file_of_another_size_than_seen_has_changed(tmp_path: Path, file: Path, now: bytes) -> None:
    file.write_bytes(b"as seen")
    before = seen(tmp_path)
    file.write_bytes(now)
    os.utime(file, ns=(before.mtime_ns, before.mtime_ns))
    with pytest.raises(Changed):
        read(tmp_path, before, MOST)


def test_a_file_rewritten_at_the_same_size_has_changed(tmp_path: Path, file: Path) -> None:
    file.write_bytes(b"first")
    before = seen(tmp_path)
    file.write_bytes(b"other")
    os.utime(file, ns=(0, before.mtime_ns + 1))
    with pytest.raises(Changed):
        read(tmp_path, before, MOST)


@pytest.mark.parametrize("size", [3, 20], ids=["shrinks", "grows"])
def test_a_file_that_changes_while_it_is_read_has_changed(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    file.write_bytes(b"0123456789")
    before = seen(tmp_path)
    real_read = os.read

    def read_and_resize(descriptor: int, count: int) -> bytes:
        content = real_read(descriptor, min(count, 5))
        os.truncate(file, size)
        os.utime(file, ns=(before.mtime_ns, before.mtime_ns))  # even if its time does not tell
        return content

    monkeypatch.setattr(os, "read", read_and_resize)
    with pytest.raises(Changed):
        read(tmp_path, before, MOST)


def test_a_file_that_is_short_for_a_moment_has_changed(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut and filled up again while it is read: in the end size and time are as seen, the content is not."""
    file.write_bytes(b"0123456789")
    before = seen(tmp_path)
    real_read = os.read

    def read_and_cut(descriptor: int, count: int) -> bytes:
        content = real_read(descriptor, min(count, 5))
        os.truncate(file, 5 if content else 10)
        os.utime(file, ns=(before.mtime_ns, before.mtime_ns))
        return content

    monkeypatch.setattr(os, "read", read_and_cut)
    with pytest.raises(Changed):
        read(tmp_path, before, MOST)


def test_another_file_renamed_over_it_has_changed(tmp_path: Path, file: Path) -> None:
    file.write_bytes(b"first")
    before = seen(tmp_path)
    other = file.with_name("other")
    other.write_bytes(b"second")
    other.replace(file)
    with pytest.raises(Changed):
        read(tmp_path, before, MOST)


def test_a_changed_mode_is_no_change_of_the_content(tmp_path: Path, file: Path) -> None:
    file.write_bytes(b"scan")
    before = seen(tmp_path)
    file.chmod(0o400)
    assert read(tmp_path, before, MOST) == b"scan"


@pytest.mark.parametrize("gone", [PATH, "2026-03-24"], ids=["file", "folder"])
def test_a_file_that_is_gone_has_vanished(tmp_path: Path, file: Path, gone: str) -> None:
    file.write_bytes(b"scan")
    before = seen(tmp_path)
    (tmp_path / gone).rename(tmp_path / "aside")
    with pytest.raises(Vanished):
        read(tmp_path, before, MOST)


# ---- who serves it fails


def raising(code: int) -> Callable[..., object]:
    """Fails with this error of the kernel."""

    def fail(*_: object, **__: object) -> object:
        raise OSError(code, os.strerror(code))

    return fail


def fails(_: Path) -> Remote | None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize(
    ("code", "kind", "is_the_servers"),
    [
        (errno.EIO, lambda _: None, False),
        (errno.EIO, lambda _: Remote("nfs", folder_times=True), True),
        (errno.EIO, fails, True),
        (errno.ESTALE, lambda _: Remote("nfs", folder_times=True), True),
        (errno.ENOTCONN, fails, True),
        (errno.EBUSY, lambda _: Remote("smb", folder_times=False), True),
        (errno.EACCES, lambda _: Remote("nfs", folder_times=True), False),
        (errno.EACCES, lambda _: None, False),
    ],
)
@pytest.mark.parametrize("call", ["open", "read"])
def test_what_a_server_fails_in_says_nothing_of_the_file(
    tmp_path: Path,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    kind: Callable[..., object],
    is_the_servers: bool,
    call: str,
) -> None:
    file.write_bytes(b"scan")
    before = seen(tmp_path)
    monkeypatch.setattr(os, call, raising(code))
    monkeypatch.setattr(reader, "remote", kind)
    with pytest.raises(NotReadable, match=os.strerror(code)) as raised:
        read(tmp_path, before, MOST)
    assert isinstance(raised.value, NoAnswer) == is_the_servers


# ---- what is not to be read at all


def test_a_symbolic_link_is_not_followed(tmp_path: Path, file: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of another folder")
    file.symlink_to(secret)
    with pytest.raises(NeverReadable, match="a symbolic link; links are not followed"):
        read(tmp_path, seen(tmp_path), MOST)


def test_a_dangling_link_is_a_link(tmp_path: Path, file: Path) -> None:
    file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(NeverReadable, match="symbolic link"):
        read(tmp_path, seen(tmp_path), MOST)


def test_a_linked_day_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.arrow").write_bytes(b"secret")
    (tmp_path / "2026-03-24").symlink_to(tmp_path / "outside")
    with pytest.raises(NotReadable):
        read(tmp_path, seen(tmp_path), MOST)


def in_time(act: Callable[[], object]) -> None:
    """Run `act`, but fail rather than hang if it blocks."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert outcome, "it blocks"
    if outcome[0]:
        raise outcome[0]


def test_a_fifo_does_not_block(tmp_path: Path, file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(NeverReadable, match=r"not a regular file \(p\)"):
        in_time(lambda: read(tmp_path, seen(tmp_path), MOST))


def test_a_file_that_becomes_a_fifo_at_the_last_moment_does_not_block(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(b"scan")
    before = seen(tmp_path)
    real_open = os.open

    def swap_and_open(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path == "a.arrow":
            file.unlink()
            os.mkfifo(file)
        return real_open(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swap_and_open)
    with pytest.raises(NeverReadable, match=r"not a regular file \(p\)"):
        in_time(lambda: read(tmp_path, before, MOST))


def test_a_folder_with_a_scans_name_is_refused(tmp_path: Path, file: Path) -> None:
    file.mkdir()
    with pytest.raises(NeverReadable, match=r"not a regular file \(d\)"):
        read(tmp_path, seen(tmp_path), MOST)


def test_a_device_is_refused() -> None:
    """/dev/zero would never end."""
    with pytest.raises(NeverReadable, match=r"not a regular file \(c\)"):
        in_time(lambda: read(Path("/"), stat_scan(Path("/"), "dev/zero"), MOST))


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.touch()
    os.truncate(file, 2 * 1024**3)  # sparse: takes no room on the disk
    monkeypatch.delattr(os, "read")
    with pytest.raises(NeverReadable, match=r"2147483648 bytes, more than source\.max_scan_bytes = 1000"):
        read(tmp_path, seen(tmp_path), MOST)


def test_a_file_that_grows_over_the_limit_after_the_first_look_is_refused(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_bytes(b"scan")
    before = seen(tmp_path)
    real_lstat = os.lstat

    def lstat_and_grow(path: str, *, dir_fd: int) -> os.stat_result:
        info = real_lstat(path, dir_fd=dir_fd)
        os.truncate(file, MOST + 1)
        return info

    monkeypatch.setattr(os, "lstat", lstat_and_grow)
    with pytest.raises(NeverReadable, match="1001 bytes"):
        read(tmp_path, before, MOST)


@pytest.mark.parametrize("name", ["a\nb.arrow", "a\x1b[2Jb.arrow", "a\udcffb.arrow", "a\u202eb.arrow"])
def test_an_unprintable_name_is_refused(tmp_path: Path, file: Path, name: str) -> None:
    file.with_name(name).write_bytes(b"scan")
    with pytest.raises(NeverReadable, match="the name is not printable UTF-8; rename the file"):
        read(tmp_path, stat_scan(tmp_path, f"2026-03-24/{name}"), MOST)


def test_a_name_beyond_ascii_is_a_name(tmp_path: Path, file: Path) -> None:
    file.with_name("Übersicht λ.arrow").write_bytes(b"scan")
    assert read(tmp_path, stat_scan(tmp_path, "2026-03-24/Übersicht λ.arrow"), MOST) == b"scan"


# ---- what may yet be read


def test_a_file_without_permission_may_become_readable(open_path: Path, without_root: WithoutRoot) -> None:
    file = open_path / PATH
    file.parent.mkdir()
    file.write_bytes(b"scan")
    file.chmod(0o000)
    with without_root(), pytest.raises(NotReadable, match="Permission denied"):
        read(open_path, seen(open_path), MOST)
    file.chmod(0o444)
    with without_root():
        assert read(open_path, seen(open_path), MOST) == b"scan"


def test_a_folder_without_permission_may_become_readable(open_path: Path, without_root: WithoutRoot) -> None:
    file = open_path / PATH
    file.parent.mkdir()
    file.write_bytes(b"scan")
    scan = seen(open_path)
    file.parent.chmod(0o000)
    with without_root(), pytest.raises(NotReadable, match="Permission denied"):
        read(open_path, scan, MOST)
