"""The tests' own Hazelcast members: other tests rely on these being what they say."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import process
from support.hazelcast_member import Member, MemberError

pytestmark = pytest.mark.hazelcast


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_member_dies_with_the_process_that_started_it_even_if_that_is_killed() -> None:
    code = "from support.hazelcast_member import Member; print(Member().start().pid, flush=True); input()"
    tests = Path(__file__).parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    owner = process.start([sys.executable, "-c", code], cwd=tests, text=True, **pipes)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert is_running(pid)
    process.kill(owner)
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


def test_the_shared_member_is_one_for_all_and_ends_with_the_run_without_being_called_a_leftover() -> None:
    code = """if True:
        from support.leftovers import Watchman
        from support.shared_member import shared_member

        watchman = Watchman()
        first, second = shared_member(), shared_member()
        first.client().get_map("m").blocking().set("key", "value")
        assert second.client().get_map("m").blocking().get("key") == "value"
        first.close()
        second.close()
        assert shared_member().client().get_map("m").blocking().get("key") == "value"
        print(first.port)
        assert watchman.sweep() == ""
    """
    shared = process.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, timeout_s=120)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(shared.stdout)), 5)


def test_a_killed_member_comes_back_on_its_port_without_its_data(own_member: Member) -> None:
    own_member.client().get_map("m").blocking().set("key", "value")
    address = own_member.address
    own_member.kill()
    own_member.start()
    assert own_member.address == address
    assert own_member.client().get_map("m").blocking().get("key") is None


def test_a_frozen_member_answers_when_it_goes_on(own_member: Member) -> None:
    entries = own_member.client().get_map("m")
    own_member.pause()
    answer = entries.size()
    time.sleep(0.2)
    assert not answer.done()
    own_member.resume()
    assert answer.result() == 0


def test_a_port_in_use_is_an_error_not_another_port(own_member: Member) -> None:
    second = Member(port=own_member.port)
    with pytest.raises(MemberError, match=r"[Pp]ort"):
        second.start()
    second.close()


def test_without_the_jar_the_error_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    member = Member()
    with pytest.raises(MemberError, match=r"^hazelcast-local: Hazelcast's jar is missing .*run: make setup$"):
        member.start()
    member.close()


def test_what_a_test_has_left_in_its_member_is_gone_for_the_next_one(own_member: Member) -> None:
    client = own_member.client()
    client.get_map("m").blocking().set("key", "value")
    client.get_queue("q").blocking().put("item")
    own_member.pause()
    assert own_member.rest()
    assert own_member.clear()
    client = own_member.client()
    assert client.get_distributed_objects() == []
    assert client.get_map("m").blocking().size() == client.get_queue("q").blocking().size() == 0
    os.kill(own_member.pid, signal.SIGKILL)
    os.waitid(os.P_PID, own_member.pid, os.WEXITED | os.WNOWAIT)
    assert not own_member.rest()
    assert not own_member.clear()
