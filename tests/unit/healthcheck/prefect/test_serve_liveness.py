"""When the watchdog is told that all is well: pure, the clock is given."""

from __future__ import annotations

from datetime import UTC, datetime

from healthcheck.prefect.serve import CHECK_S, STALLED_S, Liveness

POLLED = datetime(2026, 3, 24, tzinfo=UTC)


def test_alive_while_the_server_is_polled() -> None:
    liveness = Liveness(0.0)
    assert all(liveness.is_alive((0, POLLED.replace(minute=m)), False, m * 60.0) for m in range(60))


def test_alive_while_attempts_to_reach_the_server_end_however_long_it_is_away() -> None:
    liveness = Liveness(0.0)
    assert all(liveness.is_alive((attempt, POLLED), False, attempt * 60.0) for attempt in range(60 * 24))


def test_not_alive_once_nothing_has_moved_for_too_long() -> None:
    liveness = Liveness(0.0)
    assert liveness.is_alive((1, POLLED), False, 10.0)
    assert liveness.is_alive((1, POLLED), False, 10.0 + STALLED_S - 1)
    assert not liveness.is_alive((1, POLLED), False, 10.0 + STALLED_S)
    assert liveness.is_alive((2, POLLED), False, 11.0 + STALLED_S)


def test_not_alive_once_a_check_has_outlived_its_deadline_though_polling_goes_on() -> None:
    liveness = Liveness(0.0)
    alive = [liveness.is_alive((second, POLLED), second > 10, float(second)) for second in range(400)]
    assert all(alive[: 10 + int(CHECK_S)])
    assert not any(alive[10 + int(CHECK_S) :])


def test_alive_again_once_the_check_has_ended() -> None:
    liveness = Liveness(0.0)
    assert not liveness.is_alive((1, POLLED), True, CHECK_S)
    assert liveness.is_alive((1, POLLED), False, CHECK_S + 1)
