"""Where scans come from, and from which age they are not to be used any more. Data only; it connects to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hazelcast.config import Config
from hazelcast.errors import HazelcastError


@dataclass(frozen=True)
class Settings:
    """The defaults are the bridge's own, so usually `members`, `cluster_name` and `max_age_s` are all there is to say.

    Attributes:
        members: addresses to try, `host:port`.
        cluster_name: Hazelcast's cluster-name.
        max_age_s: from this age on the newest scan is stale; `math.inf` for never.
        map: the map with the newest scan.
        scan_key: the key of the newest scan.
        status_map: the map in which bridges say how they are. Only ever needed to tell *why* a scan is stale.
        history_map: the map with every scan of the last hours.
        call_timeout_s: deadline of each call to the cluster; and how long the first scan is waited for.
        connect_timeout_s: deadline of each attempt to open a connection, per member.
        look_s: without an event for so long, the map is asked; events can be lost.
        client_options: more options of `hazelcast.HazelcastClient`, such as `ssl_enabled` and `ssl_cafile`, or
            `creds_username` and `creds_password`.

    Raises:
        ValueError: a value that cannot be.
    """

    members: Sequence[str] = ("127.0.0.1:5701",)
    cluster_name: str = "dev"
    max_age_s: float = 30.0
    map: str = "scan_bridge"
    scan_key: str = "latest_eigen_scan"
    status_map: str = "scan_bridge_status"
    history_map: str = "eigen_scans"
    call_timeout_s: float = 2.0
    connect_timeout_s: float = 5.0
    look_s: float = 1.0
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may hold a password

    def __post_init__(self) -> None:
        if isinstance(self.members, str) or not self.members:
            raise ValueError(f"members: a list of host:port, not {self.members!r}")
        try:
            Config.from_dict(dict(self.client_options))
        except (HazelcastError, TypeError, ValueError) as error:
            raise ValueError(f"client_options: {error}") from error
        for name in ("max_age_s", "call_timeout_s", "connect_timeout_s", "look_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: must be above 0, not {getattr(self, name)!r}")

    @property
    def address(self) -> str:
        """The cluster as an operator would write it: `name@host:port,…`."""
        return f"{self.cluster_name}@{','.join(self.members)}"
