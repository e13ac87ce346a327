"""The configuration: one TOML file, typed and validated, overridden by environment variables.

`load` either returns a whole, valid `Config` or raises `ConfigError` with one line per mistake.
It never guesses: unknown keys, wrong types and impossible values are refused.
"""

from __future__ import annotations

import os
import socket
import tomllib
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bridge import config_environment
from bridge.config_file import ENV_PREFIX, name_of, over
from bridge.config_file import ConfigError as ConfigError
from bridge.config_types import AbsolutePath, Bytes, CredentialFile, Seconds, SecondsOrZero, Section, host_port
from bridge.system.files import exposed


class Source(Section):
    """Where scans come from, and when a file counts."""

    root: AbsolutePath = Field(description="Folder that holds the day folders (YYYY-MM-DD) with the scans (*.arrow).")
    watch_mode: Literal["auto", "inotify", "polling"] = Field(
        "auto",
        description="How new files are noticed. auto: inotify, or polling where the file system gives no events "
        "for changes made elsewhere (NFS, SMB/CIFS, 9p, FUSE, …).",
    )
    rescan_s: Seconds = Field(5.0, description="With inotify: seconds between scans that find what events missed.")
    poll_s: Seconds = Field(0.5, description="With polling: seconds between looks at the newest day folders.")
    scan_days: int = Field(2, ge=1, le=31, description="How many of the newest day folders are watched and rescanned.")
    quiet_s: SecondsOrZero = Field(
        0.25,
        description="Seconds for which a file that is not known to be closed, renamed or linked into place must be "
        "seen not to change before it counts. 0 where producers always rename into place.",
    )
    settle_s: Seconds = Field(
        2.0, description="Seconds without a change after which a file that does not validate is called bad."
    )
    standby_s: SecondsOrZero = Field(
        0.0,
        description="For the second of two bridges: seconds for which a scan is left to the other, as long as that one "
        "publishes. 0: both publish each scan, and the first one wins.",
    )
    max_future_s: Seconds = Field(
        5.0,
        description="A modification time more than this ahead of the clock (or before 1970) is reported and cannot "
        "block.",
    )
    max_scan_bytes: Bytes = Field(
        16 * 1024**2,
        description="A larger file is bad. The bridge may take 100 MB, six times as much as this, and "
        "max_decoded_bytes of memory: raise the unit's MemoryHigh= and MemoryMax= with it.",
    )
    max_decoded_bytes: Bytes = Field(
        128 * 1024**2, description="A compressed scan whose buffers expand to more bytes than this is bad."
    )


class Tls(Section):
    """TLS to the members; off unless `enabled`."""

    enabled: bool = Field(False, description="Connect by TLS.")
    ca_file: CredentialFile | None = Field(
        None, description="PEM file with the CA; without it the system's CAs are trusted. Relative: see password_file."
    )
    cert_file: CredentialFile | None = Field(
        None, description="PEM file with the client certificate, for mutual TLS. Relative: see password_file."
    )
    key_file: CredentialFile | None = Field(
        None, description="PEM file with the client's private key; not world-readable. Relative: see password_file."
    )
    check_hostname: bool = Field(True, description="The member's certificate must name the host it is reached by.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.enabled and (self.ca_file or self.cert_file or self.key_file):
            raise ValueError("ca_file, cert_file and key_file have no effect unless enabled = true")
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file")
        return self


class Hazelcast(Section):
    """The cluster, and the entries in it."""

    members: tuple[str, ...] = Field(("127.0.0.1:5701",), min_length=1, description="Addresses to try, host:port.")
    cluster_name: str = Field("dev", min_length=1, description="Hazelcast's cluster-name.")
    map: str = Field("scan_bridge", min_length=1, description="The map that holds the entries.")
    scan_key: str = Field("latest_eigen_scan", min_length=1, description="Key of the newest scan.")
    value: Literal["arrow", "json"] = Field(
        "arrow",
        description="Form of a scan in the map. arrow: one Arrow IPC stream. json: for consumers without Arrow and for "
        "SQL; takes several times the memory and the time.",
    )
    status_map: str = Field(
        "", description="The map in which every bridge says how it is. Empty: the name of `map` and `_status`."
    )
    status_key: str = Field(
        "bridge_status",
        min_length=1,
        description="Key in `map` under which the bridge writes its status too, for readers of version 1.0.",
    )
    username: str | None = Field(None, description="User, if the cluster asks for one.")
    password_file: CredentialFile | None = Field(
        None,
        description="File with the password; not world-readable. A relative path is looked up in "
        "$CREDENTIALS_DIRECTORY (systemd's LoadCredential=).",
    )
    call_timeout_s: Seconds = Field(
        2.0, description="Deadline of each call to the cluster; a second more for each 10 MB that it carries."
    )
    connect_timeout_s: Seconds = Field(5.0, description="Deadline for a member to answer; all are asked at once.")
    heartbeat_timeout_s: Seconds = Field(5.0, description="A member silent for so long counts as gone.")
    tls: Tls = Field(default_factory=Tls, description="TLS to the members.")

    @property
    def address(self) -> str:
        """The cluster as an operator would write it: `name@host:port,…`."""
        return f"{self.cluster_name}@{','.join(self.members)}"

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """Files that nobody else may read."""
        return tuple(file for file in (self.password_file, self.tls.key_file) if file is not None)

    @property
    def credential_files(self) -> tuple[Path, ...]:
        """All files that are needed to connect."""
        return self.secret_files + tuple(file for file in (self.tls.ca_file, self.tls.cert_file) if file is not None)

    @field_validator("members")
    @classmethod
    def _addresses(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(host_port(member) for member in members)

    @property
    def statuses(self) -> str:
        """Name of the map in which every bridge says how it is."""
        return self.status_map or f"{self.map}_status"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.status_map == self.map:
            raise ValueError("map and status_map must differ")
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together")
        if self.scan_key == self.status_key:
            raise ValueError("scan_key and status_key must differ")
        return self


class Status(Section):
    """The bridge's own report in Hazelcast."""

    heartbeat_s: Seconds = Field(5.0, description="The status entry is written at least this often.")
    instance: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9_.-]{1,128}$",  # a host's name (64) and a bridge's (48)
        description="Name of this bridge in the status and in each value's metadata. Default: the host's name; "
        "HOST-NAME in NAME.toml.",
    )


class HistorySection(Section):
    """Every scan of the last hours in a map of its own, also those that were overtaken."""

    keep_s: SecondsOrZero = Field(
        0.0,
        description="Seconds for which each scan is kept, counted from its modification time; 0 turns it off. The "
        "cluster needs rate × size × keep_s × (1 + backups) of memory: check-config says how much. The bridge needs "
        "a second process.",
    )
    map: str = Field("eigen_scans", min_length=1, description="The map that holds them.")


class Log(Section):
    """What the bridge writes to the journal or the terminal."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level written. info has one line per published scan."
    )


class MetricsSection(Section):
    """Metrics for Prometheus."""

    listen: str = Field(
        "127.0.0.1:9464",
        description='Address of /metrics, host:port; "" turns it off, as nothing said does in NAME.toml. Read at the '
        "start only.",
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str) -> str:
        return host_port(listen) if listen else listen


class Config(Section):
    """The whole configuration. `health` belongs to the health check and is validated there."""

    source: Source
    hazelcast: Hazelcast = Field(default_factory=Hazelcast)
    status: Status = Field(default_factory=Status)
    history: HistorySection = Field(default_factory=HistorySection)
    log: Log = Field(default_factory=Log)
    metrics: MetricsSection = Field(default_factory=MetricsSection)
    state_dir: AbsolutePath = Field(
        Path("/var/lib/scan-bridge"),
        description="Where the bridge remembers files that killed it. Under systemd $STATE_DIRECTORY wins; in "
        "NAME.toml the default ends in `@NAME`.",
    )
    health: Any = Field(None, description="The health check's own settings; see there.")

    @model_validator(mode="after")
    def _own_map(self) -> Self:
        if self.history.map in (self.hazelcast.map, self.hazelcast.statuses):
            raise ValueError("history.map must be another one than hazelcast.map and hazelcast.status_map")
        return self

    @classmethod
    def defaults_at(cls, path: Path) -> dict[str, Any]:
        """What is in force where the file of a further bridge says nothing: what two on a host must not share."""
        if not (name := name_of(path)):
            return {}
        return {
            "status": {"instance": f"{socket.gethostname()}-{name}"},
            "metrics": {"listen": ""},
            "state_dir": f"/var/lib/scan-bridge@{name}",
        }


ConfigT = TypeVar("ConfigT", bound=Config)


def load(path: Path, model: type[ConfigT]) -> ConfigT:
    """Read `path`, apply the environment, validate as `model`.

    Raises:
        ConfigError: the file is missing or unreadable, is no TOML, or a key or value is refused.
    """
    try:
        text = path.read_bytes()
        document = tomllib.loads(text.decode())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give another with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    _refuse_unknown_environment(model)
    try:
        document = over(model.defaults_at(path), document)
        config = model.model_validate(config_environment.overlaid(document, model))
    except ValidationError as error:
        raise ConfigError("\n".join(_line(path, item) for item in error.errors())) from error
    for file in config.hazelcast.credential_files:
        _check_credential(path, file, is_secret=file in config.hazelcast.secret_files)
    return config


def _line(path: Path, item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    reason = {
        "extra_forbidden": "unknown key",
        "missing": "missing",
    }.get(item["type"], item["msg"].removeprefix("Value error, "))
    tells = key and item["type"] not in ("missing", "extra_forbidden")  # without a key it would be the whole file
    given = f" (given: {item['input']!r})" if tells else ""
    variable = ENV_PREFIX + "__".join(part.upper() for part in item["loc"] if isinstance(part, str))
    origin = f"environment variable {variable}" if variable in os.environ else str(path)
    return ": ".join(part for part in (origin, key, reason) if part) + given


def _refuse_unknown_environment(model: type[Config]) -> None:
    known = {name.upper() for name in model.model_fields} | {"CONFIG"}
    for variable in os.environ:
        section = variable.removeprefix(ENV_PREFIX).split("__")[0]
        if variable.startswith(ENV_PREFIX) and section not in known:
            raise ConfigError(f"environment variable {variable}: unknown; sections are {', '.join(sorted(known))}")


def _check_credential(config_path: Path, path: Path, *, is_secret: bool) -> None:
    try:
        with path.open("rb") as file:
            problem = exposed(path, os.fstat(file.fileno()).st_mode) if is_secret else None
    except OSError as error:
        raise ConfigError(f"{config_path}: {path}: {error.strerror}") from error
    if problem:
        raise ConfigError(f"{config_path}: {problem}")
