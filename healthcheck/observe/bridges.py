"""Which bridges this host has: the configurations that lie side by side, as far as their units run or are to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.config_file import PLAIN, ConfigError, name_of
from healthcheck.config.settings import load
from healthcheck.observe import commands
from healthcheck.observe.commands import CommandError

LOOK_S = 5.0


def here(folder: Path) -> tuple[Path, ...]:
    """The configurations in `folder` whose bridges are to be watched, the one without a name first.

    Where there is but config.toml it is that, as ever. Else a unit that is enabled, runs or has failed counts; where
    none does, config.toml. What systemd does not tell counts: not to know must not mean not to watch.
    """
    plain = folder / f"{PLAIN}.toml"
    further = sorted(path for path in folder.glob("*.toml") if name_of(path))
    if not further:
        return (plain,)
    files = [plain, *further] if plain.exists() else further
    units = [_unit(path) for path in files]
    try:
        command = ["systemctl", "show", "--no-pager", "--property=ActiveState,UnitFileState", "--", *units]
        ran = commands.run(command, LOOK_S)
    except CommandError:
        return tuple(files)
    return watched(files, parse(ran.out)) or (plain,)


def watched(files: Sequence[Path], units: Sequence[Mapping[str, str]]) -> tuple[Path, ...]:
    """Those of the files whose units, in the same order, are enabled or not simply inactive; unknown: all."""
    if len(units) != len(files):
        return tuple(files)
    return tuple(
        path
        for path, unit in zip(files, units, strict=True)
        if unit.get("UnitFileState", "").startswith("enabled") or unit.get("ActiveState") != "inactive"
    )


def parse(text: str) -> list[dict[str, str]]:
    """`systemctl show`'s blocks, one a unit."""
    blocks = [block for block in text.strip().split("\n\n") if block]
    return [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]


def _unit(path: Path) -> str:
    """As its file says; the usual one where that is not valid."""
    try:
        return load(path).health.unit
    except ConfigError:
        name = name_of(path)
        return f"dolphin-scan-bridge@{name}.service" if name else "dolphin-scan-bridge.service"
