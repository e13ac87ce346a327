"""Where Prefect's server is, and how this process talks to it. To be settled before Prefect is imported.

Prefect reads its settings from the environment once, when it is imported. It must never be left to start a temporary
server of its own, nor to leave a folder in somebody's home.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

LOCAL_SERVER = "http://127.0.0.1:4200/api"  # dolphin-scan-bridge-prefect.service
ENVIRONMENT_FILE = "healthcheck.env"  # beside the config; systemd reads it for the unit that serves

# Unless set otherwise: calls to the server end soon enough for one check a minute, and nobody is phoned home.
_DEFAULTS = {
    "PREFECT_API_REQUEST_TIMEOUT": "10",
    "PREFECT_CLIENT_MAX_RETRIES": "2",
    "PREFECT_LOGGING_COLORS": "false",
    "DO_NOT_TRACK": "1",
}


def settle(config_path: Path) -> None:
    """Use the server that the environment, the environment file or a Prefect profile names, else the local one."""
    if "PREFECT_API_URL" not in os.environ:
        os.environ.update(read_environment_file(config_path.with_name(ENVIRONMENT_FILE)))
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "PREFECT_HOME" not in os.environ and not Path("~/.prefect").expanduser().exists():
        home = tempfile.mkdtemp(prefix="scan-bridge-prefect-")
        atexit.register(_remove, home, os.getpid())
        os.environ["PREFECT_HOME"] = home
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        os.environ["PREFECT_API_URL"] = LOCAL_SERVER
        refresh_global_settings_context()


def read_environment_file(path: Path) -> dict[str, str]:
    """Prefect's variables in a file of `NAME=value` lines as systemd reads them; none where it cannot be read."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = [line.strip().split("=", 1) for line in lines if "=" in line and line.lstrip().startswith("PREFECT_")]
    return {name: value.strip().strip("\"'") for name, value in pairs}


def _remove(home: str, owner: int) -> None:
    """Not at the end of a process that was forked from its owner."""
    if os.getpid() == owner:
        shutil.rmtree(home, ignore_errors=True)
