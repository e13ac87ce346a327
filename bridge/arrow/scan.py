"""From the content of a scan file to the value in Hazelcast: one complete, valid Arrow IPC stream.

Dictionaries and record batches go through byte for byte, whatever they hold; only the schema gets more metadata.
It must never let anything pass that is not complete and valid, and never trust a length or an offset in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.arrow.flatbuffer import Malformed
from bridge.arrow.format import MessageHeader
from bridge.arrow.limits import Limits
from bridge.arrow.messages import END_OF_STREAM, IpcMessage, OpenedContent, framed, open_content
from bridge.arrow.metadata import Buffer, InvalidScan
from bridge.arrow.schema import SchemaSource
from bridge.arrow.verify import OwnReading, verify


@dataclass(frozen=True)
class ArrowScan:
    """A complete, valid scan. It keeps the content it was read from."""

    rows: int
    _schema: SchemaSource = field(repr=False)
    _messages: tuple[Buffer, ...] = field(repr=False)

    def with_metadata(self, metadata: Mapping[str, str]) -> list[Buffer]:
        """The scan as the pieces of one complete IPC stream whose schema has `metadata` as well.

        A key that the schema's metadata already has is replaced. Custom metadata in a file's footer joins the
        schema's. Messages framed as before Arrow 0.15 get today's frame.
        """
        return [*framed(self._schema.extended_message(metadata)), *self._messages, END_OF_STREAM]


def parse(content: Buffer, max_decoded_bytes: int) -> ArrowScan:
    """Read a whole Arrow IPC file or stream, and see that it is valid: all of it is decoded once.

    Whatever the content claims, memory stays within its size and `max_decoded_bytes`, a few times over.

    Raises:
        InvalidScan: the content is incomplete or malformed, has what pyarrow cannot read, or would expand to more
            than `max_decoded_bytes`.
    """
    view = memoryview(content).cast("B")
    try:
        opened = open_content(view)
        survey = opened.schema.survey()
        messages, batches = _admitted(opened, Limits(len(view), max_decoded_bytes, survey))
        own = OwnReading(
            is_file=opened.is_file,
            schema=opened.schema,
            leading_schema=_surveyed(opened.leading) if opened.leading else None,
            types=survey.types,
            batches=batches,
        )
        scan = ArrowScan(verify(view, own), opened.schema, messages)
        if opened.is_file and not batches:  # then nobody has looked at its dictionaries
            verify(b"".join(scan.with_metadata({})), own._replace(is_file=False))
    except (Malformed, MemoryError) as error:
        raise InvalidScan.because(str(error) or "not enough memory") from error
    return scan


def _admitted(opened: OpenedContent, limits: Limits) -> tuple[tuple[Buffer, ...], int]:
    """The messages as they go into a stream, and how many of them are record batches."""
    parts: list[Buffer] = []
    batches = 0
    for message in opened.messages:
        if message.kind == MessageHeader.DICTIONARY_BATCH:
            limits.admit_dictionary(message.table, message.body)
        else:
            limits.admit_record_batch(message.table, message.body)
            batches += 1
        parts += [*framed(message.metadata), message.body] if message.legacy else [message.whole]
    return tuple(parts), batches


def _surveyed(leading: IpcMessage) -> memoryview:
    """A file's first message, after a look at what it costs to read."""
    SchemaSource.of_stream(leading.table).survey()
    return leading.whole
