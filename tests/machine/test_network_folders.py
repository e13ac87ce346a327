"""ROOT on a network: what another host writes is found and whole, and whatever becomes of the server is waited for."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from hazelcast import HazelcastClient
from support.bridge_process import Consumer, scan
from support.emulated_bridge import PUBLISH_TIMEOUT_S, EmulatedBridge
from support.machine import until
from support.network_folder import SERVED, Fuse, NetworkFolder, Nfs, Smb
from support.service import CONFIG, DAY

pytestmark = [pytest.mark.machine, pytest.mark.timeout(1800)]

HEALTH = "/opt/scan-bridge/bin/scan-bridge-health"
PYTHON = "/opt/scan-bridge/bin/python"
OUTAGE_S = 60
SILENCE_S = 20  # two thirds of WatchdogSec=
# A soft mount that has asked for 2 s, and once more for 4 s, gives up: long before the watchdog does.
SOFT = "soft,timeo=20,retrans=1"
KINDS: dict[str, Callable[..., NetworkFolder]] = {
    "nfs-hard": lambda machine, point: Nfs(machine, point, "hard"),
    "nfs-soft": lambda machine, point: Nfs(machine, point, SOFT),
    "smb": Smb,
    "fuse": Fuse,
}
# Sets the size, writes the end, then the beginning, then what lies between, each piece for all to see; and closes.
WRITE_OUT_OF_ORDER = """
import base64, os, random, sys, time
path, seed, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
content = base64.b64decode(sys.stdin.read())
step = len(content) // 6
first, *between, last = range(0, len(content), step)
random.Random(seed).shuffle(between)
file = os.open(path, os.O_WRONLY | os.O_CREAT)
os.ftruncate(file, len(content))
for at in (last, first, *between):
    os.pwrite(file, content[at : at + step], at)
    os.fsync(file)
    time.sleep(pause_s)
os.close(file)
"""


@contextlib.contextmanager
def served(bridge: EmulatedBridge, kind: str) -> Iterator[NetworkFolder]:
    """ROOT is a folder of this kind; scans are written by another host."""
    folder = KINDS[kind](bridge.machine, bridge.folder)
    try:
        folder.serve()
        bridge.written_at = folder.elsewhere
        yield folder
    finally:
        folder.start_server()  # what hangs must be able to end
        folder.close()


@pytest.fixture
def consumer(client: HazelcastClient, map_name: str) -> Iterator[Consumer]:
    """Decodes each value that the map ever has; that each is whole, and in order, is asserted at the end."""
    consumer = Consumer(client, map_name)
    yield consumer
    consumer.assert_rising()
    consumer.close()


@pytest.fixture(params=KINDS)
def folder(bridge: EmulatedBridge, request: pytest.FixtureRequest) -> Iterator[NetworkFolder]:
    with served(bridge, request.param) as folder:
        yield folder


@pytest.fixture(params=["nfs-hard", "nfs-soft"])
def nfs(bridge: EmulatedBridge, request: pytest.FixtureRequest) -> Iterator[NetworkFolder]:
    """Scans are written on the server, whoever reaches it."""
    with served(bridge, request.param) as folder:
        bridge.written_at = SERVED
        yield folder


# ---- found, and whole


def test_what_another_host_writes_is_found_by_looking(bridge: EmulatedBridge, folder: NetworkFolder) -> None:
    bridge.start()
    for _ in range(3):
        bridge.publishes()
    bridge.land("2026-03-25/first_of_its_day.arrow", scan("next"))
    bridge.holds("2026-03-25/first_of_its_day.arrow")
    status = bridge.status()
    assert status is not None
    assert status["source"]["watch_mode"] == "polling"


def write_out_of_order(bridge: EmulatedBridge, path: str, content: bytes, seed: int) -> None:
    """A second for each piece."""
    target = f"{bridge.written_at}/{path}"
    encoded = base64.b64encode(content).decode()
    bridge.machine.run(PYTHON, "-c", WRITE_OUT_OF_ORDER, target, str(seed), "1", stdin=encoded)


def test_what_another_host_writes_slowly_and_out_of_order_is_published_whole_or_not_at_all(
    bridge: EmulatedBridge, folder: NetworkFolder, consumer: Consumer
) -> None:
    bridge.configure(source__quiet_s="8.0")
    bridge.start()
    bridge.machine.run("mkdir", "--parents", f"{bridge.written_at}/{DAY}")
    contents = {f"{DAY}/slow_{number}.arrow": scan(f"whole{number}_", rows=2000) for number in range(2)}
    for seed, (path, content) in enumerate(contents.items()):
        write_out_of_order(bridge, path, content, seed)
        bridge.holds(path)
    for seen in consumer.seen:
        written = pa.ipc.open_file(contents[seen.source]).read_all()
        assert seen.table.columns == written.columns, f"{seen.source} has holes"


# ---- the server away


def hang_in_the_kernel(bridge: EmulatedBridge) -> int:
    """How many threads of the bridge do."""
    states = bridge.machine.run("ps", "-L", "-o", "state=", "-p", str(bridge.pid), check=False).stdout
    return states.split().count("D")


def says(bridge: EmulatedBridge, text: str) -> str:
    """Wait until `systemctl status` has this in the bridge's own line."""
    return until(lambda: text in (line := bridge.show("StatusText")) and line, 120, bridge.log)


def checked(bridge: EmulatedBridge) -> str:
    """What the health check says of the data's age."""
    told = bridge.machine.run(HEALTH, "check", "--json", "--exit-zero", "--config", CONFIG).stdout
    return next(finding["words"] for finding in json.loads(told)["findings"] if finding["rule"] == "stale_data")


def test_a_server_stopped_in_the_midst_of_reads_is_told_and_waited_for(
    bridge: EmulatedBridge, consumer: Consumer
) -> None:
    with served(bridge, "nfs-hard") as folder:
        bridge.written_at = SERVED
        bridge.configure(health__rules__stale_data__warning_s="5.0")
        bridge.start()
        bridge.produce("--rate", "1")
        until(lambda: len(consumer.seen) > 3, PUBLISH_TIMEOUT_S, bridge.log)

        folder.stop_server()
        stopped_s = time.monotonic()
        until(lambda: hang_in_the_kernel(bridge), 60, bridge.log)
        says(bridge, f"{bridge.folder}: no answer for")
        assert "the source is unreadable" in checked(bridge)
        until(lambda: "no progress in discovery" in bridge.log(), 120, bridge.log)
        time.sleep(max(0, OUTAGE_S - (time.monotonic() - stopped_s)))  # how long it is away
        away_s, restarts, seen = time.monotonic() - stopped_s, bridge.restarts, len(consumer.seen)
        folder.start_server()

        until(lambda: len(consumer.seen) > seen, PUBLISH_TIMEOUT_S, bridge.log)
        bridge.holds(bridge.stop_producer())
        assert restarts <= away_s / SILENCE_S
        assert set(bridge.results()) <= {"watchdog"}, bridge.log()
        assert "bad scan" not in bridge.log()


def test_a_server_that_a_soft_mount_gives_up_is_told_and_waited_for_without_a_restart(
    bridge: EmulatedBridge, consumer: Consumer
) -> None:
    with served(bridge, "nfs-soft") as folder:
        bridge.written_at = SERVED
        bridge.configure(health__rules__stale_data__warning_s="5.0")
        bridge.start()
        bridge.publishes()
        pid = bridge.pid

        folder.cut_off()
        cut_off_s = time.monotonic()
        says(bridge, "waiting for scans")
        assert "the source is unreadable" in checked(bridge)
        path = bridge.put_scan()
        time.sleep(max(0, OUTAGE_S - (time.monotonic() - cut_off_s)))  # how long it is away
        folder.connect()

        bridge.holds(path)
        assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()


@pytest.mark.parametrize(
    ("nfs", "fails"),
    [
        pytest.param("nfs-hard", lambda bridge: hang_in_the_kernel(bridge) == 2, id="nfs-hard"),  # a look and a read
        pytest.param("nfs-soft", lambda bridge: "reading a scan: " in bridge.log(), id="nfs-soft"),
    ],
    indirect=["nfs"],
)
def test_a_scan_that_could_not_be_read_while_the_server_was_away_is_published_afterwards(
    bridge: EmulatedBridge, nfs: NetworkFolder, fails: Callable[[EmulatedBridge], bool]
) -> None:
    """Even if it is the last for long: that nobody could read it says nothing of it."""
    bridge.configure(source__quiet_s="8.0")
    bridge.start()
    path = bridge.put_scan()
    until(lambda: (status := bridge.status()) and (status["newest"] or {}).get("path") == path, 60, bridge.log)
    nfs.cut_off()
    until(lambda: fails(bridge), 60, bridge.log)
    nfs.connect()
    bridge.holds(path)
    assert "bad scan" not in bridge.log()


# ---- the folder away


def test_root_unmounted_and_mounted_again_is_told_and_waited_for(bridge: EmulatedBridge, nfs: NetworkFolder) -> None:
    bridge.configure(health__rules__stale_data__warning_s="5.0")
    bridge.start()
    bridge.publishes()
    pid = bridge.pid
    nfs.unmount()
    says(bridge, "has no day folder")
    assert "as if it were unmounted" in checked(bridge)
    path = bridge.put_scan()
    nfs.mount()
    bridge.holds(path)
    bridge.publishes()
    assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()


def test_folders_replaced_on_the_server_are_found_again(bridge: EmulatedBridge, nfs: NetworkFolder) -> None:
    machine = bridge.machine
    bridge.start()
    bridge.publishes()
    pid = bridge.pid

    machine.run("rm", "-r", f"{SERVED}/{DAY}")
    bridge.publishes()

    machine.run("sh", "-c", "exportfs -ua && exportfs -f")
    says(bridge, "waiting for scans")
    path = bridge.put_scan()
    machine.run("exportfs", "-ra")
    bridge.holds(path)

    machine.run(
        "sh", "-c", f"mv {SERVED} {SERVED}.old && mkdir {SERVED} && rm -r {SERVED}.old && exportfs -ra && exportfs -f"
    )
    says(bridge, "Stale file handle")
    nfs.unmount()
    nfs.mount()
    bridge.publishes()
    assert (bridge.pid, bridge.restarts) == (pid, 0), bridge.log()
    assert "bad scan" not in bridge.log()
