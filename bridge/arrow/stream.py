"""From the content of a scan file to the value in Hazelcast: one complete, valid Arrow IPC stream.

Dictionaries and record batches go through byte for byte, whatever they hold; only the schema gets more metadata.
It must never let anything pass that is not complete and valid, and never trust a length or an offset in it.

Format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from bridge.arrow import decode
from bridge.arrow.flatbuffer import Malformed, Table, root, unpack
from bridge.arrow.limits import Limits
from bridge.arrow.schema import SCHEMA, SchemaSource

_MAGIC = b"ARROW1"
_CONTINUATION = -1  # 0xFFFFFFFF, before each message since Arrow 0.15
_END = struct.pack("<iI", _CONTINUATION, 0)
_LEGACY_END = bytes(4)
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3  # MessageHeader
_BLOCK = struct.Struct("<qi4xq")  # offset, metadata length, body length
_REASON_LENGTH = 300


class InvalidScan(Exception):
    """The bytes are not a complete, valid Arrow IPC file or stream. `str(error)` is one line for the operator."""


@dataclass(frozen=True)
class Value:
    """What goes into the map."""

    data: bytearray  # one complete Arrow IPC stream, with its end-of-stream marker
    rows: int


class _Message(NamedTuple):
    """An encapsulated message as it lies in the content."""

    whole: memoryview  # prefix, metadata, body
    metadata: memoryview
    body: memoryview
    table: Table  # the metadata's root
    kind: int  # MessageHeader
    legacy: bool  # framed as before Arrow 0.15, without a continuation marker


def to_stream(content: bytes | bytearray | memoryview, metadata: Mapping[str, str], max_decoded_bytes: int) -> Value:
    """Turn a whole Arrow IPC file or stream into one valid IPC stream whose schema has `metadata` as well.

    A key that the schema's metadata already has is replaced. Custom metadata in a file's footer joins the schema's.
    Messages framed as before Arrow 0.15 get today's frame.

    Whatever the content claims, memory stays within its size and `max_decoded_bytes`, a few times over.

    Raises:
        InvalidScan: the content is incomplete or malformed, has what pyarrow cannot read, or would expand to more
            than `max_decoded_bytes`.
    """
    view = memoryview(content).cast("B")
    try:
        source, messages = _open_file(view) if view[:6] == _MAGIC else _open_stream(view)
        survey = source.survey()
        limits = Limits(len(view), max_decoded_bytes, survey.dictionary_uses)
        parts: list[bytes | memoryview] = _frame(source.extended_message(metadata))
        for message in messages:
            if message.kind == _DICTIONARY_BATCH:
                limits.admit_dictionary(message.table, message.body)
            else:
                limits.admit_record_batch(message.table, message.body)
            parts += [*_frame(message.metadata), message.body] if message.legacy else [message.whole]
        data = bytearray().join([*parts, _END])
        return Value(data, decode.validate(data, survey.types))
    except (Malformed, MemoryError) as error:
        raise InvalidScan(_one_line(str(error) or "not enough memory")) from error


def stream_metadata(data: bytes | bytearray | memoryview) -> dict[str, str]:
    """The schema's custom metadata of an IPC stream. Reads the schema message only.

    Raises:
        InvalidScan: it does not begin like an Arrow IPC stream.
    """
    try:
        return SchemaSource(_schema_message(memoryview(data).cast("B")).table).metadata()
    except Malformed as error:
        raise InvalidScan(_one_line(str(error))) from error


def _open_stream(view: memoryview) -> tuple[SchemaSource, Iterator[_Message]]:
    message = _schema_message(view)
    return SchemaSource(message.table), _messages_of_stream(view, len(message.whole), message.legacy)


def _schema_message(view: memoryview) -> _Message:
    if not view:
        raise Malformed("it is empty")
    try:
        message = _message_at(view, 0)
    except Malformed as error:
        raise Malformed(f"neither a whole Arrow IPC file nor a whole stream: {error}") from error
    if message.kind != SCHEMA or message.body:
        raise Malformed("not an Arrow IPC stream: it does not begin with a schema")
    return message


def _messages_of_stream(view: memoryview, at: int, legacy: bool) -> Iterator[_Message]:
    """The messages from `at` up to the end-of-stream marker, which must be the one of the stream's framing.

    Readers stop at the marker. What follows it may be zeros (a file allocated ahead), but nothing else: it could
    be a second stream, or the rest of an older file, and would be lost without a word. After the old marker not
    even zeros, for it is itself four zeros, just like a part not written yet.
    """
    end = _LEGACY_END if legacy else _END
    while view[at : at + len(end)] != end:
        message = _message_at(view, at)
        if message.kind not in (_DICTIONARY_BATCH, _RECORD_BATCH):
            raise Malformed(f"a message of kind {message.kind} among dictionaries and record batches")
        yield message
        at += len(message.whole)
    rest = view[at + len(end) :].tobytes()
    if rest and (legacy or rest.count(0) != len(rest)):
        raise Malformed(f"{len(rest)} bytes follow the end-of-stream marker")


def _open_file(view: memoryview) -> tuple[SchemaSource, Iterator[_Message]]:
    footer_end = len(view) - 4 - len(_MAGIC)
    if footer_end < 8 or view[-len(_MAGIC) :] != _MAGIC:
        raise Malformed("incomplete: an Arrow IPC file without its footer")
    (length,) = unpack("<i", view, footer_end)
    if not 0 < length <= footer_end - 8:
        raise Malformed(f"a footer of {length} bytes in a file of {len(view)}")
    footer = root(view[footer_end - length : footer_end])
    messages = _messages_of_file(view[: footer_end - length], footer)
    first = next(messages, None)
    if first is None:
        return SchemaSource(footer, footer), messages
    return SchemaSource(first.table, footer), chain((first,), messages)


def _messages_of_file(view: memoryview, footer: Table) -> Iterator[_Message]:
    """The messages that the footer lists: dictionaries, then record batches, as readers of files take them."""
    total = 0
    dictionaries: set[int] = set()
    for slot, kind in ((2, _DICTIONARY_BATCH), (3, _RECORD_BATCH)):
        start, count = footer.vector(slot, _BLOCK.size)
        blocks = footer.data[start : start + count * _BLOCK.size]
        for offset, metadata_length, body_length in _BLOCK.iter_unpack(blocks):
            message = _message_at(view, offset)
            lengths = len(message.whole) - len(message.body), len(message.body)
            if lengths != (metadata_length, body_length) or (offset | metadata_length | body_length) % 8:
                raise Malformed("the footer does not fit the messages")
            if message.kind != kind:
                raise Malformed(f"the footer lists a message of kind {message.kind} as one of kind {kind}")
            if kind == _DICTIONARY_BATCH and (header := message.table.table(2)) and not header.byte(2):  # no delta
                identity = header.scalar(0, "<q")
                if identity in dictionaries:
                    raise Malformed(f"dictionary {identity} is replaced, which a file cannot express")
                dictionaries.add(identity)
            total += len(message.whole)
            if total > len(view):
                raise Malformed("messages in the footer's list overlap")
            yield message


def _message_at(view: memoryview, at: int) -> _Message:
    """The message that starts at `at`, bounds checked."""
    if len(view) - at < len(_END):
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
    return _Message(view[at:end], metadata, view[start + length : end], table, table.byte(1), legacy)


def _frame(metadata: bytes | memoryview) -> list[bytes | memoryview]:
    """The metadata of a message behind its prefix, padded to 8 bytes."""
    padding = bytes(-len(metadata) % 8)
    return [struct.pack("<ii", _CONTINUATION, len(metadata) + len(padding)), metadata, padding]


def _one_line(text: str) -> str:
    """Safe to log: names in a scan may hold anything."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= _REASON_LENGTH else line[: _REASON_LENGTH - 1] + "…"
