"""Under which names the checks of bridges stand in Prefect, and who claims an instance. Pure; no I/O, no clock.

A deployment's name begins with the instance of its bridge. Two hosts with one instance must neither take each other's
runs nor speak under one name, or the silence of one would go unnoticed: the later one steps aside to a name of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bridge.config_file import CONFIG_DIR

EVERY = "-every-60s"
OLD_DEPLOYMENT = "every-60s"  # of version 1.0, which had one for all hosts
TAG = "scan-bridge"
_HOST, _INSTANCE, _RIVAL = "scan-bridge-host:", "scan-bridge-instance:", "scan-bridge-rival:"
ALIVE_FOR = timedelta(minutes=10)  # since its last run: longer than its Automation waits, which must tell its silence
_MOST_HOST = 100


@dataclass(frozen=True, slots=True)
class Claim:
    """A deployment on the server: under which name, made by whom, and when a run of it ended last."""

    name: str
    host: str
    last_run: datetime | None = None

    def is_alive(self, now: datetime) -> bool:
        """Whether somebody carries out its runs."""
        return self.last_run is not None and now - self.last_run < ALIVE_FOR


@dataclass(frozen=True, slots=True)
class Place:
    """Where a check stands, and which other hosts claim its bridge's instance."""

    name: str
    rivals: tuple[str, ...] = ()

    def note(self) -> str:
        """What has to be said of it; empty: nothing."""
        instance = instance_of(self.name)
        aside = f", so this one's check is called {self.name}" if self.name != instance else ""
        rivals = ", ".join(self.rivals)
        return rivals and f"{rivals} has a bridge called {instance} too{aside}: give each its own status.instance"


def deployment_of(name: str) -> str:
    """The name of the deployment."""
    return name + EVERY


def name_of(deployment: str | None) -> str | None:
    """The name that a deployment's name begins with; None if it is none of these."""
    return deployment.removesuffix(EVERY) if deployment and deployment.endswith(EVERY) else None


def instance_of(name: str) -> str:
    """The instance in a name, which may be one aside."""
    return name.partition("@")[0]


def artifact_key(name: str) -> str:
    """The key of the table of this check; Prefect takes small letters, digits and dashes."""
    plain = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
    # Two names that differ only in what a key cannot have must not share one.
    told_apart = plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"scan-bridge-health-{told_apart}"


def tags(place: Place, host: str) -> list[str]:
    """What a deployment is found by, and what its runs know of others' claims."""
    return [TAG, _INSTANCE + instance_of(place.name), _HOST + host, *(_RIVAL + rival for rival in place.rivals)]


def place_of(name: str, tags: Iterable[str]) -> Place:
    """Where a check stands whose deployment has this name and these tags."""
    return Place(name, tuple(tag.removeprefix(_RIVAL) for tag in tags if tag.startswith(_RIVAL)))


def host_of(tags: Iterable[str]) -> str:
    """Who made a deployment with these tags."""
    return next((tag.removeprefix(_HOST) for tag in tags if tag.startswith(_HOST)), "")


def instance_tag(instance: str) -> str:
    """What every deployment of an instance has."""
    return _INSTANCE + instance


def host_tag(host: str) -> str:
    """What every deployment of a host has."""
    return _HOST + host


def host_name(hostname: str, host_id: str, folder: Path) -> str:
    """Who claims: the host, by more than its name, and where the configuration is, if that is not usual."""
    # As a digest: places may be long, and differ at their ends only.
    place = "" if folder == CONFIG_DIR else hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    return "-".join(filter(None, (hostname[:_MOST_HOST], host_id, place)))


def choose(instance: str, host: str, claims: Iterable[Claim], now: datetime) -> Place:
    """Where the check of this host's bridge is to stand."""
    others = [claim for claim in claims if claim.host != host and claim.is_alive(now)]
    taken = any(claim.name == instance for claim in others)
    return Place(f"{instance}@{host}" if taken else instance, tuple(sorted({claim.host for claim in others})))
