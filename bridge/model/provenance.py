"""Where a value in Hazelcast came from: the `scan_bridge.*` keys in its Arrow schema metadata.

Provenance travels inside the value, so payload and provenance can never be torn apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from bridge.model.order import LATEST_NS, Held, OrderKey

PREFIX = "scan_bridge."


@dataclass(frozen=True)
class Provenance:
    """Which file a value holds, and who published it when. Times are nanoseconds since the epoch.

    Raises:
        ValueError: 64 bits do not hold a number, or one is negative that cannot be (only the file's date can). So
            nothing is written that would not be read back.
    """

    source: str
    mtime_ns: int
    size: int
    sequence: int
    published_ns: int
    bridge: str

    def __post_init__(self) -> None:
        numbers = (abs(self.mtime_ns), self.size, self.sequence, self.published_ns)
        if not all(0 <= number <= LATEST_NS for number in numbers):
            raise ValueError(f"not possible: {self}")

    def to_metadata(self) -> dict[str, str]:
        """As schema metadata: every field under its `scan_bridge.` key."""
        return {PREFIX + name: str(value) for name, value in vars(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """From schema metadata; None if a key is missing or no possible number, i.e. no bridge wrote it."""
        try:
            given = {field.name: metadata[PREFIX + field.name] for field in fields(cls)}
            numbers = {name: int(given[name]) for name in ("mtime_ns", "size", "sequence", "published_ns")}
            return cls(source=given["source"], bridge=given["bridge"], **numbers)
        except (KeyError, ValueError):
            return None

    @property
    def written_ns(self) -> int:
        """When the scan was written, as far as is known: where the file's date is impossible, when it was published."""
        return self.mtime_ns if 0 <= self.mtime_ns <= self.published_ns else self.published_ns

    @property
    def held(self) -> Held:
        """The place in the order of a value with this provenance."""
        return Held(OrderKey(self.mtime_ns, self.source), self.published_ns)
