"""Where configurations are, which bridge each is for, and the error when one cannot be used.

Imports nothing that takes time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

CONFIG_DIR = Path("/etc/scan-bridge")
DEFAULT_CONFIG_PATH = CONFIG_DIR / "config.toml"
ENV_PREFIX = "SCAN_BRIDGE_"
PLAIN = "config"  # the file of the bridge that has no name
_COPY = f"{PLAIN}."  # config.old.toml, config.example.toml: copies of that file are no further bridges

# What names a file, a unit, a state folder and an instance alike.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,47}")


class ConfigError(Exception):
    """The configuration cannot be used. The message names the file, the key and the reason, a line per mistake."""


def config_path() -> Path:
    """The file that is read unless an option names another: $SCAN_BRIDGE_CONFIG, the user's own, or the system's."""
    return Path(os.environ.get(ENV_PREFIX + "CONFIG") or _own_or_system(PLAIN))


def path_of(name: str) -> Path:
    """The file of the further bridge NAME: the user's own, or the system's.

    Raises:
        ValueError: no bridge can have this name. The message says what one looks like.
    """
    if not _is_name(name):
        wanted = "letters, digits, '_', '.' and '-', 48 at most, beginning with neither '.' nor '-'"
        is_plain = name == PLAIN or name.startswith(_COPY)
        taken = f"'{PLAIN}' is the file of the bridge without a name, as are copies of it; " if is_plain else ""
        raise ValueError(f"{name!r} is no name for a bridge: {taken}{wanted}")
    return _own_or_system(name)


def config_path_of_all() -> Path:
    """The file beside which this host's bridges have theirs: that of $SCAN_BRIDGE_CONFIG; the plain one in the user's
    own folder, if that has any; or the system's."""
    if chosen := os.environ.get(ENV_PREFIX + "CONFIG"):
        return Path(chosen)
    return (own_dir() if files_in(own_dir()) else CONFIG_DIR) / f"{PLAIN}.toml"


def files_in(folder: Path) -> tuple[Path, ...]:
    """The configurations in a folder, the one without a name first. Nothing else that lies there is one."""
    plain = folder / f"{PLAIN}.toml"
    further = sorted(path for path in folder.glob("*.toml") if _is_name(path.name.removesuffix(".toml")))
    return (plain, *further) if plain.exists() else tuple(further)


def name_of(path: Path) -> str:
    """The name of the bridge whose configuration this is; empty for the one without, and for a file elsewhere."""
    folder, file = os.path.split(os.path.abspath(path))
    name = file.removesuffix(".toml")
    is_named = Path(folder) in (CONFIG_DIR, own_dir()) and name != file and _is_name(name)
    return name if is_named else ""


def own_dir() -> Path:
    """The user's own folder for configurations, which need not exist."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "scan-bridge")


def is_own(path: Path) -> bool:
    """Whether this file lies in the user's own folder, which for the system's services is the system's."""
    return Path(os.path.abspath(path)).parent == own_dir() != CONFIG_DIR


def over(defaults: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The document, and where it or a section of it says nothing, the defaults."""
    whole = defaults | document
    for key, value in defaults.items():
        if isinstance(value, dict) and isinstance(whole[key], dict):
            whole[key] = value | whole[key]
    return whole


def _is_name(name: str) -> bool:
    return name != PLAIN and not name.startswith(_COPY) and _NAME.fullmatch(name) is not None


def _own_or_system(name: str) -> Path:
    own = own_dir() / f"{name}.toml"
    # os.path says "no" where the home may not be looked into; so says a service.
    return own if os.path.exists(own) else CONFIG_DIR / f"{name}.toml"
