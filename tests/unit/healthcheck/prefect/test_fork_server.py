"""The fork server: a process for each request, and nothing that one does to itself reaches the next.

Each test is a program of its own: a fork server is made where there is one thread only.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from support import process

HEAD = """
import atexit, json, os, signal, sys, threading, time
from healthcheck.prefect.fork_server import ForkServer, ForkServerError

said, tell = os.pipe()
corrupted = False

def target(request):
    global corrupted
    os.write(tell, f"{corrupted} ".encode())
    corrupted = True
    atexit.register(os.write, tell, b"at-exit ")
    match request["what"]:
        case "raise": raise ValueError("a defect")
        case "exit": sys.exit(7)
        case "kill": os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True: time.sleep(60)

def joined(process):
    process.join()
    return process.exitcode

def done(**results):
    os.write(tell, b"end")
    print(json.dumps({"said": os.read(said, 9999).decode().split(), **results}))
"""


def outcome(program: str) -> dict[str, Any]:
    """What the program said by `done`."""
    ended = process.run([sys.executable, "-c", HEAD + program])
    assert ended.returncode == 0
    return dict(json.loads(ended.stdout))


@pytest.mark.parametrize(
    ("what", "exitcode", "said"),
    [
        ("nothing", 0, ["False", "at-exit"]),
        ("raise", 1, ["False", "at-exit"]),
        ("exit", 7, ["False", "at-exit"]),
        ("kill", -9, ["False"]),
        ("hang", -9, ["False"]),
    ],
)
def test_however_a_process_ends_it_is_known_within_its_deadline_and_the_next_is_as_new(
    what: str, exitcode: int, said: list[str]
) -> None:
    seen = outcome(f"""
server = ForkServer(target)
ended = [joined(server.start({{"what": what}}, 1.0 if what == "hang" else 60)) for what in ("{what}", "nothing")]
done(ended=ended, alive=server.is_alive)
""")
    assert seen == {"said": [*said, "False", "at-exit", "end"], "ended": [exitcode, 0], "alive": True}


def test_a_reply_to_a_request_that_was_given_up_is_not_taken_for_that_of_the_next() -> None:
    seen = outcome("""
server = ForkServer(target)
server.start({"what": "exit"}, 60)
done(ended=joined(server.start({"what": "nothing"}, 60)))
""")
    assert seen["ended"] == 0


def test_a_server_that_was_killed_is_an_error_and_is_seen() -> None:
    seen = outcome("""
server = ForkServer(target)
os.kill(server._pid, signal.SIGKILL)
try:
    server.start({"what": "nothing"}, 60)
except ForkServerError as error:
    done(error=str(error), alive=server.is_alive)
""")
    assert seen["error"].startswith("no process was forked: ")
    assert not seen["alive"]


def test_a_stop_ends_the_server_and_what_it_forked() -> None:
    seen = outcome("""
server = ForkServer(target)
process = server.start({"what": "hang"}, 60)
waiting = threading.Thread(target=process.join)
waiting.start()
server.stop()
waiting.join(30)
done(ended=process.exitcode, alive=server.is_alive)
""")
    assert seen["ended"] == -9
    assert not seen["alive"]


def test_it_is_not_made_beside_a_thread_whose_locks_would_be_inherited() -> None:
    seen = outcome("""
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
try:
    ForkServer(target)
except RuntimeError as error:
    done(error=str(error))
""")
    assert "before any thread" in seen["error"]
