"""When the checks of a host's bridges are due."""

from __future__ import annotations

from datetime import timedelta

import pytest


@pytest.mark.xdist_group("imports Prefect")  # which takes seconds: one worker does
def test_each_check_is_due_every_minute_at_a_second_of_its_own_that_stays_the_same() -> None:
    from healthcheck.prefect.deployment import schedule

    names = [f"host-{number}" for number in range(20)]
    found = [schedule(name) for name in names]
    assert {one.interval for one in found} == {timedelta(seconds=60)}
    assert [one.anchor_date for one in found] == [schedule(name).anchor_date for name in names]
    seconds = [one.anchor_date.second for one in found if one.anchor_date]
    assert max(seconds.count(second) for second in seconds) <= 3, "twenty at once would take all memory and CPU"
