"""`scan-bridge` on the command line: what people and programs see, and what its exit codes say."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hazelcast
import pyarrow as pa
import pytest
from support import process
from support.bridge_process import (
    COMMAND,
    BridgeProcess,
    Consumer,
    NewBridge,
    Target,
    day,
    eventually,
    land,
    scan,
    scan_bridge,
)
from support.hazelcast_member import Member, free_port

pytestmark = pytest.mark.hazelcast
FAILED, USAGE, UNAVAILABLE, CONFIG = 1, 64, 69, 78
EXIT_S = 30.0


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, member: Member, client: hazelcast.HazelcastClient, worker_id: str
) -> Iterator[BridgeProcess]:
    """A bridge that has published one scan; not to be changed."""
    target = Target(member.address, member.cluster_name, f"command_line_{worker_id}")
    bridge = BridgeProcess(tmp_path_factory.mktemp("command_line"), target)
    try:
        land(bridge.root, f"{day()}/scan.arrow", scan(rows=30))
        bridge.start()
        bridge.wait_status(client, lambda status: status["published"], "it has published")
        yield bridge
    finally:
        bridge.close()
        for name in (target.map_name, f"{target.map_name}_status"):
            client.get_map(name).blocking().destroy()


def one_line(text: str) -> str:
    """The only line of this text; that it is one, and no traceback."""
    assert text.count("\n") == 1, text
    assert text.startswith("scan-bridge: ")
    return text


@contextlib.contextmanager
def on_a_terminal(*arguments: str | Path, until: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a command on a pseudo-terminal until it shows this text; the process and all it showed."""
    ours, theirs = pty.openpty()
    environment = process.environment(TERM="xterm")
    command = process.start([*COMMAND, *arguments], stdin=theirs, stdout=theirs, env=environment)
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = bytearray()

    def text() -> str:
        with contextlib.suppress(OSError):  # nothing new, or its end
            shown.extend(os.read(ours, 65536))
        return shown.decode(errors="replace")

    try:
        eventually(lambda: until in text(), lambda: f"{until!r} on the terminal: {text()!r}")
        yield command, text()
    finally:
        process.kill(command)
        os.close(ours)


# ---- status


def test_status_of_a_live_bridge_is_for_people(running: BridgeProcess) -> None:
    done = scan_bridge("status", "--config", running.config_path)

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "\x1b" not in done.stdout  # no terminal, no colours
    rows = dict(re.findall(r"(?m)^(\S+(?: \S+)*)  +(.*\S)", done.stdout))
    assert re.fullmatch(r"alive, heartbeat \d+\.\d s ago", rows["bridge"])
    assert f"pid {running.pid}" in rows["instance"]
    assert rows["source"].endswith(": ok, by inotify")
    assert rows["published"].startswith(f"{day()}/scan.arrow, ")
    assert rows["counters"] == "published 1, skipped 0, bad 0, retries 0, reconnects 0, overflows 0"
    starts = {re.match(r"(\S+(?: \S+)*)?  +", line).end() for line in done.stdout.splitlines()}  # type: ignore[union-attr]
    assert len(starts) == 1, "the columns are aligned"


def test_status_as_json_is_the_entry_itself(running: BridgeProcess, client: hazelcast.HazelcastClient) -> None:
    done = scan_bridge("status", "--json", "--config", running.config_path)

    assert done.returncode == 0
    shown, entry = json.loads(done.stdout), running.status(client)
    assert shown.pop("heartbeat_at") <= entry.pop("heartbeat_at")
    assert shown.keys() == entry.keys()
    assert shown["published"] == entry["published"]


def test_status_is_coloured_on_a_terminal(running: BridgeProcess) -> None:
    with on_a_terminal("status", "--config", running.config_path, until="counters") as (command, shown):
        assert command.wait(EXIT_S) == 0
    assert "\x1b[32malive" in shown


def test_status_watch_as_json_is_a_line_for_each_change(running: BridgeProcess) -> None:
    with process.start(
        [*COMMAND, "status", "--watch", "--json", "--config", running.config_path], stdout=subprocess.PIPE, text=True
    ) as command:
        try:
            assert command.stdout is not None
            lines = [json.loads(command.stdout.readline()) for _ in range(3)]
            command.send_signal(signal.SIGINT)
            assert command.wait(EXIT_S) == 0
        finally:
            process.kill(command)
    assert {line["pid"] for line in lines} == {running.pid}
    heartbeats = [line["heartbeat_at"] for line in lines]
    assert sorted(set(heartbeats)) == heartbeats, "no line twice"


def test_status_watch_goes_on_until_ctrl_c(running: BridgeProcess) -> None:
    with on_a_terminal("status", "--watch", "--config", running.config_path, until="Ctrl-C ends") as (command, _):
        command.send_signal(signal.SIGINT)

        assert command.wait(EXIT_S) == 0


def test_status_of_a_dead_bridge_exits_1_and_says_so(bridge: BridgeProcess, client: hazelcast.HazelcastClient) -> None:
    bridge.wait_status(client, bool, "a status")
    bridge.kill()

    done = eventually(
        lambda: (done := scan_bridge("status", "--config", bridge.config_path)).returncode and done, "it counts as dead"
    )

    assert done.returncode == FAILED
    assert "DEAD: no heartbeat for" in done.stdout
    assert scan_bridge("status", "--json", "--config", bridge.config_path).returncode == FAILED


# ---- latest


def latest(bridge: BridgeProcess, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done = scan_bridge("latest", "--config", bridge.config_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done


def test_latest_is_a_table_for_people(running: BridgeProcess) -> None:
    shown = latest(running).stdout

    assert shown.startswith(f"{day()}/scan.arrow")
    assert "sequence 1, 30 rows" in shown
    assert "eigenvalue" in shown
    assert re.search(r"│ 19 +│ 19 +│", shown)
    assert "10 more rows" in shown


def test_latest_as_json_has_a_line_for_each_row(running: BridgeProcess) -> None:
    rows = [json.loads(line) for line in latest(running, "--format", "json").stdout.splitlines()]

    assert rows == pa.ipc.open_file(scan(rows=30)).read_all().to_pylist()


def test_latest_as_csv_can_be_written_to_a_file(running: BridgeProcess, tmp_path: Path) -> None:
    assert latest(running, "--format", "csv", "-o", tmp_path / "scan.csv").stdout == ""

    lines = (tmp_path / "scan.csv").read_text().splitlines()
    assert lines[0] == '"asset","eigenvalue"'
    assert lines[30] == '"29",29'
    assert len(lines) == 31


def test_latest_as_arrow_is_the_value_itself(
    running: BridgeProcess, client: hazelcast.HazelcastClient, tmp_path: Path
) -> None:
    latest(running, "--format", "arrow", "-o", tmp_path / "scan.arrows")

    value = client.get_map(running.target.map_name).blocking().get("latest_eigen_scan")
    assert (tmp_path / "scan.arrows").read_bytes() == bytes(value)
    command = (*COMMAND, "latest", "--format", "arrow", "--config", running.config_path)
    piping = process.start(command, stdout=subprocess.PIPE)
    assert piping.communicate(timeout=EXIT_S)[0] == bytes(value)
    process.kill(piping)


def test_latest_as_arrow_does_not_spoil_a_terminal(running: BridgeProcess) -> None:
    arguments = ("latest", "--format", "arrow", "--config", running.config_path)
    with on_a_terminal(*arguments, until="use -o FILE or a pipe") as (command, shown):
        assert command.wait(EXIT_S) == FAILED
    assert "ARROW" not in shown


def test_latest_into_a_pipe_that_closes_early_is_no_error(running: BridgeProcess) -> None:
    command = (*COMMAND, "latest", "--format", "json", "--config", running.config_path)

    done = process.run(["bash", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "bash", *command])

    assert (done.returncode, done.stderr) == (0, "")


def test_latest_to_a_file_that_cannot_be_written_says_so(running: BridgeProcess) -> None:
    done = scan_bridge("latest", "-o", "/nowhere/scan", "--config", running.config_path)

    assert done.returncode == FAILED
    assert "/nowhere/scan" in one_line(done.stderr)


@pytest.mark.parametrize("value", [bytearray(b"no arrow"), "a string", 7], ids=["bytes", "text", "number"])
def test_latest_of_a_value_that_no_bridge_wrote_says_so(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, target: Target, value: object
) -> None:
    client.get_map(target.map_name).blocking().set("latest_eigen_scan", value)

    done = scan_bridge("latest", "--config", new_bridge().config_path)

    assert done.returncode == FAILED
    assert f"{target.map_name}/latest_eigen_scan" in one_line(done.stderr)


# ---- what is not there


@pytest.mark.parametrize(("command", "hint"), [("status", "has the bridge ever run"), ("latest", "no scan yet")])
def test_nothing_in_the_map_exits_1_and_says_so(new_bridge: NewBridge, target: Target, command: str, hint: str) -> None:
    done = scan_bridge(command, "--config", new_bridge().config_path)

    assert (done.returncode, done.stdout) == (FAILED, "")
    assert hint in one_line(done.stderr)


@pytest.mark.parametrize("command", ["status", "latest"])
def test_hazelcast_away_exits_69_and_says_so(new_bridge: NewBridge, command: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    bridge = new_bridge(target=Target(address, "prod", "scans"))

    done = scan_bridge(command, "--config", bridge.config_path)

    assert (done.returncode, done.stdout) == (UNAVAILABLE, "")
    assert one_line(done.stderr) == f"scan-bridge: Hazelcast prod@{address} cannot be reached: Connection refused\n"


@pytest.mark.parametrize("command", ["run", "check-config", "status", "latest"])
def test_a_wrong_configuration_exits_78_and_names_file_key_and_reason(
    new_bridge: NewBridge, target: Target, command: str
) -> None:
    bridge = new_bridge()
    bridge.configure(source={"rescan_s": "5 minutes", "rescan_m": 5})

    done = scan_bridge(command, "--config", bridge.config_path)

    assert (done.returncode, done.stdout) == (CONFIG, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"scan-bridge: {bridge.config_path}: source.rescan_") for line in lines)
    assert any(line.endswith("source.rescan_m: unknown key") for line in lines)


# ---- the rest


def test_check_config_prints_what_is_in_force(new_bridge: NewBridge, target: Target) -> None:
    bridge = new_bridge(source={"rescan_s": 7})

    done = scan_bridge("check-config", "--config", bridge.config_path, SCAN_BRIDGE_SOURCE__POLL_S="0.25")

    assert done.returncode == 0
    assert done.stderr == "" or done.stderr.startswith("scan-bridge: checked as root; ")
    effective = json.loads(done.stdout)
    assert effective["source"]["rescan_s"] == 7  # from the file
    assert effective["source"]["poll_s"] == 0.25  # from the environment
    assert effective["source"]["settle_s"] == 2  # the default
    assert effective["hazelcast"]["map"] == target.map_name


def test_the_environment_wins_over_the_file(new_bridge: NewBridge, target: Target, tmp_path: Path) -> None:
    done = scan_bridge("check-config", SCAN_BRIDGE_CONFIG=str(new_bridge().config_path))
    assert json.loads(done.stdout)["hazelcast"]["map"] == target.map_name


def test_version_help_and_completion_work_without_a_configuration() -> None:
    assert scan_bridge("--version").stdout.startswith("scan-bridge ")
    assert "exit codes:" in scan_bridge("--help").stdout
    assert "examples:" in scan_bridge("status", "--help").stdout
    assert "scan-bridge" in scan_bridge("--print-completion", "bash").stdout


@pytest.mark.parametrize("arguments", [[], ["fly"], ["latest", "--format", "xml"]])
def test_wrong_usage_exits_64(arguments: list[str]) -> None:
    done = scan_bridge(*arguments)

    assert done.returncode == USAGE
    assert "usage: scan-bridge" in done.stderr


def test_what_simulate_writes_is_published(bridge: BridgeProcess, consumer: Consumer) -> None:
    done = scan_bridge("simulate", bridge.root, "--count", "20", "--rate", "50", "--assets", "10", "--bad", "0.3")
    newest_whole = max(
        (path for path in bridge.root.glob("*/*.arrow") if is_whole(path)), key=lambda path: path.stat().st_mtime_ns
    )

    assert done.returncode == 0
    consumer.expect(str(newest_whole.relative_to(bridge.root)))
    consumer.assert_rising()


def is_whole(path: Path) -> bool:
    try:
        pa.ipc.open_file(path).read_all()
    except (pa.ArrowInvalid, OSError):
        return False
    return True
