"""The history: the keys of its map, how far it is, and what its process tells the bridge. Pure; no I/O."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from bridge.model.order import OrderKey, ScanFile
from bridge.model.status import HistoryStatus

_KEY = re.compile(r"(\d{20}) (.+)", re.ASCII | re.DOTALL)


def history_key(key: OrderKey) -> str:
    """Where a scan stands in the map: keys sort as scans do. Only for times from 1970 on, which all young ones are."""
    return f"{key.mtime_ns:020d} {key.path}"


def first_key(since_ns: int) -> str:
    """What no key of a scan from then on sorts before."""
    return f"{max(0, since_ns):020d}"


def read_history_key(text: str) -> OrderKey | None:
    """The scan that a key stands for; None if no bridge wrote it."""
    match = _KEY.fullmatch(text)
    return OrderKey(int(match[1]), match[2]) if match else None


@dataclass(frozen=True)
class BadFile:
    """A file that is no scan, and why."""

    file: ScanFile
    reason: str


HistoryMessage = BadFile | HistoryStatus


def to_line(message: HistoryMessage) -> bytes:
    """A message as one line. File names that are no UTF-8 survive."""
    told = (
        {"bad": message.file, "reason": message.reason}
        if isinstance(message, BadFile)
        else {"status": message.model_dump()}
    )
    return json.dumps(told).encode() + b"\n"


def from_line(line: bytes) -> HistoryMessage:
    """The message again. Raises ValueError, KeyError, TypeError for what is none."""
    told = json.loads(line)
    if "bad" in told:
        return BadFile(ScanFile(*told["bad"]), told["reason"])
    return HistoryStatus.model_validate(told["status"])
