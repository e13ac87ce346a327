"""Which bridges the dashboard shows: those that this host has now."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.prefect_server import eventually

from bridge.config import ConfigError
from healthcheck.dashboard import watches as module
from healthcheck.dashboard.watches import Watches

SOON_S = 60.0


def write(folder: Path, name: str, more: str = "") -> Path:
    """A bridge of another host, so that no unit is asked for; its cluster is away."""
    file = folder / f"{name}.toml"
    own = f'health.state_dir = "{folder}/{name}"\nhealth.spare_state_dir = "{folder}/spare/{name}"\n'
    away = 'health.scope = "remote"\nhazelcast.members = ["127.0.0.1:9"]\nhazelcast.connect_timeout_s = 1\n'
    file.write_text(f'source.root = "{folder}"\nstatus.instance = "{name}"\n{own}{away}{more}')
    return file


def looking() -> set[int | None]:
    return {thread.ident for thread in threading.enumerate() if thread.name in ("poll", "look")}


@pytest.fixture
def watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watches]:
    monkeypatch.setattr(module, "REFRESH_S", 0.1)
    watches = Watches(write(tmp_path, "config"))
    yield watches
    for one in watches.current.values():
        one.watch.stop()


def test_a_bridge_that_is_added_appears_and_is_looked_at_and_one_that_is_removed_goes(
    watches: Watches, tmp_path: Path
) -> None:
    watches.start()
    first, before = watches.current["config"], looking()
    added = write(tmp_path, "added")
    eventually(lambda: "added" in watches.current, SOON_S, "it appears")
    watch = watches.current["added"].watch
    eventually(lambda: watch.overview()[0].report.at, SOON_S, "it is looked at")
    added.unlink()
    eventually(lambda: set(watches.current) == {"config"}, SOON_S, "it goes")
    assert watches.current["config"] is first, "what was seen of the other one stays"
    eventually(lambda: looking() == before, SOON_S, "it is looked at no more")


def test_one_whose_file_is_being_edited_stays_as_it_was_and_is_taken_over_once_it_is_valid(
    watches: Watches, tmp_path: Path
) -> None:
    write(tmp_path, "another")
    watches.refresh()
    before = dict(watches.current)
    write(tmp_path, "config", "nonsense = 1\n")
    assert watches.refresh() == []
    assert watches.current == before
    write(tmp_path, "config", "health.journal_lines = 7\n")
    (new,) = watches.refresh()
    assert watches.current == {**before, "config": new}
    assert new.config.health.journal_lines == 7


def test_the_bridge_whose_file_was_named_is_the_first(watches: Watches, tmp_path: Path) -> None:
    write(tmp_path, "another")
    watches.refresh()
    assert watches.first[0] == "config"
    (tmp_path / "config.toml").unlink()
    watches.refresh()
    assert watches.first[0] == "another"


def test_without_any_bridge_it_says_what_is_wrong_with_the_file_that_was_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.toml"):
        Watches(tmp_path / "config.toml")
