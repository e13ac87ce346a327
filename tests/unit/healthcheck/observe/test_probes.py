"""What the probes make of what systemd, the journal, /proc and the disk answer, and what one that hangs costs."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen

import pytest
from support import process
from support.health_cases import config

from healthcheck.model.observation import CpuReading, DiskView, Known, LeftBehind, Unknown, value_of
from healthcheck.observe import commands, disk, disk_look, journal, probes, procfs, systemd
from healthcheck.observe.commands import CommandError, CommandTimeout, Ran

NOW = datetime(2026, 3, 24, 8, 15, tzinfo=UTC)

# As systemd 252 writes them.
NEVER_STARTED = """\
MainPID=0
StatusText=
Result=success
NRestarts=0
ExecMainStartTimestampMonotonic=0
ExecMainExitTimestampMonotonic=0
ExecMainCode=0
ExecMainStatus=0
ControlGroup=
MemoryCurrent=[not set]
CPUUsageNSec=[not set]
LoadState=loaded
ActiveState=inactive
SubState=dead
InvocationID=
"""
ACTIVE = """\
MainPID=62
StatusText=published 3 = fine
Result=success
NRestarts=1
ExecMainStartTimestampMonotonic=2437316232
ExecMainExitTimestampMonotonic=0
ExecMainCode=0
ExecMainStatus=0
ControlGroup=/system.slice/t.service
MemoryCurrent=84000000
CPUUsageNSec=1500000000
LoadState=loaded
ActiveState=active
SubState=running
InvocationID=d866700aa56c438596705e4ea58f13e6
"""
ABOUT_TO_RESTART = """\
MainPID=0
StatusText=published 3 = fine
Result=signal
NRestarts=0
ExecMainStartTimestampMonotonic=2437316232
ExecMainExitTimestampMonotonic=2470000000
ExecMainCode=2
ExecMainStatus=9
ControlGroup=
MemoryCurrent=[not set]
CPUUsageNSec=18446744073709551615
LoadState=loaded
ActiveState=activating
SubState=auto-restart
InvocationID=d866700aa56c438596705e4ea58f13e6
"""
MASKED_AND_KILLED = """\
MainPID=0
StatusText=
Result=signal
NRestarts=0
ExecMainStartTimestampMonotonic=2437316232
ExecMainExitTimestampMonotonic=2470000000
ExecMainCode=2
ExecMainStatus=9
ControlGroup=
MemoryCurrent=[not set]
CPUUsageNSec=18446744073709551615
LoadState=masked
ActiveState=failed
SubState=failed
InvocationID=8fdb1b1db07b4206b05701169c477aa6
"""


def unit(text: str) -> systemd.UnitState:
    return systemd.parse_unit(systemd.parse_show(text), 2500.0, NOW)


def test_a_running_unit_is_read_with_its_uptime_by_the_clock_that_does_not_step() -> None:
    state = unit(ACTIVE)
    assert state.is_running
    assert (state.main_pid, state.n_restarts, state.exec_main_code) == (62, 1, "")
    assert state.uptime_s == pytest.approx(62.683768)
    assert state.started_at is not None
    assert (NOW - state.started_at).total_seconds() == pytest.approx(62.683768, abs=1e-3)
    assert state.status_text == "published 3 = fine"


def test_a_unit_that_never_ran_has_no_process_and_no_uptime() -> None:
    state = unit(NEVER_STARTED)
    assert not state.is_running
    assert (state.main_pid, state.uptime_s, state.started_at, state.invocation_id) == (0, None, None, "")


def test_a_killed_process_is_read_with_its_signal() -> None:
    state = unit(ABOUT_TO_RESTART)
    assert (state.exec_main_code, state.exec_main_status, state.sub_state) == ("killed", 9, "auto-restart")
    assert not state.is_masked


def test_it_is_known_when_the_main_process_ended() -> None:
    assert unit(ABOUT_TO_RESTART).ended_at == NOW - timedelta(seconds=30)
    assert unit(ACTIVE).ended_at is None
    assert unit(NEVER_STARTED).ended_at is None


def test_a_masked_unit_is_known_as_masked() -> None:
    assert unit(MASKED_AND_KILLED).is_masked
    assert unit(MASKED_AND_KILLED).state == "failed (failed), masked"


def test_a_value_of_several_lines_stays_one_value_and_cannot_pass_for_a_property() -> None:
    properties = systemd.parse_show("StatusText=one\ntwo\nFoo=3\nResult=success\n")
    assert properties == {"StatusText": "one\ntwo\nFoo=3", "Result": "success"}


@pytest.mark.parametrize("broken", ["", "ActiveState=active\n", ACTIVE.replace("MainPID=62", "MainPID=x")])
def test_an_answer_of_systemd_that_makes_no_sense_is_an_error_not_a_state(broken: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        unit(broken)


def test_the_page_cache_is_not_counted_as_the_bridges_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "system.slice/t.service"
    group.mkdir(parents=True)
    (group / "memory.stat").write_text("anon 70000000\nfile 14000000\nactive_file 3000000\ninactive_file 10000000\n")
    monkeypatch.setattr(systemd, "CGROUP_ROOT", tmp_path)
    found = systemd._memory(systemd.parse_show(ACTIVE), unit(ACTIVE), "x")
    assert found == Known(71_000_000, "x, less the page cache")


def test_without_accounting_cpu_and_memory_come_from_proc() -> None:
    text = ACTIVE.replace("1500000000", "[not set]").replace("84000000", "[not set]")
    text = text.replace("MainPID=62", f"MainPID={os.getpid()}")
    properties, state = systemd.parse_show(text), unit(text)
    used, memory = systemd._cpu(properties, state, "x"), systemd._memory(properties, state, "x")
    assert isinstance(used, Known)
    assert isinstance(memory, Known)
    own_s = time.process_time()
    assert used.value.used_s == pytest.approx(own_s, abs=0.5)
    status = Path("/proc/self/status").read_text()
    own = int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) * 1024
    assert memory.value == pytest.approx(own, rel=0.1)


def test_cpu_comes_from_systemd_where_it_counts() -> None:
    found = systemd._cpu(systemd.parse_show(ACTIVE), unit(ACTIVE), "x")
    assert found == Known(CpuReading(1.5, "systemd d866700aa56c438596705e4ea58f13e6"), "x")


def test_a_process_name_with_parentheses_and_spaces_does_not_shift_the_fields() -> None:
    line = "62 (a) b (c) S 1 62 62 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 245984 1 2 3"
    assert procfs.parse_stat(line, 100) == (2.0, 245984)


def test_memory_is_what_the_process_has_of_its_own_without_the_pages_of_files(tmp_path: Path) -> None:
    size = 40 * 1024**2

    def used() -> int:
        return value_of(procfs.memory(os.getpid())) or 0

    file = tmp_path / "library"
    file.write_bytes(bytes(size))
    before = used()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[at] for at in range(0, size, mmap.PAGESIZE)) == 0
        assert used() - before < size / 4
        with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as own:
            own.write(bytes(size))
            assert used() - before > size / 2


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_a_process_that_is_not_there_is_unknown(pid: int) -> None:
    assert isinstance(procfs.cpu(pid), Unknown)
    assert isinstance(procfs.memory(pid), Unknown)


JOURNAL = (
    '{"__CURSOR":"s=d0;i=37","PRIORITY":"4","__REALTIME_TIMESTAMP":"1795554984682665","MESSAGE":"one"}\n'
    '{"__CURSOR":"s=d0;i=38","PRIORITY":"3","__REALTIME_TIMESTAMP":"1795554984682715","MESSAGE":[108,105,255]}\n'
    '{"__CURSOR":"s=d0;i=39","__REALTIME_TIMESTAMP":"1795554984682716","MESSAGE":null}\n'
    '{"__CURSOR":"s=d0;i=40","PRIORITY":"2","__REALTIME_TIMESTAMP":"1795554984682716","MESSAGE":["a","b"]}\n'
    "not json\n"
)


def test_journal_lines_are_read_whatever_form_their_message_has() -> None:
    lines, cursor = journal.parse(JOURNAL)
    assert [(line.priority, line.message) for line in lines] == [
        (4, "one"),
        (3, "li�"),
        (6, "(a message too long to show)"),
        (2, "a b"),
    ]
    assert lines[0].at == datetime(2026, 11, 24, 21, 16, 24, 682665, tzinfo=UTC)
    assert cursor == "s=d0;i=40"


def test_a_journal_that_may_not_be_read_is_unknown_not_empty() -> None:
    silent = Ran(1, "", "No journal files were opened due to insufficient permissions.\n")
    hinted = Ran(0, "", "Hint: You are currently not seeing messages from other users and the system.\n")
    for ran in (silent, hinted):
        with pytest.raises(CommandError, match="systemd-journal"):
            journal._output(ran)


# --- Other programs -----------------------------------------------------------------------------------------------


def test_a_programs_output_and_exit_status_are_returned() -> None:
    ran = commands.run([sys.executable, "-c", "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"], 20)
    assert ran == Ran(3, "out\n", "err")


def test_a_program_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(CommandError, match="No such file"):
        commands.run(["/no/such/program"], 5)


def test_a_program_that_hangs_is_ended_at_the_deadline_and_its_children_do_not_hold_us_up(tmp_path: Path) -> None:
    # The child keeps the output open after its parent was killed.
    script = 'sleep 100 & echo $! >"$1"; echo x; exec sleep 30'
    pid = tmp_path / "pid"
    pid.touch()
    started = time.monotonic()
    with pytest.raises(CommandTimeout, match=r"no answer within 0\.5 s") as error:
        commands.run(["sh", "-c", script, "sh", str(pid)], 0.5)
    assert time.monotonic() - started < 20, "not the program's 30 s"
    assert error.value.left is None
    for left in pid.read_text().split():
        os.kill(int(left), signal.SIGKILL)


def test_a_program_that_floods_us_is_ended() -> None:
    with pytest.raises(CommandError, match="bytes of output"):
        commands.run(["sh", "-c", "exec yes"], 30)


def left_behind(child: Popen[bytes]) -> LeftBehind:
    return LeftBehind(child.pid, int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]))


def test_a_process_that_cannot_be_ended_is_known_as_long_as_it_is_there() -> None:
    child = process.start(["sleep", "60"])
    child.send_signal(signal.SIGSTOP)
    left = left_behind(child)
    assert commands.is_running(left)
    assert not commands.is_running(replace(left, started=left.started - 1)), "another one had this id before"
    process.kill(child)
    assert not commands.is_running(left)


# --- The disk ------------------------------------------------------------------------------------------------------


def scans(root: Path, *ages: tuple[str, float]) -> None:
    for path, age_s in ages:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
        os.utime(file, ns=(0, time.time_ns() - int(age_s * 1e9)))


def test_the_newest_scan_and_the_newest_settled_one_are_found(tmp_path: Path) -> None:
    scans(tmp_path, ("2026-03-23/a.arrow", 90), ("2026-03-24/b.arrow", 60), ("2026-03-24/c.arrow", 30))
    # All three have landed just now, whatever their dates say.
    found = disk.list_newest(tmp_path, 2, 10.0, 30)
    assert found.newest is not None
    assert (found.state, found.newest.path, found.settled) == ("ok", "2026-03-24/c.arrow", None)
    later = disk_look.look(tmp_path, 2, 10.0, time.time_ns() + 20 * 10**9)
    assert later["settled"] == later["newest"] == found.newest


def test_a_scan_whose_name_is_no_text_is_found_as_well(tmp_path: Path) -> None:
    name = os.fsdecode(b"2026-03-24/\xff.arrow")
    scans(tmp_path, (name, 30))
    found = disk.list_newest(tmp_path, 2, 10.0, 30)
    assert found.newest is not None
    assert found.newest.path == name


def test_a_source_that_is_missing_or_empty_is_an_answer_with_its_reason(tmp_path: Path) -> None:
    assert disk.list_newest(tmp_path / "gone", 2, 10.0, 30).state == "missing"
    empty = disk.list_newest(tmp_path, 2, 10.0, 30)
    assert (empty.state, bool(empty.reason)) == ("empty", True)


def test_a_look_that_takes_too_long_is_an_answer_too_the_source_cannot_be_read() -> None:
    settings = config()
    answer, hung = probes._on_disk(CommandTimeout("python3: no answer within 8 s", LeftBehind(4711, 1)), settings)
    assert isinstance(answer, Known)
    assert (answer.value.state, hung) == ("unreadable", LeftBehind(4711, 1))
    assert "no answer within 8 s" in answer.value.reason


def test_a_source_that_only_the_check_may_not_read_is_unknown(tmp_path: Path) -> None:
    denied = DiskView("unreadable", f"{tmp_path}: {os.strerror(errno.EACCES)}")
    answer, _ = probes._on_disk(denied, config())
    assert isinstance(answer, Unknown)
    assert "group" in answer.reason


def test_while_an_earlier_look_still_hangs_no_other_is_started() -> None:
    child = process.start(["sleep", "60"])
    try:
        with pytest.raises(CommandTimeout, match="still hangs") as error:
            probes._look_at_disk(config(), 5, left_behind(child))
        assert error.value.left == left_behind(child)
    finally:
        process.kill(child)


# --- All of them ------------------------------------------------------------------------------------------------------


def test_on_a_host_that_does_not_know_the_unit_only_the_cluster_is_looked_at(tmp_path: Path) -> None:
    settings = config(unit="no-such-unit-anywhere.service", probe_timeout_s=20)
    settings = settings.model_copy(
        update={"hazelcast": settings.hazelcast.model_copy(update={"members": ("127.0.0.1:1",)})}
    )
    found = probes.observe(settings, None, None).snapshot
    assert found.scope.name == "remote"
    assert found.scope.reason.startswith("no such unit here: ")
    nothing = Unknown(f"not looked at: {found.scope.reason}", "not asked")
    assert {found.unit, found.cpu, found.memory_bytes, found.disk, found.journal} == {nothing}
    assert isinstance(found.hazelcast, Known)
    assert not found.hazelcast.value.reachable


def test_told_that_it_is_the_bridges_host_a_check_without_the_unit_is_blind_not_remote(tmp_path: Path) -> None:
    scans(tmp_path, ("2026-03-24/c.arrow", 30))
    settings = config(unit="no-such-unit-anywhere.service", scope="local", probe_timeout_s=20)
    settings = settings.model_copy(
        update={
            "source": settings.source.model_copy(update={"root": tmp_path}),
            "hazelcast": settings.hazelcast.model_copy(update={"members": ("127.0.0.1:1",)}),
        }
    )
    found = probes.observe(settings, None, None).snapshot
    assert found.scope.name == "local"
    assert isinstance(found.unit, Unknown)
    assert isinstance(found.disk, Known)
    assert isinstance(found.disk.value, DiskView)
    assert found.disk.value.newest is not None
