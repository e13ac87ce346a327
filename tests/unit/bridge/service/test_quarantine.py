"""The memory of files that killed the bridge: a real process dies, the next one knows why."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support import process

from bridge.model.order import ScanFile
from bridge.service.quarantine import BOOT_VARIABLE, DEATHS_OF_A_KILLER, MOST_SET_ASIDE, RECORD_BYTES, Quarantine

WithoutRoot = Callable[[], AbstractContextManager[None]]

FILE = ScanFile(1774339200123456789, "2026-03-24/scan_0815.arrow", 100_000, 1774339200123456790)
# Dies inside `in_hand`, as by a crash of the decoder: nothing is cleaned up.
DIE = """
import json, os, signal, sys
from pathlib import Path
from bridge.model.order import ScanFile
from bridge.service.quarantine import Quarantine
quarantine = Quarantine(Path(sys.argv[1]))
with quarantine.in_hand(ScanFile(*json.loads(sys.argv[2]))):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def die(state: Path, file: ScanFile) -> None:
    assert process.run([sys.executable, "-c", DIE, state, json.dumps(file)]).returncode == -signal.SIGKILL


def leave_in_hand(state: Path, file: ScanFile, deaths: int = DEATHS_OF_A_KILLER) -> None:
    """As if the process had died so often with this file in hand."""
    for _ in range(deaths):
        quarantine = Quarantine(state)
        in_hand = quarantine.in_hand(file)
        in_hand.__enter__()
        quarantine.close()


def test_a_fresh_state_knows_of_no_killer(state: Path) -> None:
    quarantine = Quarantine(state / "not" / "yet" / "there")
    assert (quarantine.killer, quarantine.set_aside) == (None, [])


def test_the_file_in_hand_at_two_deaths_in_a_row_is_the_killer(state: Path) -> None:
    die(state, FILE)
    die(state, FILE)
    quarantine = Quarantine(state)
    assert quarantine.killer == FILE
    assert quarantine.set_aside == [FILE]


def test_the_file_in_hand_at_one_death_is_tried_once_more_and_that_is_said(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    die(state, FILE)
    quarantine = Quarantine(state)
    assert (quarantine.killer, quarantine.set_aside) == (None, [])
    assert caplog.messages == [f"the bridge died with {FILE.path} in hand; it is tried once more"]


def test_who_dies_with_the_machine_was_killed_by_no_file(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for boot in ("first", "second", "third"):
        monkeypatch.setenv(BOOT_VARIABLE, boot)
        leave_in_hand(state, FILE, deaths=1)
    monkeypatch.setenv(BOOT_VARIABLE, "fourth")
    assert Quarantine(state).set_aside == []
    assert caplog.messages == []


def test_a_reboot_between_two_deaths_makes_them_no_fewer(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BOOT_VARIABLE, "first")
    leave_in_hand(state, FILE, deaths=1)
    leave_in_hand(state, FILE, deaths=1)  # with one death behind it, as the power fails
    monkeypatch.setenv(BOOT_VARIABLE, "second")
    leave_in_hand(state, FILE, deaths=1)
    assert Quarantine(state).set_aside == [FILE]


OTHER = FILE._replace(path="2026-03-24/other.arrow")


def survives(state: Path, file: ScanFile | None = None) -> None:
    """A run that ends well, having handled this file."""
    quarantine = Quarantine(state)
    if file is not None:
        with quarantine.in_hand(file):
            pass
    quarantine.close()


@pytest.mark.parametrize("between", [lambda state: survives(state, FILE), survives, lambda state: die(state, OTHER)])
def test_two_deaths_that_are_not_in_a_row_set_nothing_aside(state: Path, between: Callable[[Path], None]) -> None:
    die(state, FILE)
    between(state)
    die(state, FILE)
    quarantine = Quarantine(state)
    assert (quarantine.killer, quarantine.set_aside) == (None, [])


def test_a_file_that_is_changed_after_a_death_begins_anew(state: Path) -> None:
    die(state, FILE)
    die(state, FILE._replace(mtime_ns=FILE.mtime_ns + 1))
    assert Quarantine(state).killer is None


def test_a_record_of_version_1_0_counts_as_one_death(state: Path) -> None:
    state.mkdir()
    (state / "in-hand").write_bytes(json.dumps(FILE).encode().ljust(RECORD_BYTES, b"\0"))
    die(state, FILE)
    assert Quarantine(state).killer == FILE


def test_a_killer_is_named_once_and_stays_set_aside(state: Path) -> None:
    leave_in_hand(state, FILE)
    Quarantine(state).close()
    for _ in range(2):
        quarantine = Quarantine(state)
        assert quarantine.killer is None
        assert quarantine.set_aside == [FILE]
        quarantine.close()


def test_each_killer_is_set_aside(state: Path) -> None:
    other = FILE._replace(path="2026-03-24/other.arrow")
    leave_in_hand(state, FILE)
    leave_in_hand(state, other)
    assert Quarantine(state).set_aside == [FILE, other]


def test_a_file_that_was_decoded_is_not_to_blame(state: Path) -> None:
    quarantine = Quarantine(state)
    with quarantine.in_hand(FILE):
        pass
    quarantine.close()
    assert Quarantine(state).killer is None


def test_a_file_that_was_refused_is_not_to_blame(state: Path) -> None:
    quarantine = Quarantine(state)
    with pytest.raises(ValueError, match="no scan"), quarantine.in_hand(FILE):
        raise ValueError("no scan")
    quarantine.close()
    assert Quarantine(state).killer is None


def test_a_shorter_record_wipes_a_longer_one(state: Path) -> None:
    quarantine = Quarantine(state)
    with quarantine.in_hand(FILE._replace(path="x" * 250)):
        pass
    quarantine.close()
    short = FILE._replace(path="y")
    leave_in_hand(state, short)
    assert Quarantine(state).killer == short


def test_the_longest_possible_name_fits(state: Path) -> None:
    longest = FILE._replace(path="2026-03-24/" + "\udcff" * 249 + ".arrow")
    assert len(json.dumps(longest)) < RECORD_BYTES
    leave_in_hand(state, longest)
    assert Quarantine(state).killer == longest


def test_the_record_takes_one_block_on_the_disk_for_ever(state: Path) -> None:
    quarantine = Quarantine(state)
    for number in range(10):
        with quarantine.in_hand(FILE._replace(path=f"{number}")):
            assert (state / "in-hand").stat().st_size == RECORD_BYTES
    assert (state / "in-hand").stat().st_size == RECORD_BYTES


def test_only_so_many_are_remembered(state: Path) -> None:
    known = [FILE._replace(size=size) for size in range(MOST_SET_ASIDE)]
    leave_in_hand(state, FILE)
    (state / "set-aside.json").write_text(json.dumps(known))
    assert Quarantine(state).set_aside == [*known[1:], FILE]


def test_nothing_is_left_half_written(state: Path) -> None:
    leave_in_hand(state, FILE)
    Quarantine(state)
    assert sorted(path.name for path in state.iterdir()) == ["in-hand", "set-aside.json"]


@pytest.mark.parametrize("damage", [b"garbage", b"[1, 2]", b"5", b'{"a": 1}', b"\xff\xfe", b"[[1, 2]]", b"[5]"])
def test_a_damaged_list_is_reported_and_the_killer_remembered_all_the_same(
    state: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    leave_in_hand(state, FILE)
    caplog.clear()
    (state / "set-aside.json").write_bytes(damage)
    quarantine = Quarantine(state)
    assert (quarantine.killer, quarantine.set_aside) == (FILE, [FILE])
    assert len(caplog.messages) == 1
    assert str(state / "set-aside.json") in caplog.messages[0]
    caplog.clear()
    assert Quarantine(state).set_aside == [FILE]
    assert caplog.messages == []


@pytest.mark.parametrize("damage", [b"garbage", b"[1, 2]", b"5", b"{}", b"\xff\xfe", b'[1, "a", 2, 3'])
def test_a_damaged_record_is_reported_once_and_the_list_kept(
    state: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    leave_in_hand(state, FILE)
    Quarantine(state).close()
    caplog.clear()
    (state / "in-hand").write_bytes(damage)
    quarantine = Quarantine(state)
    assert (quarantine.killer, quarantine.set_aside) == (None, [FILE])
    assert len(caplog.messages) == 1
    assert str(state / "in-hand") in caplog.messages[0]
    caplog.clear()
    assert Quarantine(state).set_aside == [FILE]
    assert caplog.messages == []


def test_without_a_usable_state_folder_the_bridge_runs_on_and_says_so(
    open_path: Path, without_root: WithoutRoot, caplog: pytest.LogCaptureFixture
) -> None:
    open_path.chmod(0o555)
    with without_root():
        quarantine = Quarantine(open_path / "state")
        with quarantine.in_hand(FILE):
            pass
        quarantine.close()
    assert quarantine.set_aside == []
    assert len(caplog.messages) == 1
    assert "files that kill the bridge will not be remembered" in caplog.messages[0]


def test_a_full_disk_does_not_stop_the_scans(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quarantine = Quarantine(state)
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(
        "bridge.service.quarantine.os.pwrite", lambda _descriptor, record, _offset: os.write(full, record)
    )
    with quarantine.in_hand(FILE):
        pass
    os.close(full)


def test_closing_twice_is_harmless_and_gives_the_descriptor_back(state: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    quarantine = Quarantine(state)
    quarantine.close()
    quarantine.close()
    assert len(os.listdir("/proc/self/fd")) == before
