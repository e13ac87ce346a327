"""A bad file costs one log line and one counter; it never blocks the next one, nor the process."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hazelcast
import pyarrow as pa
import pytest
from support import process
from support.bridge_process import BridgeProcess, Consumer, NewBridge, Target, day, decode, eventually, land, scan
from support.hazelcast_member import Member

pytestmark = pytest.mark.hazelcast

GIB = 1024**3


def bomb() -> bytes:
    """A small compressed scan that expands to 2 GiB."""
    # Private pages that are only read all are the kernel's one page of zeros.
    zeros = pa.py_buffer(mmap.mmap(-1, 2 * GIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    column = pa.Array.from_buffers(pa.int64(), 2 * GIB // 8, [None, zeros])
    batch = pa.record_batch([column], names=["zero"])
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    content = sink.getvalue().to_pybytes()
    assert len(content) < 1024**2
    return content


def truncated(path: Path) -> None:
    path.write_bytes(scan()[:-20])


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def garbage_after_the_magic(path: Path) -> None:
    path.write_bytes(b"ARROW1\0\0" + os.urandom(5000) + b"ARROW1")


def empty(path: Path) -> None:
    path.touch()


def directory(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero: endless


def link_out_of_root(path: Path) -> None:
    outside = path.parent.parent.parent / "outside.arrow"
    outside.write_bytes(scan("secret"))
    path.symlink_to(outside)


def link_within_root(path: Path) -> None:
    target = path.with_name("target.arrow.original")
    target.write_bytes(scan())
    path.symlink_to(target)


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def no_permission(path: Path) -> None:
    hidden = path.with_name(".hidden")
    hidden.write_bytes(scan())
    hidden.chmod(0)
    hidden.rename(path)


def sparse_2_gib(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 * GIB)


def expands_to_2_gib(path: Path) -> None:
    path.write_bytes(bomb())


BAD = {
    truncated: "Arrow",
    garbage: "Arrow",
    garbage_after_the_magic: "footer",
    empty: "empty",
    directory: "not a regular file (d)",
    fifo: "not a regular file (p)",
    device: "not a regular file (c)",
    link_out_of_root: "symbolic link",
    link_within_root: "symbolic link",
    dangling_link: "symbolic link",
    no_permission: "Permission denied",
    sparse_2_gib: "max_scan_bytes",
    expands_to_2_gib: "expand",
}


def heartbeats(bridge: BridgeProcess, client: hazelcast.HazelcastClient, count: int) -> None:
    """Wait for as many more status entries: the bridge goes on, and had time to look again."""
    for _ in range(count):
        before = bridge.status(client)["heartbeat_at"]
        bridge.wait_status(client, lambda status, before=before: status["heartbeat_at"] > before, "a heartbeat")


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, member: Member, client: hazelcast.HazelcastClient, worker_id: str
) -> Iterator[tuple[BridgeProcess, Consumer]]:
    """One bridge that meets all the bad files: what harms it shows in the next test at the latest."""
    target = Target(member.address, member.cluster_name, f"bad_files_{worker_id}")
    consumer = Consumer(client, target.map_name)
    bridge = BridgeProcess(
        tmp_path_factory.mktemp("bad_files"),
        target,
        prefix=process.as_anybody(),
        source={"settle_s": 0.3, "rescan_s": 0.1},
        status={"heartbeat_s": 0.2},
    )
    try:
        yield bridge.start(), consumer
    finally:
        bridge.close()
        consumer.close()
        for name in (target.map_name, f"{target.map_name}_status"):
            client.get_map(name).blocking().destroy()


@pytest.mark.parametrize(("make", "reason"), BAD.items(), ids=[make.__name__ for make in BAD])
def test_a_bad_file_costs_one_line_and_one_counter_and_does_not_block_the_next(
    shared: tuple[BridgeProcess, Consumer],
    client: hazelcast.HazelcastClient,
    make: Callable[[Path], None],
    reason: str,
) -> None:
    bridge, consumer = shared
    name = make.__name__
    consumer.expect(land(bridge.root, f"{day()}/before_{name}.arrow"))
    bad_before = bridge.wait_status(client, bool, "a status")["counters"]["bad"]
    seen_before = len(consumer.seen)

    make(bridge.root / day() / f"{name}.arrow")

    line = bridge.wait_log(f"/{name}.arrow")
    assert f"bad scan {day()}/{name}.arrow: " in line
    assert reason in line
    assert " ERROR " in line
    bridge.wait_status(client, lambda status: status["counters"]["bad"] == bad_before + 1, "one more is counted")
    heartbeats(bridge, client, 3)
    consumer.expect(land(bridge.root, f"{day()}/next_{name}.arrow"))
    assert len(consumer.seen) == seen_before + 1
    assert len(bridge.lines(f"/{name}.arrow")) == 1
    assert bridge.status(client)["counters"]["bad"] == bad_before + 1
    assert bridge.memory_kb("VmHWM") < 300_000


def test_files_not_yet_known_to_be_bad_do_not_hold_up_the_next_scan(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"settle_s": 3600}).start()
    for number in range(200):
        land(bridge.root, f"{day()}/cut_{number:03}.arrow", scan()[:-1])
    bridge.wait_status(client, lambda status: status["counters"]["retries"] > 200, "they are tried again")

    consumer.expect(land(bridge.root, f"{day()}/whole.arrow"))

    assert bridge.lines("bad scan") == []


@pytest.mark.parametrize("name", [b"line\nbreak.arrow", b"\xff.arrow", b"\x1b[31mred.arrow"])
def test_a_name_that_is_no_text_is_bad_and_cannot_forge_a_log_line(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, name: bytes
) -> None:
    bridge = new_bridge(log={"level": "info"}).start()
    folder = bridge.root / day()
    folder.mkdir()
    (folder / "hidden").write_bytes(scan())

    os.rename(os.fsencode(folder / "hidden"), os.path.join(os.fsencode(folder), name))

    bridge.wait_log("bad scan")
    consumer.expect(land(bridge.root, f"{day()}/z_next.arrow"))
    assert all(character.isprintable() or character == "\n" for character in bridge.log())
    assert [line for line in bridge.log().splitlines() if line.startswith("break")] == []
    bridge.wait_status(client, lambda status: status["counters"]["bad"] == 1, "it is counted once")


def test_a_bad_file_that_is_written_anew_is_published(bridge: BridgeProcess, consumer: Consumer) -> None:
    path = land(bridge.root, f"{day()}/scan.arrow", b"garbage")
    bridge.wait_log("bad scan")

    (bridge.root / path).write_bytes(scan("repaired"))

    assert consumer.expect(path).metadata["tag"] == "repaired"


def test_a_file_made_readable_after_all_is_published(new_bridge: NewBridge, consumer: Consumer) -> None:
    bridge = new_bridge(prefix=process.as_anybody(), source={"settle_s": 0.1}).start()
    path = bridge.root / day() / "scan.arrow"
    path.parent.mkdir()
    no_permission(path)
    bridge.wait_log("bad scan")

    path.chmod(0o644)

    consumer.expect(f"{day()}/scan.arrow")


def test_a_file_that_vanishes_before_it_is_decided_on_is_said_to_have(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    bridge = new_bridge(source={"settle_s": 3600}).start()
    path = land(bridge.root, f"{day()}/scan.arrow", scan()[:-1])
    bridge.wait_status(client, lambda status: status["counters"]["retries"] > 0, "it is tried")

    (bridge.root / path).unlink()

    bridge.wait_log(f"{path} vanished")
    consumer.expect(land(bridge.root, f"{day()}/next.arrow"))


# The real bridge, but what it does with a certain content ends the process: as a crash in native code would while it
# is decoded, as the kernel would for want of memory while it is read or published.
FRAGILE = """
import os, signal, sys
from bridge.cluster import forms
from bridge.folder import reader
from bridge.service import pipeline
def deadly(function, inspect):
    def dies(*arguments):
        result = function(*arguments)
        if b"deadly" in inspect(arguments, result):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return dies
def of_value(arguments, value):
    return bytes(value.content)
match sys.argv.pop(1):
    case "read":
        reader.read = deadly(reader.read, lambda arguments, content: content)
    case "parse":
        pipeline.parse = deadly(pipeline.parse, lambda arguments, scan: arguments[0])
    case "publish":
        forms.ByteArray.of = deadly(forms.ByteArray.of, of_value)
from bridge.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("where", ["read", "parse", "publish"])
def test_a_file_that_kills_the_process_twice_in_a_row_is_named_and_set_aside(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient, consumer: Consumer, where: str
) -> None:
    bridge = new_bridge(command=[sys.executable, "-c", FRAGILE, where]).start()
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    killer = land(bridge.root, f"{day()}/killer.arrow", scan("deadly"))
    assert bridge.wait_exit() == -signal.SIGKILL
    bridge.start(wait=False)
    bridge.wait_log(f"the bridge died with {killer} in hand; it is tried once more")
    assert bridge.wait_exit() == -signal.SIGKILL

    bridge.start()
    bridge.wait_log(f"bad scan {killer}: the bridge died twice in a row with it in hand")
    bridge.wait_status(client, lambda status: status["counters"]["bad"] == 1, "it is counted")
    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))
    assert bridge.terminate() == 0

    # Still set aside on the start after that, even when there is nothing newer in the map to hide it.
    client.get_map(bridge.target.map_name).blocking().clear()
    bridge.start()
    consumer.expect(f"{day()}/b.arrow")
    consumer.expect(land(bridge.root, f"{day()}/c.arrow"))
    assert bridge.exit_code() is None

    land(bridge.root, killer, scan("repaired"))
    assert consumer.expect(killer).metadata["tag"] == "repaired"


def test_a_scan_in_hand_when_the_power_fails_is_published_afterwards(new_bridge: NewBridge, own_member: Member) -> None:
    bridge = new_bridge(target=Target(own_member.address, own_member.cluster_name, "scans")).start()
    client = own_member.client()
    land(bridge.root, f"{day()}/a.arrow")
    bridge.wait_status(client, lambda status: status["published"], "it publishes")
    own_member.pause()
    in_hand = bridge.folder / "state" / "in-hand"
    path = land(bridge.root, f"{day()}/b.arrow")
    eventually(lambda: path.encode() in in_hand.read_bytes(), "the next scan is in hand")
    bridge.send(signal.SIGKILL)
    assert bridge.wait_exit() == -signal.SIGKILL

    own_member.resume()
    bridge.start()

    held = client.get_map("scans").blocking()
    eventually(lambda: decode(held.get("latest_eigen_scan")).source == path, bridge.log)
    assert bridge.lines("bad scan") == []


def test_each_of_several_files_that_kill_the_process_costs_two_starts(
    new_bridge: NewBridge, consumer: Consumer
) -> None:
    bridge = new_bridge(command=[sys.executable, "-c", FRAGILE, "parse"])
    good = land(bridge.root, f"{day()}/a.arrow")
    for number in range(3):
        land(bridge.root, f"{day()}/killer_{number}.arrow", scan("deadly"))

    for _ in range(2 * 3):
        bridge.start(wait=False)
        assert bridge.wait_exit() == -signal.SIGKILL

    bridge.start()
    consumer.expect(good)


def test_a_state_folder_that_cannot_be_used_costs_the_memory_not_the_scans(
    new_bridge: NewBridge, consumer: Consumer
) -> None:
    bridge = new_bridge()
    (bridge.folder / "state").write_bytes(b"a file where the folder should be")

    bridge.start()

    assert "WARNING" in bridge.wait_log("will not be remembered")
    consumer.expect(land(bridge.root, f"{day()}/scan.arrow"))
