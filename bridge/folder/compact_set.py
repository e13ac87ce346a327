"""A set of hashes in an eighth of the memory of Python's own: a day folder may hold 100,000 files."""

from __future__ import annotations

from collections.abc import Iterable

_BUCKETS = 4096
_BYTES = 8


class CompactSet:
    """Holds `hash()` values. Packed end to end in buckets that their lowest bits choose, and searched there."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._buckets = [b""] * _BUCKETS
        self._count = 0
        self.update(values)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, value: int) -> bool:
        packed = value.to_bytes(_BYTES, "little", signed=True)
        bucket = self._buckets[value % _BUCKETS]
        at = bucket.find(packed)
        while at % _BYTES and at > 0:  # the end of one and the beginning of the next
            at = bucket.find(packed, at + 1)
        return at >= 0

    def update(self, values: Iterable[int]) -> None:
        """Put these in."""
        for value in values:
            if value not in self:
                self._buckets[value % _BUCKETS] += value.to_bytes(_BYTES, "little", signed=True)
                self._count += 1
