"""Fixtures of the unit tests, and how hypothesis runs: by the same examples for everybody, without a stopwatch."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unit", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("unit")

NOBODY = 65534


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A temporary folder that other users can enter (pytest's own are closed to them)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


@pytest.fixture
def without_root() -> Callable[[], AbstractContextManager[None]]:
    """Inside `with without_root():` permissions count, also when root runs the tests."""

    @contextlib.contextmanager
    def as_nobody() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return as_nobody
