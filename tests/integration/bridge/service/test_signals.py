"""SIGTERM ends the bridge within two seconds whatever goes on; SIGHUP reloads the configuration if it is valid."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import hazelcast
import pytest
from support.bridge_process import BridgeProcess, Consumer, NewBridge, Target, day, eventually, land, scan
from support.hazelcast_member import Member, free_port
from support.slow_link import SlowLink

pytestmark = pytest.mark.hazelcast


@pytest.fixture
def lent(own_member: Member) -> Target:
    """A member to freeze."""
    return Target(own_member.address, own_member.cluster_name, "scans")


# What the bridge waits for when it is told to end takes far longer than its end.
PATIENT = {"call_timeout_s": 60.0, "connect_timeout_s": 60.0}
ENDS_S = 15.0


def assert_ends_well(bridge: BridgeProcess) -> None:
    assert bridge.terminate(ENDS_S) == 0
    eventually(lambda: "STOPPING=1" in bridge.notified, "it has said that it stops")
    assert "Traceback" not in bridge.log()
    assert bridge.lines("ERROR") == []
    assert bridge.lines("scan-bridge stopped")


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_bridge_ends_at_once(bridge: BridgeProcess, signal_: signal.Signals) -> None:
    bridge.send(signal_)

    assert bridge.wait_exit(ENDS_S) == 0


def test_it_ends_while_scans_pour_in(new_bridge: NewBridge, consumer: Consumer) -> None:
    bridge = new_bridge(log={"level": "info"}).start()
    for number in range(500):
        land(bridge.root, f"{day()}/{number:03}.arrow")

    assert_ends_well(bridge)
    consumer.assert_rising()


def test_it_ends_while_unfinished_scans_are_tried_again(
    new_bridge: NewBridge, client: hazelcast.HazelcastClient
) -> None:
    bridge = new_bridge(source={"settle_s": 3600}).start()
    for number in range(100):
        land(bridge.root, f"{day()}/{number:03}.arrow", scan()[:-1])
    bridge.wait_status(client, lambda status: status["counters"]["retries"] > 10, "it tries")

    assert_ends_well(bridge)


def test_it_ends_while_hazelcast_is_away_from_the_start(new_bridge: NewBridge) -> None:
    bridge = new_bridge(target=Target(f"127.0.0.1:{free_port()}", "nobody", "scans"), hazelcast=PATIENT).start()
    land(bridge.root, f"{day()}/scan.arrow")
    bridge.wait_status_line("hazelcast away")

    assert_ends_well(bridge)


def test_it_ends_before_it_is_ready(new_bridge: NewBridge, own_member: Member, lent: Target) -> None:
    own_member.pause()  # the first attempt to connect hangs
    bridge = new_bridge(target=lent, hazelcast=PATIENT).start(wait=False)
    bridge.wait_log("starts")

    assert_ends_well(bridge)


def test_it_ends_while_a_call_to_a_frozen_member_hangs(new_bridge: NewBridge, own_member: Member, lent: Target) -> None:
    bridge = new_bridge(target=lent, hazelcast=PATIENT).start()
    client = own_member.client()
    land(bridge.root, f"{day()}/a.arrow")
    bridge.wait_status(client, lambda status: status["published"], "it publishes")
    own_member.pause()
    in_hand = bridge.folder / "state" / "in-hand"
    before_ns = in_hand.stat().st_mtime_ns
    land(bridge.root, f"{day()}/b.arrow")
    eventually(lambda: in_hand.stat().st_mtime_ns > before_ns, "the next scan is in hand")

    assert_ends_well(bridge)


def test_it_ends_while_it_tries_to_reach_a_frozen_member_again(
    new_bridge: NewBridge, own_member: Member, lent: Target
) -> None:
    impatient = {"call_timeout_s": 0.5, "connect_timeout_s": 30.0, "heartbeat_timeout_s": 1.0}
    bridge = new_bridge(target=lent, hazelcast=impatient).start()
    own_member.pause()
    land(bridge.root, f"{day()}/a.arrow")
    bridge.wait_log("connection lost")

    assert_ends_well(bridge)


def test_it_ends_while_the_link_is_slow(new_bridge: NewBridge, own_member: Member, lent: Target) -> None:
    with SlowLink(own_member.port) as link:
        lent_by_link = Target(link.address, lent.cluster_name, lent.map_name)
        bridge = new_bridge(target=lent_by_link, hazelcast=PATIENT).start()
        link.delay_s = 5.0
        land(bridge.root, f"{day()}/a.arrow")

        assert_ends_well(bridge)


def test_it_ends_while_root_is_missing(new_bridge: NewBridge, tmp_path: Path) -> None:
    bridge = new_bridge(root=tmp_path / "missing").start()
    bridge.wait_status_line("does not exist")

    assert_ends_well(bridge)


def test_it_ends_while_polling(new_bridge: NewBridge) -> None:
    bridge = new_bridge(source={"watch_mode": "polling", "poll_s": 60}).start()

    assert_ends_well(bridge)


def reload(bridge: BridgeProcess) -> None:
    """SIGHUP, and wait until systemd would take the reload for done."""
    bridge.notified.clear()
    bridge.send(signal.SIGHUP)
    eventually(lambda: "READY=1" in bridge.notified, lambda: f"READY=1; log:\n{bridge.log()}")
    assert "RELOADING=1" in bridge.notified
    assert any(message.startswith("MONOTONIC_USEC=") for message in bridge.notified)
    assert bridge.notified.index("RELOADING=1") < bridge.notified.index("READY=1")


def test_sighup_applies_another_map_and_puts_the_newest_scan_there(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, map_name: str, consumer: Consumer
) -> None:
    path = land(bridge.root, f"{day()}/a.arrow")
    consumer.expect(path)
    other = Consumer(client, f"{map_name}_2")
    pid = bridge.pid
    try:
        bridge.configure(hazelcast={"map": f"{map_name}_2"})
        reload(bridge)

        other.expect(path)
        other.expect(land(bridge.root, f"{day()}/b.arrow"))
        assert consumer.sources == [path]
        assert bridge.exit_code() is None
        assert bridge.pid == pid
        eventually(
            lambda: bridge.status(client, f"{map_name}_2").get("counters", {}).get("published") == 3,
            "the status is there too, and its counters go on",
        )
    finally:
        other.close()
        client.get_map(f"{map_name}_2").blocking().destroy()


def test_sighup_applies_another_root_and_log_level(new_bridge: NewBridge, tmp_path: Path, consumer: Consumer) -> None:
    bridge = new_bridge(log={"level": "error"}).start()
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    assert bridge.log() == ""

    bridge.configure(source={"root": str(tmp_path / "other")}, log={"level": "info"})
    reload(bridge)

    bridge.wait_log("configuration reloaded")
    consumer.expect(land(tmp_path / "other", f"{day()}/b.arrow"))
    bridge.wait_log(f"published {day()}/b.arrow")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda bridge: bridge.configure(source={"rescan_s": -1}), "source.rescan_s"),
        (lambda bridge: bridge.configure(source={"rescan": 1}), "source.rescan: unknown key"),
        (lambda bridge: bridge.config_path.write_text("[source\n"), "not valid TOML"),
        (lambda bridge: bridge.config_path.unlink(), "No such file"),
    ],
    ids=["impossible value", "unknown key", "no TOML", "file gone"],
)
def test_sighup_with_an_invalid_configuration_keeps_the_old_one_and_says_why(
    bridge: BridgeProcess, consumer: Consumer, break_it: Callable[[BridgeProcess], None], why: str
) -> None:
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))

    break_it(bridge)
    reload(bridge)

    line = bridge.wait_log("configuration not reloaded")
    assert " ERROR " in line
    assert str(bridge.config_path) in line
    assert why in line
    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))
    assert len(consumer.seen) == 2


def test_sighup_while_hazelcast_is_away_does_not_end_the_bridge(new_bridge: NewBridge) -> None:
    bridge = new_bridge(target=Target(f"127.0.0.1:{free_port()}", "nobody", "scans"), hazelcast=PATIENT).start()
    bridge.wait_status_line("hazelcast away")

    reload(bridge)

    bridge.wait_log("configuration reloaded")
    assert_ends_well(bridge)


def test_many_sighups_in_a_row_leak_nothing(bridge: BridgeProcess, consumer: Consumer) -> None:
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    reload(bridge)
    open_files = len(list(Path(f"/proc/{bridge.pid}/fd").iterdir()))

    for _ in range(5):
        reload(bridge)

    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))
    assert len(list(Path(f"/proc/{bridge.pid}/fd").iterdir())) == open_files
    assert consumer.sources == [f"{day()}/a.arrow", f"{day()}/b.arrow"]


def test_a_reload_forgets_nothing(bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer) -> None:
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))
    land(bridge.root, f"{day()}/b.arrow", b"no scan at all")
    before = bridge.wait_status(client, lambda status: status["counters"]["bad"] == 1, "the bad scan is counted")

    for _ in range(3):
        reload(bridge)
        bridge.wait_status(client, lambda status: status["heartbeat_at"] > before["heartbeat_at"], "a new status")

    consumer.expect(land(bridge.root, f"{day()}/c.arrow"))
    after = bridge.wait_status(client, lambda status: status["counters"]["published"] == 2, "it publishes")
    assert before["published"]["path"] == f"{day()}/a.arrow"
    assert after["counters"] == {**before["counters"], "published": 2}
    assert len(bridge.lines("bad scan")) == 1
    assert len(bridge.lines("Hazelcast connected")) == 1


def test_a_reload_shows_the_last_published_scan_all_the_while(
    bridge: BridgeProcess, client: hazelcast.HazelcastClient, consumer: Consumer
) -> None:
    path = land(bridge.root, f"{day()}/a.arrow")
    consumer.expect(path)
    bridge.wait_status(client, lambda status: status["published"], "it is published")

    bridge.configure(status={"heartbeat_s": 0.6})
    reload(bridge)

    status = bridge.wait_status(client, lambda status: status["heartbeat_s"] == 0.6, "the new heartbeat")
    assert status["published"]["path"] == path


def test_reloads_while_hazelcast_is_away_count_no_file_twice(new_bridge: NewBridge, own_member: Member) -> None:
    target = Target(own_member.address, own_member.cluster_name, "scans")
    own_member.kill()
    bridge = new_bridge(target=target)
    for number in range(1300):  # more than are held
        land(bridge.root, f"{day()}/{number:04}.arrow", scan())
    bridge.start()
    bridge.wait_status_line("hazelcast away")

    for _ in range(3):
        reload(bridge)

    own_member.start()
    client = own_member.client()
    status = bridge.wait_status(client, lambda status: status["counters"]["published"] == 1, "it publishes")
    assert status["counters"]["skipped"] == 1299


def test_a_pause_shorter_than_the_watchdogs_time_is_no_hang(new_bridge: NewBridge, consumer: Consumer) -> None:
    bridge = new_bridge(environment={"WATCHDOG_USEC": "6000000"}).start()  # a stage hangs after 4 s
    consumer.expect(land(bridge.root, f"{day()}/a.arrow"))

    bridge.send(signal.SIGSTOP)
    time.sleep(5)  # the pause itself
    bridge.notified.clear()
    bridge.send(signal.SIGCONT)

    bridge.wait_log("the whole process was paused for")
    consumer.expect(land(bridge.root, f"{day()}/b.arrow"))
    eventually(lambda: bridge.notified.count("WATCHDOG=1") > 2, "it goes on")
    assert "WATCHDOG=trigger" not in bridge.notified


def waits_for_its_handler(signal_: signal.Signals, pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk:")).split()[1]
    command = Path(f"/proc/{pid}/cmdline").read_bytes()  # before that, a new process blocks every signal
    return b"\0run\0" in command and b"setpriv" not in command and bool(int(blocked, 16) & 1 << (signal_ - 1))


def test_a_sighup_that_comes_during_the_start_is_a_reload(new_bridge: NewBridge) -> None:
    bridge = new_bridge().start(wait=False)
    eventually(lambda: waits_for_its_handler(signal.SIGHUP, bridge.pid), "the start has begun")

    bridge.send(signal.SIGHUP)

    bridge.wait_log("configuration reloaded")
    bridge.wait_ready()
    assert not waits_for_its_handler(signal.SIGHUP, bridge.pid)
