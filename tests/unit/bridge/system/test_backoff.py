"""A trouble that lasts is told when it begins, now and then, and when it ends; waits grow, with jitter."""

from __future__ import annotations

import logging
import random

import pytest

from bridge.system.backoff import OTHER_REASON_S, REPEAT_S, Backoff


class Clock:
    def __init__(self) -> None:
        self.now_s = 5000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("bridge.system.backoff.time.monotonic", clock)
    return clock


def attempts(first_wait_s: float = 0.1, longest_wait_s: float = 1.0) -> Backoff:
    return Backoff(logging.getLogger("trouble"), "connecting", first_wait_s, longest_wait_s)


def test_the_first_time_is_told_at_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    attempts().failed("refused")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "connecting: refused; trying again")
    ]


def test_an_hour_of_trouble_takes_a_line_a_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    lasting = attempts()
    start_s = clock.now_s
    while clock.now_s < start_s + 3600:
        lasting.failed("refused")
        clock.now_s += 0.5
    assert len(caplog.messages) == 3600 / REPEAT_S
    assert caplog.messages[-1] == "connecting: refused; trying again (for 3540 s now)"


def test_a_reason_without_words_is_told_as_rarely(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    lasting = attempts()
    for _ in range(100):
        lasting.failed("")
    assert len(caplog.messages) == 1


def test_another_reason_is_told_soon_but_not_each_time_it_changes(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lasting = attempts()
    start_s = clock.now_s
    while clock.now_s < start_s + REPEAT_S:
        lasting.failed("refused")
        lasting.failed("no answer")
        clock.now_s += 0.1
    assert len(caplog.messages) <= REPEAT_S / OTHER_REASON_S
    assert "connecting: no answer; trying again (for 5 s now)" in caplog.messages


def test_the_end_is_told_once_with_how_long_it_took(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trouble")
    lasting = attempts()
    lasting.failed("refused")
    clock.now_s += 12.34
    lasting.failed("refused")
    lasting.succeeded()
    lasting.succeeded()
    assert [(record.levelname, record.getMessage()) for record in caplog.records[1:]] == [
        ("INFO", "connecting: over after 12.3 s")
    ]


def test_without_trouble_there_is_no_end_to_tell(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trouble")
    attempts().succeeded()
    assert caplog.messages == []


def test_a_new_trouble_is_told_at_once_again(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    lasting = attempts()
    lasting.failed("refused")
    lasting.succeeded()
    lasting.failed("refused")
    assert caplog.messages.count("connecting: refused; trying again") == 2


def test_waits_double_to_the_longest_and_begin_anew_when_it_is_over(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)
    lasting = attempts(0.1, 1.0)
    assert [lasting.failed("refused") for _ in range(6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    lasting.succeeded()
    assert lasting.failed("refused") == pytest.approx(0.1)


def test_waits_have_jitter_so_that_two_bridges_do_not_come_in_step(clock: Clock) -> None:
    waits_s = {attempts(1.0).failed("refused") for _ in range(50)}
    assert len(waits_s) > 1
    assert all(0.75 <= wait_s <= 1.25 for wait_s in waits_s)
