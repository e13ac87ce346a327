"""Prefect watches the bridge; it goes down and comes back; and nothing is told twice, or not at all.

All units as installed: the bridge, the local Prefect server, what serves the deployment, and the timer's fallback.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import FlowRun
from support.hazelcast_member import Member
from support.machine import Machine, until
from support.prefect_server import answers, client_pointed_to
from support.prefect_units import FOLDER, RUN_S, SERVE, SERVER, Prefect, make_blocks
from support.watch import STATE, Inbox, Watch

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.hazelcast,
    pytest.mark.prefect,
    pytest.mark.xdist_group("prefect_units"),  # a server takes a core for a minute until it is up: one at a time
]

PREFECT_SILENT = "prefect (Prefect runs no check)"
BETWEEN_RUNS_S = 3.0  # one takes a second of CPU time
UNWATCHED_S = 10  # instead of 3 min
# Beside a Prefect server that starts, a probe takes long.
SETTINGS = {"health__rules__cpu__enabled": "false", "health__probe_timeout_s": "20.0"}


@pytest.fixture(scope="module")
def units(machine: Machine) -> Iterator[Prefect]:
    """Prefect's units, the server's folder a small file system of its own. For all tests: a server starts slowly."""
    script = f"mkdir -p -m 700 {FOLDER} && mount -t tmpfs -o size=300m,mode=755 none {FOLDER}"
    machine.run("sh", "-c", script)
    prefect = Prefect(machine)
    yield prefect
    prefect.stop()
    machine.run("umount", "--lazy", FOLDER)


@pytest.fixture
def prefect(units: Prefect, watch: Watch, inbox: Inbox) -> Iterator[Prefect]:
    """Prefect up, serving the check of `watch`, with a notification block for each group."""
    # A young process has no CPU figures yet, and is not called healthy for half a minute.
    watch.configure(**SETTINGS)
    if not answers(units.api_url):  # none was started, or a test failed amid an outage
        units.start_anew()
    with client_pointed_to(units.api_url):
        make_blocks(inbox)
        with get_client(sync_client=True) as client:
            units.new_runs(client)
        units.serve()
        yield units
    units.machine.run("systemctl", "stop", SERVE)


@pytest.fixture
def client(prefect: Prefect) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def completed_by(machine: Machine) -> str:
    """Who ran the last check: "prefect" or "timer"."""
    return str(json.loads(machine.read(f"{STATE}/state.json"))["completed_by"])


def verdicts(client: SyncPrefectClient, run: FlowRun) -> dict[str, str]:
    """The run's table: the verdict of each rule."""
    (table,) = client.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id])))
    assert str(table.key).startswith("scan-bridge-health-")
    rows = json.loads(str(table.data)) if isinstance(table.data, str) else table.data
    return {row["rule"]: row["verdict"] for row in rows}  # type: ignore[union-attr]


def test_prefect_shows_each_fault_tells_it_once_and_restarts_what_a_restart_helps(
    prefect: Prefect, client: SyncPrefectClient, watch: Watch, inbox: Inbox
) -> None:
    with watch.producer():
        watch.publishing()
        run = until_verdict(prefect, client, "Healthy")
        assert set(verdicts(client, run).values()) == {"ok"}
        assert inbox.messages == []
        frozen = watch.bridge.kill("STOP")
        run = until_verdict(prefect, client, "hazelcast (bridge cut off from Hazelcast)")
        assert verdicts(client, run)["hazelcast"] == "critical"
        assert watch.bridge.pid not in (0, frozen), "restarted by the check, within the sandbox of its unit"
        until_verdict(prefect, client, "Healthy")
        until_over(prefect, client, watch)
    assert any("restarted by this check" in message.body for message in inbox.to("ops")), inbox.messages
    inbox.messages.clear()
    pid = watch.bridge.pid
    run = until_verdict(prefect, client, "stale_data (producer stopped)")
    assert verdicts(client, run)["stale_data"] == "critical"
    prefect.run(client)
    with watch.producer():
        until_over(prefect, client, watch)
    assert watch.bridge.pid == pid
    inbox.told_once("stale_data (producer stopped)", "ops", "trading")


def test_prefect_goes_down_the_timer_takes_over_prefect_returns_and_nothing_is_told_twice(
    prefect: Prefect, client: SyncPrefectClient, watch: Watch, inbox: Inbox, own_member: Member
) -> None:
    machine = prefect.machine
    # Checks follow each other within seconds here; the bridge has time to find the member that comes back.
    watch.configure(**SETTINGS, health__grace_s="30.0")
    with watch.producer():
        watch.publishing()
        until_verdict(prefect, client, "Healthy")
    until_verdict(prefect, client, "stale_data (producer stopped)")
    assert len(inbox.to("ops")) == len(inbox.to("trading")) == 1, inbox.messages
    assert completed_by(machine) == "prefect"

    bridge_pid, serve_pid = watch.bridge.pid, machine.show(SERVE, "MainPID")
    machine.run("systemctl", "stop", SERVER)
    watch.run_while_unwatched(UNWATCHED_S)
    prefect.until_status("waiting for the Prefect server")
    until(lambda: completed_by(machine) == "timer", RUN_S, prefect.log)
    assert len(inbox.messages) == 2, "what Prefect told is not told again"
    own_member.kill()
    until(lambda: len(inbox.messages) >= 4, RUN_S, prefect.log)
    assert "CRITICAL: hazelcast (Hazelcast away)" in inbox.to("ops")[1].body, "the timer tells what is new"
    assert (watch.bridge.pid, machine.show(SERVE, "MainPID")) == (bridge_pid, serve_pid), "ended by the outage"

    prefect.start()
    prefect.until_status(f"serving {prefect.deployment}")
    watch.leave_to_prefect()
    run = prefect.run(client)
    assert "hazelcast (Hazelcast away)" in str(run.state_name)
    assert completed_by(machine) == "prefect"
    own_member.start()
    with watch.producer():
        until_over(prefect, client, watch)
    for group, over in (("ops", 2), ("trading", 1)):  # that Hazelcast is away is for ops alone
        messages = inbox.to(group)
        told = "\n\n".join(f"{message.subject}\n{message.body}" for message in messages)
        assert sum("RESOLVED" not in message.subject for message in messages) == 2, told
        assert sum(message.body.count("RESOLVED: ") for message in messages) == over, told


def test_a_full_disk_ends_the_prefect_server_and_is_told_once(
    prefect: Prefect, client: SyncPrefectClient, watch: Watch, inbox: Inbox
) -> None:
    with watch.producer():
        watch.publishing()
        until_verdict(prefect, client, "Healthy")
        before = logged(prefect)
        fill = f"dd if=/dev/zero of={FOLDER}/filler bs=1M 2>/dev/null; true"
        prefect.machine.run("sh", "-c", fill)
        until(lambda: failed_with(prefect, "74"), FAILS_S, prefect.log)
        begin_watching(watch)
        told = until_told(prefect, inbox)
        assert SERVER in told
        reason = until_failed_is_said(watch)
        assert f"{SERVER} is failed: it cannot write: 0 MB left in" in reason or "No space left" in reason
        assert logged(prefect) - before < MOST_LINES
        for _ in range(5):
            watch.check()
        assert len(inbox.messages) == 1, inbox.messages
        prefect.machine.run("rm", f"{FOLDER}/filler")
        prefect.until_status(f"serving {prefect.deployment}")  # the retry timer has started the server again
        watch.leave_to_prefect()
        until_over(prefect, client, watch)
    inbox.told_once(PREFECT_SILENT, "ops")


def test_a_damaged_database_of_prefect_is_named_and_the_documented_recovery_works(
    prefect: Prefect, client: SyncPrefectClient, watch: Watch, inbox: Inbox
) -> None:
    machine = prefect.machine
    with watch.producer():
        watch.publishing()
        until_verdict(prefect, client, "Healthy")
        before = logged(prefect)
        machine.run("python3", "-c", DAMAGE, f"{FOLDER}/prefect.db")
        until(lambda: failed_with(prefect, "65"), FAILS_S, prefect.log)
        begin_watching(watch)
        told = until_told(prefect, inbox)
        assert SERVER in told
        reason = until_failed_is_said(watch)
        assert f"{SERVER} is failed: its database" in reason
        assert "is damaged" in reason
        assert logged(prefect) - before < MOST_LINES
        machine.run("systemctl", "stop", SERVER)
        machine.run("sh", "-c", f"cd {FOLDER} && mkdir -p damaged && mv prefect.db* damaged/")
        prefect.registers_blocks()
        prefect.start()
        prefect.until_status("the Automations cannot tell custom-webhook/ops (Prefect has no such block)")
        watch.leave_to_prefect()
        run = until_verdict(prefect, client, "Degraded")
        assert "custom-webhook/ops: Prefect has no such block; its spare URL is used" in str(
            run.state and run.state.message
        )
        assert client.read_block_type_by_slug("slack-webhook"), "the form that an operator fills in"
        make_blocks(inbox)
        until_over(prefect, client, watch)
    titles = [message.subject.split(": ", 1)[1] for message in inbox.to("ops")]
    assert titles.count(PREFECT_SILENT) >= 1, titles
    assert any("notifier (notifier failed)" in title for title in titles), titles


# Random blocks written into a file, as by a dying disk.
DAMAGE = """
import os, random, sys
with open(sys.argv[1], "r+b") as file:
    blocks = os.fstat(file.fileno()).st_size // 4096
    for block in random.Random(1).sample(range(1, blocks), blocks // 4):
        file.seek(block * 4096)
        file.write(os.urandom(4096))
"""
FAILS_S = 150
MOST_LINES = 6000  # of the server, in the two minutes of the trouble at the most


def begin_watching(watch: Watch) -> None:
    """The timer steps in soon, and soon says that Prefect does nothing."""
    watch.configure(**SETTINGS, health__rules__prefect__after_s="20.0")
    watch.run_while_unwatched(UNWATCHED_S)


def failed_with(prefect: Prefect, status: str) -> bool:
    shown = prefect.machine.show(SERVER, "ActiveState", "ExecMainStatus")
    return shown == {"ActiveState": "failed", "ExecMainStatus": status}


def until_told(prefect: Prefect, inbox: Inbox) -> str:
    """What ops was told of Prefect's silence."""

    def found() -> str:
        return next((message.body for message in inbox.to("ops") if PREFECT_SILENT in message.subject), "")

    return until(found, RUN_S, lambda: f"{inbox.messages}\n{prefect.log()}")


def until_failed_is_said(watch: Watch) -> str:
    """Check until the alert says why the server failed: a check at the moment of a retry finds the unit activating."""

    def said() -> str:
        words = "\n".join(watch.check()[PREFECT_SILENT]["words"])
        return words if f"{SERVER} is failed: " in words else ""

    return until(said, RUN_S, lambda: f"{watch.alerts()}\n{watch.log()}")


def logged(prefect: Prefect) -> int:
    """How many lines the server's unit has in the journal."""
    return len(prefect.machine.run("journalctl", "-q", "--no-pager", "-u", SERVER, "-o", "cat").stdout.splitlines())


def until_verdict(prefect: Prefect, client: SyncPrefectClient, title: str) -> FlowRun:
    """Have checks run until one ends in a state of this name: one asked for, or the scheduled one of a minute."""

    def found() -> FlowRun | None:
        prefect.run(client)
        if run := next((run for run in prefect.new_runs(client) if title in str(run.state_name)), None):
            return run
        time.sleep(BETWEEN_RUNS_S)
        return None

    return until(found, RUN_S, prefect.log)


def until_over(prefect: Prefect, client: SyncPrefectClient, watch: Watch) -> None:
    """Have checks run until all is well, and everybody knows."""

    def over() -> bool:
        return until_verdict(prefect, client, "Healthy").state_name == "Healthy" and watch.alerts() == []

    until(over, RUN_S, prefect.log)
