"""What a stream says of itself: its schema's metadata, without pyarrow, which takes longer to import than this to do.

It must read the schema message only, and never trust a length or an offset in it.
"""

from __future__ import annotations

from bridge.arrow.flatbuffer import Malformed
from bridge.arrow.messages import schema_message
from bridge.arrow.schema import SchemaSource

Buffer = bytes | bytearray | memoryview

_REASON_LENGTH = 300


class InvalidScan(Exception):
    """The bytes are not a complete, valid Arrow IPC file or stream. `str(error)` is one line for the operator."""

    @classmethod
    def because(cls, reason: str) -> InvalidScan:
        """One whose reason is made safe to log: names in a scan may hold anything."""
        line = "".join(c if c.isprintable() else " " for c in reason)
        return cls(line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 1] + "…")


def read_metadata(stream: Buffer) -> dict[str, str]:
    """The schema's custom metadata of an IPC stream. Reads the schema message only.

    Raises:
        InvalidScan: it does not begin like an Arrow IPC stream.
    """
    try:
        return SchemaSource.of_stream(schema_message(memoryview(stream).cast("B")).table).metadata()
    except Malformed as error:
        raise InvalidScan.because(str(error)) from error
