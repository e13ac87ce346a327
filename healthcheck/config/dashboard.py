"""The dashboard's own settings: section `[health.dashboard]`."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from bridge.config_types import Section


class Dashboard(Section):
    """The page of `scan-bridge-health dashboard`. It has no login: whoever reaches the address may read it."""

    listen: str = Field(
        default="127.0.0.1:9478",
        description="Address of the page, host:port. From elsewhere it is reached through ssh -L; another address "
        "than a loopback one needs `hosts`.",
    )
    hosts: tuple[Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,253}$")], ...] = Field(
        default=(),
        description="Names and addresses by which browsers may ask for the page, beside localhost. Anything else is "
        "refused, so that no web site can read the page through a name of its own.",
    )
    prefect_url: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?)?$",
        description='Where Prefect\'s pages are, for a link to the last check: "http://127.0.0.1:4200".',
    )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        parts = urlsplit(f"//{self.listen}")
        return parts.hostname or "", parts.port or 0

    @field_validator("listen")
    @classmethod
    def _host_port(cls, listen: str) -> str:
        try:
            parts = urlsplit(f"//{listen}")
            fits = bool(parts.hostname and parts.port) and parts.netloc == listen and parts.username is None
        except ValueError:
            fits = False
        if not fits:
            raise ValueError("write host:port, or [host]:port with an IPv6 address")
        return listen

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not is_loopback(self.address[0]) and not self.hosts:
            raise ValueError(
                f"listen on {self.listen} needs hosts = [...], the names by which browsers ask for the page; "
                "mind that the page has no login"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether this name or address, without port and brackets, always means this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
