"""The configurations of all bridges of a host: a file each, in one folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bridge.config import ConfigError
from bridge.config_file import CONFIG_DIR, is_own
from healthcheck.config.settings import HealthConfig, load
from healthcheck.observe import bridges

_OLD_COPIES = "config."  # config.old.toml, config.example.toml: of the plain bridge's file


@dataclass(frozen=True)
class Bridges:
    """The bridges by instance, each with its file; and why other files cannot be used."""

    configs: dict[str, HealthConfig]
    files: dict[str, Path]
    problems: dict[Path, str] = field(default_factory=dict)


def load_all(path: Path) -> Bridges:
    """The configuration at `path`, and those of further bridges beside it. What cannot be used is told, not raised."""
    configs: dict[str, HealthConfig] = {}
    files: dict[str, Path] = {}
    problems: dict[Path, str] = {}
    for file in _files(path):
        try:
            config = load(file)
        except ConfigError as error:
            problems[file] = str(error)
            continue
        instance = config.status.instance
        if problem := _shared(config, configs, files):
            problems[file] = f"{file}: {problem}"
            continue
        configs[instance], files[instance] = config, file
    return Bridges(configs, files, problems)


def _shared(config: HealthConfig, configs: dict[str, HealthConfig], files: dict[str, Path]) -> str | None:
    """What it shares with another bridge's configuration though each needs its own; None if nothing."""
    instance, state_dir = config.status.instance, config.health.state_dir
    if instance in configs:
        return f"status.instance: {instance} is that of {files[instance]} too"
    for other, known in configs.items():
        if known.health.state_dir == state_dir:
            return f"health.state_dir: {state_dir} is that of {files[other]} too"
    return None


def _files(path: Path) -> list[Path]:
    """The system's, and the user's own, as `bridges` has them; in any other folder every one."""
    if path.parent == CONFIG_DIR:
        return list(bridges.here(CONFIG_DIR))
    # Where none of the user's own is in use, this may be a desk from which others' are looked at.
    if is_own(path) and (own := bridges.in_use(path.parent)):
        return list(own)
    found = sorted(path.parent.glob("*.toml"))
    others = [file for file in found if file != path and not file.name.startswith(_OLD_COPIES)]
    return others if others and not path.exists() else [path, *others]
