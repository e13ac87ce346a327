"""One check, start to end: the order of its steps, what survives a kill between any two, and what it never does."""

from __future__ import annotations

import contextlib
import copy
import http.server
import json
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import TypeAdapter
from support.health_cases import AWAY, NOW, REMOTE, RUNNING, STOPPED, clock, config, snapshot, status

from healthcheck import check
from healthcheck.alert.restart_policy import Decision
from healthcheck.check import AlreadyRunning, Effects, NotDelivered, run_check
from healthcheck.config.settings import HealthConfig
from healthcheck.judge.previous_check import PreviousCheck
from healthcheck.keep import mute, state
from healthcheck.keep.mute import Mute
from healthcheck.keep.state import Store
from healthcheck.model.condition import Unusable
from healthcheck.model.finding import Severity
from healthcheck.model.observation import Snapshot, Unknown
from healthcheck.model.report import ActionTaken, Report
from healthcheck.observe.probes import Observed

NOTHING = Unknown("broken", "test")
OPS, TRADING = "slack-webhook/ops", "slack-webhook/trading"
MUCH = {"memory_bytes": 600_000_000}
SOME = {"memory_bytes": 200_000_000}


class Killed(BaseException):
    """Stands for SIGKILL where a real one would end the test itself: nothing of the check runs after it."""


@dataclass
class World:
    """Everything around the check but its state on disk, which is real."""

    directory: Path
    health: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    after_s: float = 0.0
    sent: list[tuple[str, str, str]] = field(default_factory=list)  # block, subject, body
    deaf: set[str] = field(default_factory=set)
    missing: set[str] | None = field(default_factory=set)  # blocks; None: the notifier cannot tell
    restarts: int = 0
    restart_helps: bool = True
    kill_at: int | None = None  # the step before which the check is killed
    kill: Callable[[], None] | None = None
    steps: int = 0
    on_send: Callable[[], None] = lambda: None
    _config: tuple[dict[str, Any], HealthConfig] | None = None

    def config(self) -> HealthConfig:
        if self._config is None or self._config[0] != self.health:
            self._config = copy.deepcopy(self.health), self._new_config()
        return self._config[1]

    def _new_config(self) -> HealthConfig:
        places = {"state_dir": self.directory / "state", "spare_state_dir": self.directory / "spare"}
        for place in places.values():
            place.mkdir(exist_ok=True)
        quiet = {name: {"enabled": False} for name in ("stale_data", "few_files", "high_lag", "clock")}
        given = self.health.get("rules", {})
        return config(**{**places, **self.health, "rules": {**quiet, **given}})

    def check(self, after_s: float = 60) -> Report:
        """One check of what `answers` say, so much later than the one before."""
        self.after_s += after_s
        self.steps = 0
        effects = Effects(observe=self._observe, restart=self._restart)
        with mock.patch.object(state, "replace_file", self._write):
            return run_check(self.config(), self, by="test", effects=effects)

    def send(self, block: str, subject: str, body: str) -> None:
        self.step()
        self.on_send()
        if block in self.deaf:
            raise NotDelivered("HTTP 500")
        self.sent.append((block, subject, body))
        self.step()

    def unusable(self, blocks: Iterable[str]) -> dict[str, Unusable] | None:
        return None if self.missing is None else {block: Unusable("no such block", False) for block in self.missing}

    def step(self) -> None:
        if self.kill_at == self.steps:
            self.kill_at = None
            assert self.kill is not None
            self.kill()
        self.steps += 1

    def subjects(self, block: str = OPS) -> list[str]:
        return [subject for to, subject, _ in self.sent if to == block]

    def _observe(self, _config: HealthConfig, _previous: PreviousCheck | None, hung: int | None) -> Observed:
        self.step()
        alive = {"clock": clock(self.after_s), "status": status(1 - self.after_s)}
        return Observed(snapshot(**{**alive, **self.answers}), hung)

    def _restart(self, decision: Decision, _snapshot: Snapshot, _config: HealthConfig) -> ActionTaken:
        self.step()
        self.restarts += decision.restart
        self.step()
        text = f"restarted for {decision.why}"
        return ActionTaken(decision.rule, "restart_bridge", text, self.restart_helps)

    def _write(self, path: Path, data: bytes, write: Callable[[Path, bytes], None] = state.replace_file) -> None:
        self.step()
        write(path, data)
        self.step()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def heal(world: World, checks: int = 4) -> None:
    world.answers = {}
    for _ in range(checks):
        world.check()


def test_a_healthy_bridge_makes_no_noise(world: World) -> None:
    reports = [world.check() for _ in range(20)]
    assert {report.headline for report in reports} == {"Healthy"}
    assert world.sent == []
    assert world.restarts == 0


def test_a_problem_is_told_once_with_what_since_when_and_what_was_done_and_once_when_it_is_over(world: World) -> None:
    world.answers = MUCH
    report = world.check()
    assert report.headline == "Critical: memory (over the limit)"
    assert [change.kind for change in report.changes] == ["opened"]
    for _ in range(5):
        world.answers = SOME
        world.check()
    heal(world)
    first, last = (body for _, _, body in world.sent)
    assert world.subjects() == [
        f"[scan-bridge {world.config().status.instance}] {text}: memory (over the limit)"
        for text in ("CRITICAL", "RESOLVED")
    ]
    assert "the bridge uses 600 MB of memory" in first
    assert "since: 2026-03-24 08:16:00 UTC" in first
    assert "done: restarted for memory (over the limit)" in first
    assert "look further: systemctl status dolphin-scan-bridge.service" in first
    assert "over since 2026-03-24 08:22:00 UTC; it lasted 6 min" in last


def test_a_recipient_is_told_only_after_the_state_says_so(world: World) -> None:
    world.answers = MUCH
    on_disk = []
    world.on_send = lambda: on_disk.append(Store(world.config().health).load())
    world.check()
    assert [alert.rule for alert in on_disk[0].alerts] == ["memory"]
    assert OPS in on_disk[0].sending
    assert on_disk[0].alerts[0].told == {}
    assert len(on_disk[0].restarts.times) == 1


def test_a_notifier_that_fails_is_tried_again_and_its_failure_told_to_others(world: World) -> None:
    world.health = {"rules": {"notifier": {"notify": ["ops", "trading"]}}}
    world.answers = SOME
    world.deaf = {OPS}
    report = world.check()
    assert report.deliveries[0].error == "HTTP 500"
    assert {f.rule: f.severity for f in report.findings}["notifier"] is Severity.WARNING
    assert report.alerts[0].untold == (OPS,)
    world.check()
    assert world.subjects(OPS) == []
    assert [subject.split("] ")[1] for subject in world.subjects(TRADING)] == ["WARNING: notifier (notifier failed)"]
    world.deaf = set()
    world.check()
    assert len(world.subjects(OPS)) == 1


def test_a_block_that_is_missing_is_told_before_anything_else_is_wrong(world: World) -> None:
    world.health = {"rules": {"notifier": {"notify": ["ops", "trading"]}}}
    world.missing = {OPS}
    report = world.check()
    found = {finding.rule: finding for finding in report.findings}["notifier"]
    assert (found.severity, f"{OPS}: no such block" in found.text) == (Severity.WARNING, True)
    assert world.subjects(OPS) == []
    assert [subject.split("] ")[1] for subject in world.subjects(TRADING)] == ["WARNING: notifier (notifier failed)"]
    world.missing = None
    world.check()
    looked = {finding.rule: finding for finding in check.Inspector(world.config()).inspect().findings}
    assert looked["notifier"].severity is Severity.WARNING, "what Prefect said stands until it says otherwise"
    world.missing = set()
    heal(world)
    assert world.subjects(TRADING)[-1].endswith("RESOLVED: notifier (notifier failed)")


def test_a_missing_block_with_a_spare_url_is_told_to_its_own_group(world: World) -> None:
    world.unusable = lambda blocks: {OPS: Unusable("no such block; its spare URL is used", has_spare=True)}
    world.check()
    assert [subject.split("] ")[1] for subject in world.subjects(OPS)] == ["WARNING: notifier (notifier failed)"]


def test_a_notifier_that_raises_anything_costs_neither_the_check_nor_the_alert_nor_a_secret(world: World) -> None:
    world.answers = SOME

    def broken() -> None:
        raise RuntimeError("https://hooks.example/secret")

    world.on_send = broken
    report = world.check()
    assert report.deliveries[0].error == "RuntimeError"
    assert "secret" not in TypeAdapter(Report).dump_json(report).decode()
    world.on_send = lambda: None
    world.check()
    assert len(world.subjects()) == 1


def test_a_block_that_fails_does_not_make_the_others_hear_it_again(world: World) -> None:
    world.health = {"groups": {"ops": {"blocks": [OPS, TRADING]}}, "rules": {"notifier": {"enabled": False}}}
    world.answers = SOME
    world.deaf = {OPS}
    for _ in range(5):
        world.check()
    world.deaf = set()
    world.check()
    assert (len(world.subjects(OPS)), len(world.subjects(TRADING))) == (1, 1)


def test_what_a_deaf_recipient_missed_goes_to_the_log_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.answers = SOME
    world.deaf = {OPS}
    for _ in range(5):
        world.check()
    whole = [record for record in caplog.records if "the bridge uses 200 MB" in record.getMessage()]
    assert [record.levelname for record in whole] == ["CRITICAL"]


def test_restarts_are_budgeted_and_it_is_told_once_that_they_did_not_help(world: World) -> None:
    world.answers = MUCH
    reports = [world.check() for _ in range(40)]
    assert world.restarts == 3
    assert reports[3].actions[0].helped is None
    assert "did not help" in reports[3].actions[0].text
    told = [body for _, _, body in world.sent if "restart did not help" in body]
    assert len(world.sent) == 2
    assert len(told) == 1


def test_the_budget_counts_again_only_once_the_bridge_was_healthy(world: World) -> None:
    world.answers = MUCH
    for _ in range(5):
        world.check()
    world.check(after_s=3600)
    assert world.restarts == 3, "the window is over, the problem is not"
    heal(world, 1)
    world.answers = MUCH
    world.check()
    assert world.restarts == 4


def test_a_budget_of_none_forbids_restarts(world: World) -> None:
    world.health = {"restarts": {"max": 0}}
    world.answers = MUCH
    report = world.check()
    assert world.restarts == 0
    assert "forbids" in report.actions[0].text


def test_two_findings_that_ask_for_a_restart_get_one(world: World) -> None:
    world.answers = {**MUCH, "status": None}
    report = world.check()
    assert len([f for f in report.findings if f.action == "restart_bridge"]) == 2
    assert world.restarts == 1


def test_a_bridge_stopped_by_an_operator_is_told_and_not_started(world: World) -> None:
    world.check()
    world.answers = {"unit": STOPPED}
    world.check()
    assert world.restarts == 0
    assert [subject.split("] ")[1] for subject in world.subjects()] == [
        "WARNING: process_stopped (stopped, not failed)"
    ]


def test_a_mute_sends_nothing_restarts_nothing_and_is_shown(world: World) -> None:
    silence = Mute(NOW + timedelta(seconds=200), "new switch", "kim", NOW)
    mute.write(world.config().health.state_dir, silence)
    world.answers = MUCH
    report = world.check()
    assert (world.sent, world.restarts) == ([], 0)
    assert report.mute is not None
    assert (report.mute.why, report.mute.by) == ("new switch", "kim")
    assert "muted" in report.actions[0].text
    world.check()
    world.check()
    world.check()
    assert world.restarts == 1
    assert len(world.subjects()) == 1


def test_from_another_host_nothing_is_restarted_and_that_is_said(world: World) -> None:
    world.health = {"rules": {"high_lag": {"critical_s": 0.0001, "critical_action": "restart_bridge"}}}
    world.answers = {"scope": REMOTE} | dict.fromkeys(("unit", "cpu", "memory_bytes", "disk", "journal"), NOTHING)
    report = world.check()
    assert world.restarts == 0
    assert "no such unit here" in report.actions[0].text
    assert any("only Hazelcast was looked at" in note for note in report.notes)


def test_a_second_check_at_the_same_time_does_nothing(world: World) -> None:
    world.answers = SOME

    def again() -> None:
        with pytest.raises(AlreadyRunning):
            run_check(world.config(), world, by="timer")

    world.on_send = again
    world.check()
    assert len(world.sent) == 1


def test_what_one_way_of_checking_told_the_other_does_not_tell_again(world: World) -> None:
    world.answers = SOME
    world.check()
    other = World(world.directory, answers=SOME, after_s=world.after_s)
    other.check()
    assert other.sent == []


def test_the_last_completed_check_is_known(world: World) -> None:
    assert state.last_completed(world.config().health) is None
    world.check()
    assert state.last_completed(world.config().health) == NOW + timedelta(seconds=60)


def test_a_state_that_can_be_written_nowhere_stops_the_check_before_it_sends_anything(world: World) -> None:
    world.answers = SOME
    world.check()
    world.sent.clear()
    world.answers = MUCH
    with (
        mock.patch.object(state, "replace_file", side_effect=OSError(28, "No space left on device")),
        pytest.raises(state.StateError),
    ):
        run_check(world.config(), world, by="test", effects=Effects(observe=world._observe, restart=world._restart))
    assert (world.sent, world.restarts) == ([], 0)


@pytest.fixture
def http_server() -> Iterator[tuple[str, list[str], list[int]]]:
    """A real server: its address, the paths that were requested, and what it answers next."""
    requested: list[str] = []
    answers = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_response(answers[-1])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", requested, answers
    server.shutdown()
    server.server_close()


def test_the_heartbeat_url_is_requested_after_a_completed_check_and_never_shown(
    world: World, http_server: tuple[str, list[str], list[int]]
) -> None:
    address, requested, answers = http_server
    url_file = world.directory / "heartbeat-url"
    url_file.write_text(f"{address}/ping/hunter2\n")
    url_file.chmod(0o600)
    world.health = {"heartbeat_url_file": url_file}
    assert world.check().notes == ()
    assert requested == ["/ping/hunter2"]
    answers.append(503)
    assert world.check().notes == ("heartbeat URL: HTTP status 503",)
    url_file.write_text("http://127.0.0.1:1/hunter2")
    assert world.check().notes == ("heartbeat URL: Connection refused",)
    url_file.chmod(0o644)
    assert "chmod 0600" in world.check().notes[0]
    assert "hunter2" not in (world.directory / "state" / "state.json").read_text()


def test_a_report_can_be_written_as_json(world: World) -> None:
    world.answers = {**MUCH, "journal": NOTHING}
    document = json.loads(TypeAdapter(Report).dump_json(world.check()))
    assert document["snapshot"]["journal"] == {"reason": "broken", "how": "test"}


# --- Killed between any two steps ---------------------------------------------------------------------------------

AGAIN = "you may have got it already"


def openings(world: World, block: str) -> list[tuple[str, str]]:
    """Subject and body of each message to the block about a new problem."""
    return [(subject, body) for to, subject, body in world.sent if to == block and "RESOLVED" not in subject]


def count_steps(directory: Path) -> int:
    """How many steps a check has that opens an alert, restarts, and tells two recipients."""
    directory.mkdir()
    world = World(directory, health=TWO_TOLD, answers=MUCH)
    world.check()
    return world.steps


TWO_TOLD = {"rules": {"memory": {"critical_notify": ["ops", "trading"]}}}
STEPS = 23


def test_the_kill_tests_cover_every_step(tmp_path: Path) -> None:
    assert count_steps(tmp_path / "count") == STEPS


@pytest.mark.parametrize("kill_at", range(STEPS + 1))
def test_killed_at_any_step_no_alert_is_lost_or_doubled(tmp_path: Path, kill_at: int) -> None:
    """With a real SIGKILL: the check runs in a process of its own, which writes down what it sent."""
    world = World(tmp_path, health=TWO_TOLD, answers=MUCH)
    ledger = tmp_path / "sent"
    child = os.fork()
    if child == 0:
        try:
            descriptor = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            world.kill_at = kill_at
            world.kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
            world.sent = _Ledger(descriptor)  # type: ignore[assignment]
            world.check()
            os._exit(0)
        finally:
            os._exit(1)
    _, how = os.waitpid(child, 0)
    assert os.WIFSIGNALED(how) if kill_at < STEPS else os.WEXITSTATUS(how) == 0
    world.sent = [tuple(json.loads(line)) for line in ledger.read_text().splitlines()] if ledger.exists() else []
    sent_before = Counter(block for block, _, _ in world.sent)
    world.after_s = 60
    # The memory is fine again by the next check: nothing but the state knows of the problem, if it was planned.
    planned = Store(world.config().health).load().alerts
    if not planned:
        world.check()  # not planned yet: the problem still stands, as it would
    heal(world, 5)
    for block in (OPS, TRADING):
        told = [body for to, _, body in world.sent if to == block]
        assert told, "nothing is lost"
        news = openings(world, block)
        doubled = len(news) - 1
        assert doubled <= 0 or (doubled == 1 and sent_before[block] == 1 and AGAIN in news[-1][1])
        assert len([subject for subject in world.subjects(block) if "RESOLVED" in subject]) == 1
    doubled_in_all = sum(max(0, len(openings(world, block)) - 1) for block in (OPS, TRADING))
    assert doubled_in_all <= 1, "at most the one message that was under way"


class _Ledger(list[tuple[str, str, str]]):
    """What was sent, on disk at once, so that a killed process cannot take it along."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def append(self, item: tuple[str, str, str]) -> None:
        os.write(self._descriptor, json.dumps(item).encode() + b"\n")


# A problem that is told for the first time: its title, and since when.
PARAGRAPH = re.compile(r"^(?:WARNING|CRITICAL): ([^\n—]*)\n(?:  .*\n)*?  since: ([^(]*)", re.MULTILINE)


class Life(RuleBasedStateMachine):
    """Any order of checks, troubles, kills, deaf recipients and mutes, then health: nobody is told twice or never."""

    @initialize()
    def begin(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.world = World(Path(self.folder.name), health={"restarts": {"max": 2}})
        self.in_the_gap: Counter[str] = Counter()  # what was sent, and not known to be, when a check was killed

    @rule(
        trouble=st.sampled_from(
            [
                {},
                {},
                SOME,
                MUCH,
                {"unit": STOPPED, "cpu": NOTHING, "memory_bytes": NOTHING},
                {"hazelcast": AWAY, "entry": NOTHING, "status": NOTHING},
                {"unit": replace(RUNNING, n_restarts=3)},
                {"journal": NOTHING},
                {"status": None},
            ]
        )
    )
    def become(self, trouble: dict[str, Any]) -> None:
        self.world.answers = trouble

    @rule(blocks=st.sets(st.sampled_from([OPS, TRADING])))
    def deafen(self, blocks: set[str]) -> None:
        self.world.deaf = blocks

    @rule()
    def mute(self) -> None:
        now = NOW + timedelta(seconds=self.world.after_s)
        mute.write(self.world.config().health.state_dir, Mute(now + timedelta(seconds=150), "work", "kim", now))

    @rule(after_s=st.sampled_from([60.0, 60.0, 700.0, 4000.0]))
    def check(self, after_s: float) -> None:
        self.world.check(after_s)

    @rule(after_s=st.sampled_from([60.0, 700.0]), kill_at=st.integers(0, 20))
    def check_and_kill(self, after_s: float, kill_at: int) -> None:
        self.world.kill_at = kill_at
        before = len(self.world.sent)

        def kill() -> None:
            # Sent by this check, and not yet known to be: the one gap.
            on_disk = Store(self.world.config().health).load()
            for block, _, body in self.world.sent[before:]:
                if block in on_disk.sending:
                    self.in_the_gap[block] += len(PARAGRAPH.findall(body)) + body.count("RESOLVED: ")
            raise Killed

        self.world.kill = kill
        with contextlib.suppress(Killed):
            self.world.check(after_s)
        self.world.kill_at = None

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def nobody_is_told_of_one_problem_twice(self) -> None:
        for block in (OPS, TRADING):
            told = Counter(
                (title, since)
                for to, _, body in self.world.sent
                if to == block
                for title, since in PARAGRAPH.findall(body)
            )
            doubled = sum(number - 1 for number in told.values())
            assert doubled <= self.in_the_gap[block]

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.deaf = set()
        self.world.answers = {}
        for _ in range(6):
            self.world.check(4000)
        kept = Store(self.world.config().health).load()
        assert kept.alerts == (), "everything ends"
        for block in (OPS, TRADING):
            bodies = [body for to, _, body in self.world.sent if to == block]
            ends = sum(body.count("RESOLVED: ") for body in bodies)
            known = [alert for alert in kept.past if block in alert.told]
            assert len(known) <= ends <= len(known) + self.in_the_gap[block]
        self.folder.cleanup()


TestLife = pytest.mark.exhaustive(Life.TestCase)
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
