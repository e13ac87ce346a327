"""The state on disk: whole or not at all, one check at a time, and a way on when the disk is full."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import process
from support.health_cases import NOW, config, earlier

from healthcheck.alert import alerts
from healthcheck.alert.alerts import Alerting
from healthcheck.alert.restart_policy import RestartLog
from healthcheck.config.settings import Health
from healthcheck.keep.state import (
    CORRUPT_NAME,
    FILE_NAME,
    LockedError,
    State,
    StateError,
    Store,
)
from healthcheck.model.finding import Cause, Finding, Severity

WRITTEN_BY_1_0 = Path(__file__).parent / "state-1.0.json"  # by its own code, of the same `some_state`


@pytest.fixture
def health(tmp_path: Path) -> Health:
    for name in ("state", "spare"):
        (tmp_path / name).mkdir()
    return config(state_dir=tmp_path / "state", spare_state_dir=tmp_path / "spare").health


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte without room for anything."""
    place = tmp_path / "full"
    place.mkdir()
    process.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
    try:
        with pytest.raises(OSError), (place / "filler").open("wb") as filler:
            while True:
                filler.write(bytes(4096))
        yield place
    finally:
        process.run(["umount", place], check=True)


def some_state() -> State:
    opened = Finding("memory", Severity.CRITICAL, "much", Cause.OVER_LIMIT, "restart_bridge", ("ops",))
    alerting = Alerting(NOW, config().health.alerts, config().health.addresses)
    standing = alerting.plan((), (), [opened])
    told = alerting.mark_told(standing, "slack-webhook/ops", alerts.changes((), standing))
    return State(
        previous_check=earlier(),
        alerts=told,
        past=standing,
        restarts=RestartLog((NOW,), exhausted=True),
        unreachable={"slack-webhook/trading": "HTTP 500"},
        sending={"slack-webhook/trading": NOW},
        completed_at=NOW,
        completed_by="prefect",
    )


def test_what_was_saved_is_loaded(health: Health) -> None:
    saved = Store(health).save(some_state())
    assert Store(health).load() == saved
    assert saved == replace(some_state(), revision=1)


def test_without_a_state_everything_begins_anew(health: Health) -> None:
    assert Store(health).load() == State()


@pytest.mark.parametrize("content", [b"", b"{", b'{"revision": "x"}', b"\xff\xfe", b"[]"])
def test_a_corrupt_state_is_put_aside_and_noted(health: Health, content: bytes) -> None:
    (health.state_dir / FILE_NAME).write_bytes(content)
    store = Store(health)
    assert store.load() == State()
    assert "corrupt" in store.notes[0]
    assert (health.state_dir / CORRUPT_NAME).read_bytes() == content


def test_only_looking_does_not_touch_a_corrupt_state(health: Health) -> None:
    (health.state_dir / FILE_NAME).write_bytes(b"{")
    Store(health).load(may_repair=False)
    assert (health.state_dir / FILE_NAME).read_bytes() == b"{"


def test_a_state_of_a_newer_version_with_unknown_fields_can_be_read(health: Health) -> None:
    Store(health).save(some_state())
    path = health.state_dir / FILE_NAME
    path.write_bytes(path.read_bytes().replace(b'{"revision"', b'{"added_later":1,"revision"', 1))
    assert Store(health).load().completed_by == "prefect"


@pytest.mark.root
def test_on_a_full_disk_the_state_goes_to_the_spare_place_and_back(health: Health, full_disk: Path) -> None:
    health = health.model_copy(update={"state_dir": full_disk})
    store = Store(health)
    store.save(some_state())
    assert store.problem is not None
    assert "No space left" in store.problem
    assert Store(health).load().revision == 1
    assert sorted(path.name for path in full_disk.iterdir()) == ["filler"], "no partial file is left"
    (full_disk / "filler").unlink()
    store.save(Store(health).load())
    assert store.problem is None
    assert Store(health).load().revision == 2


@pytest.mark.root
def test_an_older_state_that_a_full_disk_still_holds_does_not_win(health: Health, full_disk: Path) -> None:
    (full_disk / "filler").unlink()
    health = health.model_copy(update={"state_dir": full_disk})
    store = Store(health)
    store.save(State(completed_by="before"))
    with pytest.raises(OSError), (full_disk / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(4096))
    store.save(replace(store.load(), completed_by="after"))
    assert Store(health).load().completed_by == "after"


def test_a_state_that_can_be_written_nowhere_is_an_error_that_names_both_places(tmp_path: Path) -> None:
    store = Store(config(state_dir=tmp_path / "no" / "way", spare_state_dir=tmp_path / "nor" / "there").health)
    with pytest.raises(StateError) as error:
        store.save(State())
    assert str(tmp_path / "no") in str(error.value)
    assert str(tmp_path / "nor") in str(error.value)


def test_the_folder_of_a_further_bridge_is_made_in_that_of_the_unit_for_nobody_else(health: Health) -> None:
    if os.geteuid() == 0:  # who makes it may be root, by hand
        os.chown(health.state_dir, 65534, 65534)
    further = health.model_copy(update={"state_dir": health.state_dir / "@b"})
    with Store(further).lock():
        Store(further).save(State(completed_by="b"))
    made = further.state_dir.stat()
    assert (made.st_mode & 0o777, made.st_uid if os.geteuid() == 0 else 65534) == (0o700, 65534)
    assert Store(further).load().completed_by == "b"
    assert Store(health).load().completed_by == ""


def test_what_version_1_0_left_is_read_whole_after_the_upgrade(health: Health) -> None:
    shutil.copy(WRITTEN_BY_1_0, health.state_dir / FILE_NAME)
    state, meant = Store(health).load(), some_state()
    assert state.previous_check is not None
    assert (state.previous_check.entry, state.previous_check.journal_cursor) == (earlier().entry, "cursor")
    assert [(alert.id, alert.sentences, alert.told) for alert in (*state.alerts, *state.past)] == [
        (alert.id, alert.sentences, alert.told) for alert in (*meant.alerts, *meant.past)
    ]
    assert (state.restarts, state.unreachable, state.sending, state.completed_by) == (
        *(meant.restarts, meant.unreachable, meant.sending, meant.completed_by),
    )


def test_a_writer_killed_at_any_moment_leaves_a_whole_state(health: Health) -> None:
    store = Store(health)
    store.save(some_state())
    for _ in range(10):
        child = os.fork()
        if child == 0:
            try:
                state = Store(health).load()
                while True:
                    state = Store(health).save(state)
            finally:
                os._exit(1)
        revision = Store(health).load().revision
        deadline = time.monotonic() + 10
        while Store(health).load().revision == revision and time.monotonic() < deadline:
            pass
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        fresh = Store(health)
        loaded = fresh.load()
        assert fresh.notes == ()
        assert loaded.revision > revision
        assert loaded == replace(some_state(), revision=loaded.revision)


def test_one_check_at_a_time_and_a_dead_one_holds_nothing_up(health: Health) -> None:
    held, hold = os.pipe()
    child = os.fork()
    if child == 0:
        with Store(health).lock():
            os.write(hold, b"x")
            signal.pause()
    os.read(held, 1)
    with pytest.raises(LockedError), Store(health).lock():
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with Store(health).lock():
        pass
