"""What is costly to make is made by one worker: pytest-xdist keeps the tests of a group together."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from support import process

TESTS = """
import pytest

@pytest.mark.xdist_group("costly")
@pytest.mark.parametrize("number", range(12))
def test_grouped(number):
    pass
"""


@pytest.mark.exhaustive
def test_the_tests_of_a_group_run_on_one_worker(tmp_path: Path) -> None:
    """Seen to fail without a word: pytest 9.2 made the ids immutable in which pytest-xdist 3.8 keeps the group."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ("-v", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup")
    done = process.run([sys.executable, "-m", "pytest", *options, "test_it.py"], cwd=tmp_path)
    workers = re.findall(r"^\[(gw\d)\].*PASSED", done.stdout, re.MULTILINE)
    assert len(workers) == 12, done.stdout
    assert len(set(workers)) == 1, done.stdout
