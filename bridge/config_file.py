"""Where the configuration is, and the error when it cannot be used. Imports nothing that takes time."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_CONFIG_PATH = Path("/etc/scan-bridge/config.toml")
ENV_PREFIX = "SCAN_BRIDGE_"


class ConfigError(Exception):
    """The configuration cannot be used. The message names the file, the key and the reason, a line per mistake."""


def config_path() -> Path:
    """The file that is read unless an option names another."""
    return Path(os.environ.get(ENV_PREFIX + "CONFIG", DEFAULT_CONFIG_PATH))
