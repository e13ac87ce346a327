"""The types that configuration is made of: paths, seconds, bytes, addresses; and the base of every section."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError("must be an absolute path")
    return path


def _credential(path: Path) -> Path:
    """Where it lies: as given, or in the folder of what systemd hands over."""
    return Path(os.environ.get("CREDENTIALS_DIRECTORY", ".")) / path


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), BeforeValidator(_no_truth_value)]
SecondsOrZero = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False), BeforeValidator(_no_truth_value)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
CredentialFile = Annotated[Path, AfterValidator(_credential)]
Bytes = Annotated[int, Field(gt=0), BeforeValidator(_no_truth_value)]


def host_port(address: str) -> str:
    """An address as it is, if it is `host:port`.

    Raises:
        ValueError: it is not.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is not host:port")
    return address


class Section(BaseModel):
    """Base of every section: immutable, and a key nobody reads is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
