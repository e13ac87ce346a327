"""Which of the bridges in the status map is the one that this check watches. Pure; no I/O.

Another's heartbeat must never be taken for it: a bridge that is frozen would seem to be alive.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.model.status import BridgeStatus, Statuses
from healthcheck.config.settings import HealthConfig
from healthcheck.model.observation import Answer, Known, Unknown
from healthcheck.text import foreign


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of the watched bridge from elsewhere than its own word."""

    host: str | None  # this host, if the bridge's unit is here
    pid: int = 0  # of the unit's main process; 0: none, or unknown
    host_id: str = ""  # tells this host from another of its name; empty: unknown


def own_status(found: Answer[Statuses], watched: Watched, config: HealthConfig) -> Answer[BridgeStatus | None]:
    """What the watched bridge says of itself; None if the map holds no word of it."""
    if isinstance(found, Unknown):
        return found
    bridges = found.value.bridges.values()
    named = [bridge for bridge in bridges if bridge.instance == config.status.instance]
    if watched.host is None:
        # Who watches from another host, and was not told which bridge, watches whichever is there.
        is_told = bool(named) or "instance" in config.status.model_fields_set
        candidates = named if is_told else [one for one in bridges if publishes_to(one, config)]
        problem = None
    else:
        here = [one for one in bridges if one.may_be_on(watched.host_id)]
        # By its process first: the unit may give it another name than the file does.
        candidates = [one for one in here if watched.pid and (one.host, one.pid) == (watched.host, watched.pid)]
        named_here = [one for one in named if one.may_be_on(watched.host_id)]
        candidates = candidates or [one for one in named_here if watched.host == one.host or watched.pid == one.pid]
        problem = _taken(named, watched.host)
    if candidates:
        return Known(max(candidates, key=lambda one: one.heartbeat_at), found.how)
    problem = problem or _unreadable(found.value, config)
    return Unknown(problem, found.how) if problem else Known(None, found.how)


def publishes_to(bridge: BridgeStatus, config: HealthConfig) -> bool:
    """Whether it publishes where the watched one does; one of version 1.0 does not say."""
    hazelcast = config.hazelcast
    return (bridge.map or hazelcast.map, bridge.scan_key or hazelcast.scan_key) == (hazelcast.map, hazelcast.scan_key)


def _taken(named: list[BridgeStatus], host: str) -> str | None:
    names = {foreign(one.host) + (", another host of that name" if one.host == host else "") for one in named}
    hosts = ", ".join(sorted(names))
    return f"{named[0].instance} in the status map is a bridge on {hosts}, not the one of this host" if named else None


def _unreadable(found: Statuses, config: HealthConfig) -> str | None:
    key = config.status.instance
    if key in found.unreadable:
        return found.unreadable[key]
    return next(iter(found.unreadable.values())) if found.unreadable and not found.bridges else None
