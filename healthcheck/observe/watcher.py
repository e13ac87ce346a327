"""Asks systemd how those units are that have Prefect run the check. Looks only."""

from __future__ import annotations

from healthcheck.config.settings import Health
from healthcheck.observe import commands
from healthcheck.observe.commands import CommandError
from healthcheck.text import foreign

SERVING, SERVER = "dolphin-scan-bridge-healthcheck.service", "dolphin-scan-bridge-prefect.service"
LOOK_S = 5.0


def inspect(health: Health) -> str:
    """What the unit that serves the deployment, and the local Prefect server, say of themselves; empty if nothing."""
    properties = "--property=Id,ActiveState,UnitFileState,StatusText"
    command = [*health.systemctl.split(), "show", "--no-pager", properties, "--", SERVING, SERVER]
    try:
        return parse(commands.run(command, LOOK_S).out)
    except CommandError:
        return ""


def parse(text: str) -> str:
    """`systemctl show`'s blocks in words. A unit that is neither running nor meant to be is left out."""
    said = []
    for block in text.strip().split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        state = unit.get("ActiveState", "")
        if state == "inactive" and unit.get("UnitFileState") != "enabled":
            continue
        status = foreign(unit.get("StatusText", ""))
        said.append(f"{foreign(unit.get('Id', ''))} is {foreign(state)}" + (f": {status}" if status else ""))
    return "; ".join(said)
