"""What a file system is, and how a file stands there now: real file systems, and what their caches must not hide."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from support import process
from support.mounts import bound, in_user_namespace

from bridge.folder.file_system import REMOTE, FileStat, Remote, remote, stat_file, stat_open_file


def as_python_says(info: os.stat_result) -> FileStat:
    return FileStat(
        info.st_mode, info.st_dev, info.st_ino, info.st_nlink, info.st_size, info.st_mtime_ns, info.st_ctime_ns
    )


# ---- how a file stands there now


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_bytes(b"x" * 12345), id="file"),
        pytest.param(lambda path: path.mkdir(mode=0o751), id="folder"),
        pytest.param(lambda path: path.symlink_to("/nowhere/at/all"), id="link"),
        pytest.param(lambda path: os.mkfifo(path), id="fifo"),
        pytest.param(lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 5 * 2**32 + 1), id="huge"),
        pytest.param(lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), id="socket"),
    ],
)
def test_everything_is_as_python_itself_says(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "é \udcff"
    make(path)
    assert stat_file(path) == as_python_says(path.lstat())


@pytest.mark.parametrize("time_ns", [0, 1, -1, -1_500_000_001, 1_774_339_200_123_456_789, 2**32 * 10**9 + 7])
def test_times_are_exact_also_before_1970_and_far_ahead(tmp_path: Path, time_ns: int) -> None:
    path = tmp_path / "a"
    path.touch()
    os.utime(path, ns=(time_ns, time_ns))
    assert stat_file(path).mtime_ns == path.stat().st_mtime_ns


def test_the_number_of_names_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert stat_file(tmp_path / "a").links == 1
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert stat_file(tmp_path / "a").links == 2


def test_a_link_is_followed_only_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert stat_file(tmp_path / "link") == as_python_says((tmp_path / "link").lstat())
    assert stat_file(tmp_path / "link", follow=True) == as_python_says((tmp_path / "there").stat())


def test_an_open_file_is_told_of_whatever_has_its_name_now(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    with path.open("rb") as file:
        path.rename(tmp_path / "b")
        path.write_bytes(b"another one")
        assert stat_open_file(file.fileno()) == as_python_says((tmp_path / "b").stat())


def test_what_is_not_there_or_not_open_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        stat_file(tmp_path / "nowhere")
    assert caught.value.filename == str(tmp_path / "nowhere")
    with pytest.raises(OSError, match="Bad file descriptor"):
        stat_open_file(10**6)


@pytest.mark.root
@pytest.mark.fuse
def test_attributes_are_not_those_that_the_kernel_remembers_of_a_remote_file(tmp_path: Path) -> None:
    below, point = tmp_path / "below", tmp_path / "point"
    with bound(below, point, cached_s=3600):
        (point / "a").write_bytes(b"first")
        with (point / "a").open("rb") as file:
            remembered = (point / "a").stat().st_size
            (below / "a").write_bytes(b"longer than first")
            assert (point / "a").stat().st_size == remembered, "the kernel remembers, so there is something to test"
            assert stat_file(point / "a").size == len(b"longer than first")
            (below / "a").write_bytes(b"longer than that, still")
            assert stat_open_file(file.fileno()).size == len(b"longer than that, still")


# ---- what kind of file system it is


def magic(path: str) -> int:
    """f_type as coreutils reads it."""
    return int(process.run(["stat", "--file-system", "--format=%t", path], check=True).stdout, 16)


@pytest.mark.parametrize("path", ["/", "/proc", "/sys", "/dev"])
def test_local_file_systems_give_events(path: str) -> None:
    if magic(path) not in REMOTE:  # a root on NFS or 9p would be no mistake
        assert remote(Path(path)) is None


@pytest.mark.parametrize("path", ["/", "/proc", "/sys", "/dev"])
def test_the_kernels_own_number_of_a_file_system_decides(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    this_one = Remote("this one", folder_times=False)
    monkeypatch.setitem(REMOTE, magic(path), this_one)
    assert remote(Path(path)) == this_one


def test_a_path_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        remote(tmp_path / "nowhere")
    assert caught.value.filename == str(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("number", "name"),
    [(0x6969, "nfs"), (0x517B, "smb"), (0xFF534D42, "cifs"), (0xFE534D42, "smb2"), (0x01021997, "9p")],
)
def test_network_file_systems_are_known_by_their_numbers_in_linux_magic_h(number: int, name: str) -> None:
    assert REMOTE[number].name == name


# A FUSE file system that knows two answers: to INIT (26) and to STATFS (17).
FUSE = """
    import ctypes, os, struct, sys, threading
    from pathlib import Path
    from bridge.folder.file_system import remote
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"test", os.fsencode(sys.argv[1]), b"fuse", 0, options) != 0:
        sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")

    def serve():
        while True:
            _, operation, unique = struct.unpack_from("=IIQ", os.read(device, 1 << 17))
            answer = {26: struct.pack("=II", 7, 31) + bytes(56), 17: bytes(80)}.get(operation, b"")
            os.write(device, struct.pack("=IiQ", 16 + len(answer), 0 if answer else -38, unique) + answer)

    threading.Thread(target=serve, daemon=True).start()
    print(remote(Path(sys.argv[1])).name, flush=True)
    os._exit(0)
"""


@pytest.mark.root  # where /dev/fuse is root's own
def test_a_mounted_fuse_file_system_gives_no_events(tmp_path: Path) -> None:
    """A real mount, in a namespace of its own that ends with the process."""
    assert in_user_namespace(FUSE, tmp_path) == "fuse\n"
