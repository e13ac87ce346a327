"""A replay writes every scan again, in order, with the times of now; only into its folder, and over nothing there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import process
from support.bridge_process import eventually
from support.mounts import in_user_namespace

DAY = 86_400 * 10**9
BEGIN_NS = 1_774_339_200 * 10**9  # 2026-03-24T08:00 UTC
TODAY = re.compile(r"\d{4}-\d{2}-\d{2}")
COMMAND = (sys.executable, "-c", "import sys; from bridge.cli import main; sys.exit(main())", "replay")

# The command where the kernel answers each link as it does on FAT: by a filter of the process's own system calls.
WITHOUT_LINKS = """
import ctypes, errno, platform, struct, sys
number = {"x86_64": 265, "aarch64": 37}[platform.machine()]  # linkat
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | errno.EPERM), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
for arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.addressof(program), 0, 0)):
    assert prctl(*map(ctypes.c_ulong, arguments)) == 0, errno.errorcode[ctypes.get_errno()]
from bridge.cli import main
sys.exit(main())
"""


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "into"


def record(archive: Path, path: str, seconds: float, content: bytes | None = None) -> str:
    """A scan that was recorded so many seconds after the beginning."""
    file = archive / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content or path.encode())
    time_ns = BEGIN_NS + int(seconds * 1e9)
    os.utime(file, ns=(time_ns, time_ns))
    return path


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return process.run([*COMMAND, *arguments])


def replayed(into: Path) -> list[str]:
    """What was written, by modification time."""
    files = [path for path in into.glob("*/*") if path.is_file()]
    assert len({file.stat().st_mtime_ns for file in files}) == len(files), "each has a time of its own"
    return [file.read_text() for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_scans_are_written_in_the_order_of_their_recording_with_the_times_of_now(archive: Path, into: Path) -> None:
    late = record(archive, "2026-03-25/a.arrow", 0.02)
    first = record(archive, "2026-03-24/z.arrow", 0)
    second = record(archive, "2026-03-24/b.arrow", 0.01)
    before, begin_ns = snapshot(archive), time.time_ns()
    done = replay(archive, "--into", into)
    assert (done.returncode, done.stderr) == (0, "")
    assert replayed(into) == [first, second, late]
    assert all(begin_ns <= path.stat().st_mtime_ns <= time.time_ns() for path in into.glob("*/*.arrow"))
    today = {f"{datetime.fromtimestamp(ns / 1e9, UTC):%Y-%m-%d}" for ns in (begin_ns, time.time_ns())}
    assert {path.name for path in into.iterdir()} <= today
    assert "wrote 3 of 3 scans" in done.stdout
    assert snapshot(archive) == before


def test_the_pace_is_the_recorded_one_or_faster(archive: Path, into: Path) -> None:
    for number in range(4):
        record(archive, f"2026-03-24/{number}.arrow", number * 100.0)
    begin_s = time.monotonic()
    assert replay(archive, "--into", into, "--speed", "1000").returncode == 0
    assert time.monotonic() - begin_s >= 0.3
    times_ns = sorted(path.stat().st_mtime_ns for path in into.glob("*/*.arrow"))
    assert times_ns[-1] - times_ns[0] >= 0.25e9


def test_only_what_was_recorded_between_two_times_is_written(archive: Path, into: Path) -> None:
    scans = [record(archive, f"2026-03-24/{number}.arrow", number * 60) for number in range(5)]
    times = ("--from", "2026-03-24T08:01", "--to", "2026-03-24T10:03+02:00", "--speed", "1000000")
    assert replay(archive, "--into", into, *times).returncode == 0
    assert replayed(into) == scans[1:4]


@pytest.mark.parametrize("name", ["l" * 249 + ".arrow", "\N{GRINNING FACE}" * 62 + ".arrow"])
def test_a_name_may_be_as_long_as_names_can_be(archive: Path, into: Path, name: str) -> None:
    record(archive, f"2026-03-24/{name}", 0)
    done = replay(archive, "--into", into)
    assert (done.returncode, done.stderr) == (0, "")
    assert [file.name for file in into.glob("*/*")] == [name]


def test_what_is_no_scan_is_left_out(archive: Path, into: Path, tmp_path: Path) -> None:
    good = record(archive, "2026-03-24/good.arrow", 0)
    for other in ("2026-03-24/.hidden.arrow", "2026-03-24/x.csv", "notes/x.arrow", "2026-03-24/sub/x.arrow"):
        record(archive, other, 0)
    (tmp_path / "secret").write_text("secret")
    (archive / "2026-03-24/link.arrow").symlink_to(tmp_path / "secret")
    os.mkfifo(archive / "2026-03-24/pipe.arrow")
    (archive / "2026-03-25").symlink_to(archive / "2026-03-24")
    assert replay(archive, "--into", into).returncode == 0
    assert replayed(into) == [good]


def test_what_is_there_already_is_never_replaced(archive: Path, into: Path) -> None:
    for day in (24, 25, 26):
        record(archive, f"2026-03-{day}/scan.arrow", day)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    (into / today).mkdir(parents=True)
    (into / today / "scan.arrow").write_text("was here")
    assert replay(archive, "--into", into, "--speed", "1000").returncode == 0
    assert (into / today / "scan.arrow").read_text() == "was here"
    assert sorted(replayed(into)) == sorted(["was here", *(f"2026-03-{day}/scan.arrow" for day in (24, 25, 26))])


@pytest.mark.parametrize("where", ["", "2026-03-24", "new", "2026-03-24/new", "../link", "../link/2026-03-24"])
def test_a_target_that_is_the_archive_or_lies_in_it_is_refused(archive: Path, where: str) -> None:
    record(archive, "2026-03-24/a.arrow", 0)
    (archive.parent / "link").symlink_to(archive)
    before = snapshot(archive)
    done = replay(archive, "--into", archive / where)
    assert (done.returncode, done.stdout) == (1, "")
    assert "lies in it; give --into a folder elsewhere" in done.stderr
    assert snapshot(archive) == before
    assert [path.name for path in archive.iterdir()] == ["2026-03-24"]


def test_a_target_of_which_the_archive_is_a_day_folder_is_refused(tmp_path: Path) -> None:
    """It may be today's."""
    archive = tmp_path / f"{datetime.now(UTC):%Y-%m-%d}"
    record(archive, "2026-03-24/a.arrow", 0)
    before = snapshot(archive)
    done = replay(archive, "--into", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is a day folder of" in done.stderr
    assert snapshot(archive) == before


def test_a_target_without_a_name_is_wrong_usage(archive: Path) -> None:
    record(archive, "2026-03-24/a.arrow", 0)
    done = replay(archive, "--into", "")
    assert done.returncode == 64
    assert "names no folder" in done.stderr


@pytest.mark.parametrize("where", ["", "2026-03-24"])
def test_a_target_that_is_a_bind_mount_of_the_archive_is_refused(archive: Path, into: Path, where: str) -> None:
    record(archive, "2026-03-24/a.arrow", 0)
    into.mkdir()
    script = """
        import subprocess, sys
        subprocess.run(["mount", "--bind", sys.argv[1], sys.argv[2]], check=True)
        print(subprocess.run([*sys.argv[3:], "--into", sys.argv[2]], stderr=subprocess.PIPE).stderr.decode())
    """
    told = in_user_namespace(script, archive / where, into, *COMMAND, archive)
    assert "lies in it; give --into a folder elsewhere" in told
    assert list(snapshot(archive)) == [str(archive / "2026-03-24/a.arrow")]


def test_a_day_folder_that_leads_elsewhere_is_not_followed(archive: Path, into: Path, tmp_path: Path) -> None:
    record(archive, "2026-03-24/a.arrow", 0)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    into.mkdir()
    for offset in (0, DAY):
        (into / f"{datetime.fromtimestamp((time.time_ns() + offset) / 1e9, UTC):%Y-%m-%d}").symlink_to(elsewhere)
    done = replay(archive, "--into", into)
    assert done.returncode == 1
    assert TODAY.search(done.stderr)
    assert "no folder of its own" in done.stderr
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{archive}/none", "--into", "{into}"], "none: No such file or directory"),
        (["{archive}/2026-03-24/a.arrow", "--into", "{into}"], "a.arrow: Not a directory"),
        (["{archive}", "--into", "{into}/deep/er"], "deep/er: No such file or directory"),
        (["{archive}", "--into", "{into}", "--from", "2026-03-25"], "no scans"),
    ],
)
def test_what_cannot_be_done_is_one_line(archive: Path, into: Path, arguments: list[str], reason: str) -> None:
    record(archive, "2026-03-24/a.arrow", 0)
    done = replay(*(argument.format(archive=archive, into=into) for argument in arguments))
    assert done.returncode == 1
    assert re.fullmatch(f"replay: .*{reason}.*\n", done.stderr)
    assert not into.exists()


@pytest.mark.parametrize("arguments", [["--speed", "0"], ["--speed", "-1"], ["--from", "yesterday"], []])
def test_wrong_usage_has_its_own_exit_code(archive: Path, into: Path, arguments: list[str]) -> None:
    assert replay(archive, *(["--into", into, *arguments] if arguments else [])).returncode == 64


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(archive: Path, into: Path, number: signal.Signals) -> None:
    first = record(archive, "2026-03-24/a.arrow", 0)
    record(archive, "2026-03-24/b.arrow", 3600)
    running = process.start([*COMMAND, archive, "--into", into], stdout=subprocess.PIPE)
    eventually(lambda: list(into.glob("*/*.arrow")), "the first scan")
    running.send_signal(number)
    out, _ = running.communicate(timeout=30)
    assert running.returncode == 0
    assert out.decode().endswith("wrote 1 of 2 scans\n")
    assert replayed(into) == [first]


@pytest.mark.exhaustive
def test_a_target_that_is_taken_away_is_no_fault_of_the_archive(archive: Path, into: Path) -> None:
    record(archive, "2026-03-24/a.arrow", 0)
    record(archive, "2026-03-24/b.arrow", 3000)
    running = process.start([*COMMAND, archive, "--into", into, "--speed", "1000"], stdout=subprocess.PIPE)
    eventually(lambda: list(into.glob("*/a.arrow")), "the first scan")
    shutil.rmtree(into)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "replay: the folder to write into is gone" in out.decode()


@pytest.mark.exhaustive
def test_a_scan_that_is_tidied_up_meanwhile_is_counted(archive: Path, into: Path) -> None:
    record(archive, "2026-03-24/a.arrow", 0)
    gone = archive / record(archive, "2026-03-24/b.arrow", 3000)
    last = record(archive, "2026-03-24/c.arrow", 3001)
    running = process.start([*COMMAND, archive, "--into", into, "--speed", "1000"], stdout=subprocess.PIPE)
    eventually(lambda: list(into.glob("*/a.arrow")), "the first scan")
    gone.unlink()
    out, _ = running.communicate(timeout=60)
    assert out.decode().endswith("wrote 2 of 3 scans; 1 were gone from the archive by then\n")
    assert replayed(into)[-1] == last


def test_where_there_are_no_hard_links_it_writes_all_the_same_and_replaces_nothing(archive: Path, into: Path) -> None:
    scans = [record(archive, f"2026-03-{date}/a.arrow", date) for date in (24, 25)]
    ended = process.run([sys.executable, "-c", WITHOUT_LINKS, "replay", archive, "--into", into, "--speed", "1000000"])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert replayed(into) == scans
    assert sorted(file.name for file in into.glob("*/*")) == ["a-2.arrow", "a.arrow"]
