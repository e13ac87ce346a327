"""A scan's content becomes one whole, valid Arrow IPC stream, or is refused with a reason."""

from __future__ import annotations

import struct
from decimal import Decimal

import pyarrow as pa
import pytest
from support import arrow_craft as craft
from support.arrow_craft import INT, INT32, STRUCT, UTF8, Batch
from support.arrow_samples import (
    COMPRESSIONS,
    FORMATS,
    LIMIT,
    PROVENANCE,
    assert_unchanged,
    indices,
    scan,
    texts,
    to_stream,
    written,
)

from bridge.arrow.metadata import InvalidScan, read_metadata


@pytest.mark.exhaustive
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("format_", FORMATS)
def test_every_cut_of_a_scan_is_refused(format_: str, compression: str | None) -> None:
    content = written([scan(), scan(40)], format_, compression=compression)
    assert_unchanged(content, 52)
    for cut in range(len(content)):
        with pytest.raises(InvalidScan):
            to_stream(content[:cut], PROVENANCE, LIMIT)


@pytest.mark.exhaustive
def test_every_cut_of_a_stream_framed_as_before_arrow_0_15_is_refused() -> None:
    content = written([scan(), scan(20)], "stream", use_legacy_format=True, metadata_version=pa.ipc.MetadataVersion.V4)
    for cut in range(len(content)):
        with pytest.raises(InvalidScan):
            to_stream(content[:cut], PROVENANCE, LIMIT)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_allocated_ahead_and_not_yet_written_to_its_end_is_refused(legacy: bool) -> None:
    """Zeros where the next message will be must not pass for the end of a stream."""
    version = pa.ipc.MetadataVersion.V4 if legacy else pa.ipc.MetadataVersion.V5
    options = {"use_legacy_format": legacy, "metadata_version": version}
    one, two = (written([scan()] * n, "stream", **options) for n in (1, 2))
    end = 4 if legacy else 8
    content = one[:-end] + bytes(len(two) - len(one) + end)
    assert len(content) == len(two)
    with pytest.raises(InvalidScan):
        to_stream(content, PROVENANCE, LIMIT)


def test_a_hole_between_the_messages_of_a_stream_is_refused() -> None:
    content = bytearray(written([scan()] * 3, "stream"))
    one = len(written([scan()], "stream")) - 8
    content[one : one + 100] = bytes(100)
    with pytest.raises(InvalidScan):
        to_stream(content, PROVENANCE, LIMIT)


def test_zeros_after_the_end_of_a_stream_are_dropped_and_anything_else_there_is_refused() -> None:
    content = written([scan()], "stream")
    value = to_stream(content + bytes(4096), PROVENANCE, LIMIT)
    assert value == to_stream(content, PROVENANCE, LIMIT)
    for rest in (content, b"x", bytes(100) + b"x"):
        with pytest.raises(InvalidScan, match="follow the end-of-stream marker"):
            to_stream(content + rest, PROVENANCE, LIMIT)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"ARROW1",
        b"ARROW1\0\0",
        b"ARROW1\0\0" * 3 + b"ARROW1",
        bytes(5000),
        b"\xff" * 5000,
        b"time,value\n" * 99,
    ],
)
def test_garbage_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidScan):
        to_stream(content, PROVENANCE, LIMIT)
    with pytest.raises(InvalidScan):
        read_metadata(content)


def test_the_reason_tells_what_is_cut_short_from_what_is_no_scan() -> None:
    as_stream, as_file = (written([scan()], format_) for format_ in ("stream", "file"))
    reasons = {
        as_stream[:-8]: "incomplete: it ends where a message",
        as_stream[:-100]: "incomplete: the message at byte",
        as_stream[:100]: "neither a whole Arrow IPC file nor a whole stream: incomplete",
        as_file[:-1]: "incomplete: an Arrow IPC file without its footer",
        b"": "empty",
        b"\1\2\3" * 99: "neither a whole Arrow IPC file nor a whole stream",
    }
    for content, reason in reasons.items():
        with pytest.raises(InvalidScan, match=reason):
            to_stream(content, PROVENANCE, LIMIT)


def test_the_reason_is_one_printable_line_whatever_the_scan_calls_its_columns() -> None:
    evil = "a\n<3>forged log line\x1b[31m" + "x" * 1000
    schema = craft.schema([craft.a_field("s", STRUCT, children=craft.Vector([craft.a_field(evil, INT, INT32)]))])
    numbers = struct.pack("<9i", *range(9))
    too_short = Batch(9, [(9, 1), (9, 0)], [b"\0", b"", numbers])
    with pytest.raises(InvalidScan, match="forged") as caught:
        to_stream(craft.stream(schema, craft.batch(too_short)), PROVENANCE, LIMIT)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 300


def test_a_file_that_replaces_a_dictionary_is_refused() -> None:
    """All dictionaries come before all batches there, so that the first would be lost."""
    schema = craft.schema([craft.a_field("w", UTF8, dictionary=craft.encoding(0))])
    first, second = craft.dictionary(0, texts("a", "b")), craft.dictionary(0, texts("c", "d"))
    batch = craft.batch(indices(0, 1))
    assert_unchanged(craft.file(schema, [first], [batch]), 2)
    with pytest.raises(InvalidScan, match="dictionary 0 is replaced"):
        to_stream(craft.file(schema, [first, second], [batch]), PROVENANCE, LIMIT)


def test_a_footer_that_does_not_fit_the_messages_is_refused() -> None:
    schema = craft.schema([craft.a_field("w", UTF8, dictionary=craft.encoding(0))])
    words_, batch = craft.dictionary(0, texts("a", "b")), craft.batch(indices(0, 1))
    with pytest.raises(InvalidScan, match="kind 3 as one of kind 2"):
        to_stream(craft.file(schema, [batch], [words_]), PROVENANCE, LIMIT)
    content = craft.file(schema, [words_], [batch])
    (prefix,) = struct.unpack_from("<i", batch, 4)
    at = content.rindex(struct.pack("<qi4xq", content.index(batch), 8 + prefix, len(batch) - 8 - prefix))
    for position, change in ((at, 8), (at, -8), (at + 8, 8), (at + 16, 8), (at + 16, -8), (at, 2**62), (at, -(2**62))):
        damaged = bytearray(content)
        (number,) = struct.unpack_from("<i" if position == at + 8 else "<q", content, position)
        struct.pack_into("<i" if position == at + 8 else "<q", damaged, position, number + change)
        with pytest.raises(InvalidScan):
            to_stream(damaged, PROVENANCE, LIMIT)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
@pytest.mark.parametrize("format_", FORMATS)
def test_what_pyarrow_would_misread_is_refused(format_: str, compression: str) -> None:
    """It takes compressed buffers for plain ones if the metadata has version 4."""
    options = {"compression": compression, "metadata_version": pa.ipc.MetadataVersion.V4}
    with pytest.raises(InvalidScan, match="metadata version 4"):
        to_stream(written([scan()], format_, **options), PROVENANCE, LIMIT)


def test_structural_damage_beside_such_values_is_refused() -> None:
    """List offsets and dictionary indices out of bounds make readers crash, whatever the values."""
    decimals = pa.array([Decimal(1), Decimal(2)], pa.decimal128(5))
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), decimals)
    content = bytearray(written([pa.record_batch({"x": lists})], "stream"))
    at = content.index(struct.pack("<3i", 0, 1, 2))
    struct.pack_into("<i", content, at + 4, 1000)
    with pytest.raises(InvalidScan):
        to_stream(content, PROVENANCE, LIMIT)
    indices_ = pa.array([0, 1, 0x01020304 % 2, 1], pa.int32())
    content = bytearray(written([pa.record_batch({"x": pa.DictionaryArray.from_arrays(indices_, decimals)})], "stream"))
    at = content.index(struct.pack("<4i", 0, 1, 0, 1))
    struct.pack_into("<i", content, at + 8, 99)
    with pytest.raises(InvalidScan, match="out of bounds"):
        to_stream(content, PROVENANCE, LIMIT)
