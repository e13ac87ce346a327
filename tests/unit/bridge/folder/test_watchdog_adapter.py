"""The adapter refuses a watchdog that lacks what it uses, at import and not in the middle of the night."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from watchdog.observers.inotify_c import InotifyFD

from bridge.folder import watchdog_adapter


@pytest.fixture
def imported_again() -> Iterator[None]:
    """The module as it was, whatever the test made of it."""
    yield
    importlib.reload(watchdog_adapter)


@pytest.mark.parametrize("name", watchdog_adapter._USED)
def test_a_name_that_is_gone_is_refused_at_import(
    imported_again: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with monkeypatch.context() as changed:
        changed.delattr(InotifyFD, name)
        with pytest.raises(ImportError, match=f"InotifyFD has no {name}"):
            importlib.reload(watchdog_adapter)


def test_a_descriptor_of_another_name_is_refused_at_import(
    imported_again: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(InotifyFD, "__init__", lambda self: None)
        with pytest.raises(ImportError, match="InotifyFD has no _inotify_fd"):
            importlib.reload(watchdog_adapter)
