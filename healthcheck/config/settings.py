"""The health check's own settings: section `[health]` of the configuration file the bridge reads too.

The shipped defaults are the rules' tables of the design. Whatever is not valid is refused, never guessed.
"""

from __future__ import annotations

import os
import re
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from bridge import config as bridge_config
from bridge.config import Config
from bridge.config_file import is_own, name_of
from bridge.config_types import CredentialFile, Seconds, Section
from healthcheck.config.dashboard import Dashboard
from healthcheck.config.rules import Rules

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
# The folders that systemd makes for the units of the health check.
STATE_DIR = Path("/var/lib/scan-bridge-healthcheck")
SPARE_STATE_DIR = Path("/run/scan-bridge-healthcheck")
# The same for a user's own manager, below XDG_STATE_HOME and XDG_RUNTIME_DIR.
OWN_STATE_DIR = Path("scan-bridge/healthcheck")
OWN_SPARE_STATE_DIR = Path("scan-bridge-healthcheck")
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Recipients(Section):
    """Who belongs to a group."""

    blocks: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")], ...] = Field(
        default=(), description='Prefect notification blocks, "type/name": "slack-webhook/scan-ops".'
    )


class Window(Section):
    """Hours in which scans are expected. `to` not after `from` means: until that time on the next day."""

    days: tuple[Day, ...] = Field(default=DAYS, min_length=1, description="Days on which the window opens.")
    from_: time = Field(alias="from", description="Opens at this local time, HH:MM.")
    to: time = Field(description="Closes at this local time, HH:MM.")
    time_zone: str = Field(default="UTC", description='IANA name: "Europe/Zurich".')

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{name!r} is no IANA time zone known to this machine") from error
        return name

    @model_validator(mode="after")
    def _local_times(self) -> Self:
        if self.from_.tzinfo or self.to.tzinfo:
            raise ValueError("from and to are local times; name the zone in time_zone")
        return self


class Alerts(Section):
    """When a group hears of a problem again."""

    repeat_s: Seconds = Field(default=3600.0, description="An alert that stands is sent again this often.")
    resolve_after_s: Seconds = Field(
        default=90.0,
        description="A problem is over once it was gone for so long; what comes back earlier is the same problem.",
    )
    flap_s: Seconds = Field(
        default=1800.0,
        description="A problem that comes back within this time of its end flaps: each time it must stay gone twice as "
        "long as before to be called over, at most repeat_s.",
    )
    send_timeout_s: Seconds = Field(default=10.0, description="Deadline of each delivery.")
    history: int = Field(default=200, ge=1, le=10_000, description="How many past alerts are kept.")


class Restarts(Section):
    """The budget for restarting the bridge."""

    max: int = Field(default=3, ge=0, le=100, description="Restarts allowed within window_s; 0 forbids them.")
    window_s: Seconds = Field(default=900.0, description="Seconds the budget is counted over.")
    verify_s: Seconds = Field(default=15.0, description="How long to wait for proof that the bridge came back.")


class Health(Section):
    """The health check's own settings."""

    unit: str = Field(
        default="dolphin-scan-bridge.service",
        pattern=r"^[A-Za-z0-9:_.@\\-]+\.service$",
        description="The bridge's unit. Default in NAME.toml: dolphin-scan-bridge@NAME.service.",
    )
    manager: Literal["system", "user"] = Field(
        default="system",
        description="Whose systemd has the bridge's unit: the system's, or that of the user who runs the check "
        "(`systemctl --user`). Default in ~/.config/scan-bridge: user.",
    )
    scope: Literal["auto", "local", "remote"] = Field(
        default="auto",
        description="local: the bridge runs on this host. remote: look at Hazelcast only. auto: local if systemd knows "
        "the unit here.",
    )
    state_dir: Path = Field(
        default=STATE_DIR,
        description="Alerts, the mute, what the last check saw. Default in ~/.config/scan-bridge: "
        "~/.local/state/scan-bridge/healthcheck; in NAME.toml the folder `@NAME` in it.",
    )
    spare_state_dir: Path = Field(
        default=SPARE_STATE_DIR,
        description="Used while state_dir cannot be written; another file system. Default in ~/.config/scan-bridge: "
        "$XDG_RUNTIME_DIR/scan-bridge-healthcheck; in NAME.toml likewise.",
    )
    probe_timeout_s: Seconds = Field(default=10.0, description="Deadline of each probe; they run side by side.")
    grace_s: Seconds = Field(
        default=10.0,
        description="A file this young may still be on its way; a process this young, or one whose cluster or source "
        "has been back for less, still catching up.",
    )
    journal_lines: int = Field(
        default=50, ge=0, le=1000, description="At most so many of the unit's journal lines a check."
    )
    heartbeat_url_file: CredentialFile | None = Field(
        default=None,
        description="File with a URL requested after each completed check, for a dead man's switch; not "
        "world-readable. A relative path is looked up in $CREDENTIALS_DIRECTORY.",
    )
    spare_urls_file: CredentialFile | None = Field(
        default=None,
        description="File used while Prefect, or a block of it, cannot be used: a line for each block, its name and an "
        "Apprise URL that reaches the same people; not world-readable. A relative path is looked up in "
        "$CREDENTIALS_DIRECTORY. A block without a line is told once Prefect has it again.",
    )
    textfile: Path | None = Field(
        default=None,
        description="File NAME.prom for the textfile collector of Prometheus' node_exporter, written after each check. "
        "The check's user must be able to make files in its folder.",
    )
    groups: dict[str, Recipients] = Field(
        default={}, validate_default=True, description="Recipients by group; ops and trading always exist."
    )
    expected: tuple[Window, ...] = Field(default=(), description="When scans are expected; empty means always.")
    alerts: Alerts = Alerts()
    restarts: Restarts = Restarts()
    rules: Rules = Rules()
    dashboard: Dashboard = Dashboard()

    @field_validator("textfile")
    @classmethod
    def _collected(cls, path: Path | None) -> Path | None:
        if path is not None and not (path.is_absolute() and path.suffix == ".prom"):
            raise ValueError("must be an absolute path that ends in .prom; others are not collected")
        return path

    @property
    def systemctl(self) -> str:
        """The command that asks the unit's manager."""
        return "systemctl --user" if self.manager == "user" else "systemctl"

    @property
    def journalctl(self) -> str:
        """The command that shows, with -u, what its units logged."""
        return "journalctl --user" if self.manager == "user" else "journalctl"

    @property
    def scan_bridge(self) -> str:
        """The command for this bridge."""
        return f"scan-bridge{self._of_instance}"

    @property
    def scan_bridge_health(self) -> str:
        """The health check's command for this bridge."""
        return f"scan-bridge-health{self._of_instance}"

    @property
    def _of_instance(self) -> str:
        further = re.fullmatch(r"dolphin-scan-bridge@(.+)\.service", self.unit)
        return f" --instance {further[1]}" if further else ""

    @property
    def addresses(self) -> dict[str, tuple[str, ...]]:
        """The blocks of each group."""
        return {name: group.blocks for name, group in self.groups.items()}

    @field_validator("groups")
    @classmethod
    def _shipped_groups(cls, groups: dict[str, Recipients]) -> dict[str, Recipients]:
        return {"ops": Recipients(), "trading": Recipients()} | groups

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        for name, rule in self.rules:
            for key in ("notify", "warning_notify", "critical_notify"):
                for group in getattr(rule, key, ()):
                    if group not in self.groups:
                        raise ValueError(
                            f"rules.{name}.{key}: no group {group!r}; groups are {', '.join(sorted(self.groups))}"
                        )
        return self


class HealthConfig(Config):
    """The whole configuration, as the health check reads it."""

    health: Health = Health()

    @classmethod
    def defaults_at(cls, path: Path) -> dict[str, Any]:
        """With those of section health."""
        health = health_at(path)
        return {**super().defaults_at(path), "health": health} if health else {}


def health_at(path: Path) -> dict[str, Any]:
    """What is in force in section health where the file says nothing: by whose it is, and by its bridge's name."""
    health: dict[str, Any] = {}
    state, spare = STATE_DIR, SPARE_STATE_DIR
    if is_own(path):
        state, spare = _state_home() / OWN_STATE_DIR, _runtime_dir() / OWN_SPARE_STATE_DIR
        health = {"manager": "user", "state_dir": str(state), "spare_state_dir": str(spare)}
    if name := name_of(path):
        health |= {
            "unit": f"dolphin-scan-bridge@{name}.service",
            "state_dir": str(state / f"@{name}"),
            "spare_state_dir": str(spare / f"@{name}"),
        }
    return health


def _state_home() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"))


def _runtime_dir() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")


def load(path: Path) -> HealthConfig:
    """Read and validate the file, `[health]` included.

    Raises:
        bridge.config.ConfigError: a line per mistake.
    """
    return bridge_config.load(path, HealthConfig)
