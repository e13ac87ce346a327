"""The encapsulated messages of an Arrow IPC file or stream, as they lie in its content.

It must never trust a length or an offset, and never let pass what is not complete.

Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from bridge.arrow.flatbuffer import Malformed, Table, root, unpack
from bridge.arrow.format import MessageHeader
from bridge.arrow.kinds import kind_of
from bridge.arrow.schema import SchemaSource

_MAGIC = b"ARROW1"
_CONTINUATION = -1  # 0xFFFFFFFF, before each message since Arrow 0.15
END_OF_STREAM = struct.pack("<iI", _CONTINUATION, 0)
_LEGACY_END = bytes(4)
_BEGIN = 8  # of what is in a file, after its magic
_BLOCK = struct.Struct("<qi4xq")  # offset, metadata length, body length


class IpcMessage(NamedTuple):
    """An encapsulated message as it lies in the content."""

    whole: memoryview  # prefix, metadata, body
    metadata: memoryview
    body: memoryview
    table: Table  # the metadata's root
    kind: int  # MessageHeader
    legacy: bool  # framed as before Arrow 0.15, without a continuation marker


class OpenedContent(NamedTuple):
    """What a content begins to tell: a file's, or a stream's."""

    is_file: bool
    schema: SchemaSource
    leading: IpcMessage | None  # the schema message that most files begin with; readers look at the footer's only
    messages: Iterator[IpcMessage]  # dictionaries and record batches


def open_content(view: memoryview) -> OpenedContent:
    """Find the schema and the messages of a whole file or stream; the messages are found as they are asked for.

    Raises (and the iterator, too):
        Malformed: it is not complete, or no Arrow IPC.
    """
    return _open_file(view) if view[: len(_MAGIC)] == _MAGIC else _open_stream(view)


def schema_message(view: memoryview) -> IpcMessage:
    """The message that a stream begins with. Raises `Malformed` if there is none."""
    if not view:
        raise Malformed("it is empty")
    try:
        message = _message_at(view, 0)
    except Malformed as error:
        if kind := kind_of(view):
            raise Malformed(f"not Arrow IPC: it is {kind}") from error
        raise Malformed(f"neither a whole Arrow IPC file nor a whole stream: {error}") from error
    if message.kind != MessageHeader.SCHEMA or message.body:
        raise Malformed("not an Arrow IPC stream: it does not begin with a schema")
    return message


def framed(metadata: bytes | memoryview) -> list[bytes | memoryview]:
    """The metadata of a message behind today's prefix, padded to 8 bytes."""
    padding = bytes(-len(metadata) % 8)
    return [struct.pack("<ii", _CONTINUATION, len(metadata) + len(padding)), metadata, padding]


def _open_stream(view: memoryview) -> OpenedContent:
    first = schema_message(view)
    return OpenedContent(False, SchemaSource.of_stream(first.table), None, _messages_of_stream(view, first))


def _messages_of_stream(view: memoryview, first: IpcMessage) -> Iterator[IpcMessage]:
    """The messages after the first up to the end-of-stream marker, which must be the one of the stream's framing.

    Readers stop at the marker. What follows it may be zeros (a file allocated ahead), but nothing else: it could
    be a second stream, or the rest of an older file, and would be lost without a word. After the old marker not
    even zeros, for it is itself four zeros, just like a part not written yet.
    """
    at = len(first.whole)
    end = _LEGACY_END if first.legacy else END_OF_STREAM
    while view[at : at + len(end)] != end:
        message = _message_at(view, at)
        if message.kind not in (MessageHeader.DICTIONARY_BATCH, MessageHeader.RECORD_BATCH):
            raise Malformed(f"a message of kind {message.kind} among dictionaries and record batches")
        yield message
        at += len(message.whole)
    rest = view[at + len(end) :]
    if rest and (first.legacy or not _is_blank(rest)):
        raise Malformed(f"{len(rest)} bytes follow the end-of-stream marker")


def _open_file(view: memoryview) -> OpenedContent:
    footer_end = len(view) - 4 - len(_MAGIC)
    if footer_end < _BEGIN or view[-len(_MAGIC) :] != _MAGIC:
        raise Malformed("incomplete: an Arrow IPC file without its footer")
    (length,) = unpack("<i", view, footer_end)
    if not 0 < length <= footer_end - _BEGIN:
        raise Malformed(f"a footer of {length} bytes in a file of {len(view)}")
    footer, view = root(view[footer_end - length : footer_end]), view[: footer_end - length]
    leading = _leading_schema(view)
    messages = _messages_of_file(view, footer, _BEGIN + len(leading.whole) if leading else _BEGIN)
    first = next(messages, None)
    schema = SchemaSource.of_file(footer, first.table if first else None)
    return OpenedContent(True, schema, leading, chain((first,) if first else (), messages))


def _leading_schema(view: memoryview) -> IpcMessage | None:
    """The schema message that most files begin with; JavaScript's do not."""
    try:
        message = _message_at(view, _BEGIN)
    except Malformed:
        return None
    return message if message.kind == MessageHeader.SCHEMA else None


def _messages_of_file(view: memoryview, footer: Table, begin: int) -> Iterator[IpcMessage]:
    """The messages that the footer lists: dictionaries, then record batches, as readers of files take them.

    `begin`: where they start at the earliest.
    """
    spans: list[tuple[int, int]] = []
    total = 0
    dictionaries: set[int] = set()
    for slot, kind in ((2, MessageHeader.DICTIONARY_BATCH), (3, MessageHeader.RECORD_BATCH)):
        start, count = footer.vector(slot, _BLOCK.size)
        blocks = footer.data[start : start + count * _BLOCK.size]
        for offset, metadata_length, body_length in _BLOCK.iter_unpack(blocks):
            message = _message_at(view, offset)
            lengths = len(message.whole) - len(message.body), len(message.body)
            if lengths != (metadata_length, body_length) or (offset | metadata_length | body_length) % 8:
                raise Malformed("the footer does not fit the messages")
            if message.kind != kind:
                raise Malformed(f"the footer lists a message of kind {message.kind} as one of kind {kind}")
            if kind == MessageHeader.DICTIONARY_BATCH and (identity := _dictionary_begun(message)) is not None:
                if identity in dictionaries:
                    raise Malformed(f"dictionary {identity} is replaced, which a file cannot express")
                dictionaries.add(identity)
            total += len(message.whole)
            if total > len(view):
                raise Malformed("messages in the footer's list overlap")
            spans.append((offset, offset + len(message.whole)))
            yield message
    _require_all_listed(view, sorted(spans), begin)


def _require_all_listed(view: memoryview, spans: list[tuple[int, int]], at: int) -> None:
    """See that what lies outside the listed messages is padding: a damaged footer may lack some, unnoticed by readers.

    Raises:
        Malformed: something else lies there.
    """
    for start, end in spans:
        if not _is_blank(view[at:start]):
            raise Malformed(f"the footer does not list what lies at byte {at}")
        at = end
    if view[at:].tobytes().strip(b"\0") not in (b"", END_OF_STREAM.strip(b"\0")):
        raise Malformed(f"the footer does not list what lies at byte {at}")


def _is_blank(view: memoryview) -> bool:
    return view.tobytes().count(0) == len(view)


def _dictionary_begun(message: IpcMessage) -> int | None:
    """The id of the dictionary that the message is the first of; None if it is a delta."""
    header = message.table.table(2)
    return None if header is None or header.byte(2) else header.scalar(0, "<q")


def _message_at(view: memoryview, at: int) -> IpcMessage:
    """The message that starts at `at`, bounds checked."""
    if len(view) - at < len(END_OF_STREAM):
        raise Malformed("incomplete: it ends where a message or the end-of-stream marker should be")
    first, second = unpack("<ii", view, at)
    legacy = first != _CONTINUATION
    start, length = (at + 4, first) if legacy else (at + 8, second)
    if length <= 0:
        raise Malformed(f"a message with metadata of {length} bytes at byte {at}")
    metadata = view[start : start + length]
    if len(metadata) < length:
        raise Malformed(f"incomplete: the message at byte {at} is cut short")
    table = root(metadata)
    body_length = table.scalar(3, "<q")
    end = start + length + body_length
    if body_length < 0 or end > len(view):
        raise Malformed(f"incomplete: the message at byte {at} is cut short")
    return IpcMessage(view[at:end], metadata, view[start + length : end], table, table.byte(1), legacy)
