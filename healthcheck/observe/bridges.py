"""Which bridges this host has: the configurations that lie side by side, as far as their units run or are to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.config_file import PLAIN, ConfigError, files_in
from healthcheck.config.settings import Health, health_at, load
from healthcheck.observe import commands
from healthcheck.observe.commands import CommandError

LOOK_S = 5.0


def here(folder: Path) -> tuple[Path, ...]:
    """The configurations in `folder` whose bridges are to be watched, the one without a name first.

    Where there is but config.toml it is that, as ever. Else those in use; where none is, config.toml.
    """
    return in_use(folder) or (folder / f"{PLAIN}.toml",)


def in_use(folder: Path) -> tuple[Path, ...]:
    """Those in `folder` that are of another host, or whose unit is to run, runs or has failed; the same order. Without
    further ones, config.toml.

    What systemd does not tell counts: not to know must not mean not to watch.
    """
    plain = folder / f"{PLAIN}.toml"
    every = files_in(folder)
    if every in ((), (plain,)):
        return (plain,)
    files = {path: _health(path) for path in every}
    found = {path for path, health in files.items() if health.scope == "remote"}
    for systemctl in {health.systemctl for health in files.values()}:
        units = {path: health.unit for path, health in files.items() if health.systemctl == systemctl}
        found.update(watched(tuple(units), _show(systemctl, tuple(units.values()))))
    return tuple(path for path in files if path in found)


def watched(files: Sequence[Path], units: Sequence[Mapping[str, str]]) -> tuple[Path, ...]:
    """Those of the files whose units, in the same order, are enabled, masked or not simply inactive; unknown: all."""
    if len(units) != len(files):
        return tuple(files)
    return tuple(
        path
        for path, unit in zip(files, units, strict=True)
        if unit.get("UnitFileState", "").startswith(("enabled", "masked")) or unit.get("ActiveState") != "inactive"
    )


def parse(text: str) -> list[dict[str, str]]:
    """`systemctl show`'s blocks, one a unit."""
    blocks = [block for block in text.strip().split("\n\n") if block]
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]


def _show(systemctl: str, units: Sequence[str]) -> list[dict[str, str]]:
    """What their manager tells of the units, in the same order; nothing if it cannot be asked."""
    command = [*systemctl.split(), "show", "--no-pager", "--property=ActiveState,UnitFileState", "--", *units]
    try:
        return parse(commands.run(command, LOOK_S).out)
    except CommandError:
        return []


def _health(path: Path) -> Health:
    """As its file says; the usual where that is not valid."""
    try:
        return load(path).health
    except ConfigError:
        return Health(**health_at(path))
