"""Where the configuration is, and the error when it cannot be used. Imports nothing that takes time."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_CONFIG_PATH = Path("/etc/scan-bridge/config.toml")
ENV_PREFIX = "SCAN_BRIDGE_"


class ConfigError(Exception):
    """The configuration cannot be used. The message names the file, the key and the reason, a line per mistake."""


def config_path() -> Path:
    """The file that is read unless an option names another: $SCAN_BRIDGE_CONFIG, the user's own, or the system's."""
    if named := os.environ.get(ENV_PREFIX + "CONFIG"):
        return Path(named)
    own = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "scan-bridge/config.toml")
    # os.path says "no" where the home may not be looked into; so says a service.
    return Path(own) if os.path.exists(own) else DEFAULT_CONFIG_PATH
