"""Where a value in Hazelcast came from: the `scan_bridge.*` keys in its Arrow schema metadata.

Provenance travels inside the value, so payload and provenance can never be torn apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from bridge.model.order import Held, OrderKey

PREFIX = "scan_bridge."


@dataclass(frozen=True)
class Provenance:
    """Which file a value holds, and who published it when. Times are nanoseconds since the epoch."""

    source: str
    mtime_ns: int
    size: int
    sequence: int
    published_ns: int
    bridge: str

    def to_metadata(self) -> dict[str, str]:
        """As schema metadata: every field under its `scan_bridge.` key."""
        return {PREFIX + name: str(value) for name, value in vars(self).items()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self | None:
        """From schema metadata; None if a key is missing or no number, i.e. no bridge wrote it."""
        try:
            given = {field.name: metadata[PREFIX + field.name] for field in fields(cls)}
            numbers = {name: int(given[name]) for name in ("mtime_ns", "size", "sequence", "published_ns")}
        except (KeyError, ValueError):
            return None
        if not all(0 <= number < 2**63 for number in numbers.values()):
            return None
        return cls(source=given["source"], bridge=given["bridge"], **numbers)

    @property
    def held(self) -> Held:
        """The place in the order of a value with this provenance."""
        return Held(OrderKey(self.mtime_ns, self.source), self.published_ns)
