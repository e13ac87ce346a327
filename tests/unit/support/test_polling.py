"""Asking until something is so: when it is asked again."""

from __future__ import annotations

import itertools

import pytest
from support import polling
from support.polling import poll


class Clock:
    """Time that passes only while one sleeps, or asks."""

    def __init__(self, asking_takes_s: float) -> None:
        self._asking_takes_s = asking_takes_s
        self.now_s = 1000.0
        self.asked = 0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def ask(self) -> bool:
        self.asked += 1
        self.now_s += self._asking_takes_s
        return False


def asked_in(seconds: float, asking_takes_s: float, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often it is asked."""
    clock = Clock(asking_takes_s)
    monkeypatch.setattr(polling, "time", clock)
    assert not poll(clock.ask, seconds)
    assert seconds < clock.now_s - 1000.0 < seconds + polling.LONGEST_PAUSE_S + 2 * asking_takes_s
    return clock.asked


def test_what_is_true_is_given_at_once_and_else_what_there_is_at_the_deadline() -> None:
    assert poll(lambda: "it", 60) == "it"
    numbers = itertools.count()
    assert poll(lambda: next(numbers), 60) == 1
    assert poll(list, 0) == []


@pytest.mark.parametrize(("asking_takes_s", "share"), [(0.025, 0.1), (0.1, 0.15)])
def test_asking_takes_a_small_part_of_a_long_wait(
    asking_takes_s: float, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_in(10.0, asking_takes_s, monkeypatch)
    assert 7 < asked < share * 10.0 / asking_takes_s


def test_what_is_asked_for_nothing_is_asked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_in(10.0, 0.0, monkeypatch) > 10.0 / polling.LONGEST_PAUSE_IF_CHEAP_S
