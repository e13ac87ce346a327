"""The configurations of all bridges of a host: a file each, in one folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from bridge import config_file
from bridge.config_file import PLAIN, ConfigError, files_in, is_own
from healthcheck.config.settings import Health, HealthConfig, load
from healthcheck.observe import bridges


@dataclass(frozen=True)
class Bridges:
    """The bridges by instance, each with its file; and why other files cannot be used."""

    configs: dict[str, HealthConfig]
    files: dict[str, Path]
    problems: dict[Path, str] = field(default_factory=dict)

    def in_order(self) -> list[Path]:
        """All their files, those that cannot be used too; the one of the bridge without a name first."""
        return sorted([*self.files.values(), *self.problems], key=lambda file: (file.stem != PLAIN, file))


def load_all(path: Path) -> Bridges:
    """The configuration at `path`, and those of further bridges beside it. What cannot be used is told, not raised."""
    configs: dict[str, HealthConfig] = {}
    files: dict[str, Path] = {}
    problems: dict[Path, str] = {}
    for file in _files(path.absolute()):
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
    instance = config.status.instance
    if instance in configs:
        return f"status.instance: {instance} is that of {files[instance]} too"
    for other, known in configs.items():
        for key in _apart(config.health, known.health):
            value = getattr(config.health, key)
            if value is not None and value == getattr(known.health, key):
                return f"health.{key}: {value} is that of {files[other]} too"
    return None


def _apart(one: Health, other: Health) -> tuple[str, ...]:
    """What two must not share: one's state, metrics or heartbeat would be taken for the other's."""
    keys = ("state_dir", "spare_state_dir", "textfile", "heartbeat_url_file")
    is_elsewhere = "remote" in (one.scope, other.scope) or one.manager != other.manager
    return keys if is_elsewhere else ("unit", *keys)


def _files(path: Path) -> list[Path]:
    """The system's, and the user's own, as `bridges` has them; in any other folder, which may hold whatever else is
    TOML, those with a section `[source]`. Whichever is named counts, but for the plain one where that is not in use.
    """
    # Where none of the user's own is in use, this may be a desk from which others' are looked at.
    if path.parent == config_file.CONFIG_DIR:
        found = bridges.here(path.parent)
    else:
        in_use = bridges.in_use(path.parent) if is_own(path) else ()
        found = in_use or tuple(file for file in files_in(path.parent) if _has_source(file))
    others = [file for file in found if file != path]
    is_plain = path.name == f"{PLAIN}.toml"
    return list(found) if path in found or (is_plain and others) else [path, *others]


def _has_source(file: Path) -> bool:
    """Whether it is a bridge's configuration, or cannot be read and so must not be passed over in silence."""
    try:
        return "source" in tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return True
