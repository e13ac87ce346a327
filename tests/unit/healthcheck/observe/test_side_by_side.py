"""Jobs at once, and what one of them that hangs or raises costs."""

from __future__ import annotations

import sys
import threading

import pytest
from support import process

from healthcheck.observe import side_by_side


def test_a_job_that_hangs_or_raises_costs_its_own_answer_only() -> None:
    release = threading.Event()

    def hang() -> None:
        release.wait(60)

    def fail() -> None:
        raise ValueError("broken")

    outcomes = side_by_side.run({"hangs": hang, "fails": fail, "works": lambda: 7}, 0.3)
    release.set()
    assert isinstance(outcomes["hangs"], TimeoutError)
    assert isinstance(outcomes["fails"], ValueError)
    assert outcomes["works"] == 7


def test_jobs_run_at_the_same_time() -> None:
    both = threading.Barrier(2)
    outcomes = side_by_side.run({"a": lambda: both.wait(20), "b": lambda: both.wait(20)}, 30)
    assert sorted(outcomes.values()) == [0, 1]  # type: ignore[type-var]


@pytest.mark.exhaustive
def test_a_job_that_hangs_does_not_keep_the_process_from_ending() -> None:
    script = (
        "import threading\n"
        "from healthcheck.observe import side_by_side\n"
        "side_by_side.run({'hangs': lambda: threading.Event().wait()}, 0.1)\n"
    )
    process.run([sys.executable, "-c", script], check=True)
