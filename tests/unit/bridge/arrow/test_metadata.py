"""The schema of a value has the provenance, and all that the schema of the scan had."""

from __future__ import annotations

import io
import struct

import pyarrow as pa
import pytest
from support import arrow_craft as craft
from support.arrow_craft import INT, INT32
from support.arrow_samples import (
    FORMATS,
    LIMIT,
    PROVENANCE,
    assert_unchanged,
    indices,
    keys,
    scan,
    schema_message,
    schema_metadata,
    to_stream,
    written,
)

from bridge.arrow.flatbuffer import Table
from bridge.arrow.metadata import InvalidScan, read_metadata


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "old",
    [None, {}, {"producer": "p", "ä": "ö", "": "empty key", "empty": ""}, {f"k{i}": "v" * i for i in range(50)}],
)
def test_metadata_is_added_to_what_was_there(old: dict[str, str] | None, format_: str) -> None:
    batch = scan().replace_schema_metadata(old)
    value = to_stream(written([batch], format_), PROVENANCE, LIMIT)
    expected = {**(old or {}), **PROVENANCE}
    assert schema_metadata(value) == {key.encode(): text.encode() for key, text in expected.items()}
    assert read_metadata(value.data) == expected


def test_a_key_that_is_there_already_is_replaced_however_often_a_value_is_published_again() -> None:
    value = to_stream(written([scan()], "file"), PROVENANCE, LIMIT)
    for i in range(3):
        value = to_stream(value.data, {"scan_bridge.sequence": str(i)}, LIMIT)
        expected = {"producer": "test", **PROVENANCE, "scan_bridge.sequence": str(i)}
        assert read_metadata(value.data) == expected
        assert keys(value) == sorted(expected)


@pytest.mark.parametrize("text", ["", "a", "abc", "abcd", "ü" * 999, "line\nline", "nul\0nul"])
def test_any_text_can_be_a_value(text: str) -> None:
    value = to_stream(written([scan()], "file"), {"scan_bridge.source": text}, LIMIT)
    assert read_metadata(value.data)["scan_bridge.source"] == text
    assert schema_metadata(value)[b"scan_bridge.source"] == text.encode()


def test_a_file_name_that_is_no_unicode_is_written_as_unicode_that_shows_it() -> None:
    value = to_stream(written([scan()], "file"), {"scan_bridge.source": "caf\udce9"}, LIMIT)
    assert read_metadata(value.data)["scan_bridge.source"] == r"caf\udce9"


def test_metadata_of_a_files_footer_joins_the_schemas() -> None:
    sink = io.BytesIO()
    footer = {"from": "footer", "both": "footer", "scan_bridge.sequence": "footer"}
    schema = scan().schema.with_metadata({"both": "schema"})
    with pa.ipc.new_file(sink, schema, metadata=footer) as writer:
        writer.write_batch(scan().replace_schema_metadata({"both": "schema"}))
    value = to_stream(sink.getvalue(), PROVENANCE, LIMIT)
    assert read_metadata(value.data) == {"from": "footer", "both": "schema", **PROVENANCE}
    assert keys(value) == ["both", "from", *sorted(PROVENANCE)]


def test_the_first_of_equal_keys_counts_as_in_pyarrow() -> None:
    pairs = craft.Vector([*craft.pairs({"k": "first"}).nodes, *craft.pairs({"k": "second", "l": ""}).nodes])
    content = craft.stream(craft.schema([], pairs))
    value = to_stream(content, PROVENANCE, LIMIT)
    assert read_metadata(value.data) == {"k": "first", "l": "", **PROVENANCE}
    assert schema_metadata(value)[b"k"] == b"first"
    assert keys(value) == ["k", "k", "l", *sorted(PROVENANCE)]


def test_metadata_of_the_schema_message_itself_and_its_features_are_kept() -> None:
    features = craft.Raw(2, struct.pack("<qq", 1, 2))
    plain = craft.schema([craft.a_field("x", INT, INT32)])
    schema = craft.Table({**plain.slots, 3: features})
    content = craft.stream(schema, craft.batch(indices(1)), metadata=craft.pairs({"message": "metadata"}))
    value = assert_unchanged(content, 1)
    message = schema_message(value)
    assert [(bytes(p.text(0)), bytes(p.text(1))) for p in message.tables(4)] == [(b"message", b"metadata")]
    kept = message.table(2)
    assert isinstance(kept, Table)
    start, count = kept.vector(3, 8)
    assert struct.unpack_from(f"<{count}q", kept.data, start) == (1, 2)


def test_readers_that_want_a_vtable_after_what_refers_to_its_table_are_content() -> None:
    """Polars reads a table from where its referrer starts, and sees nothing before that."""
    value = to_stream(written([scan()], "file"), PROVENANCE, LIMIT)
    message = schema_message(value)
    schema = message.table(2)
    assert isinstance(schema, Table)
    pairs, start = list(schema.tables(2)), schema.vector(2, 4)[0]
    assert len(pairs) == 3
    for table, referrer in ((message, 0), (schema, message.at), *((pair, start) for pair in pairs)):
        (to_vtable,) = struct.unpack_from("<i", table.data, table.at)
        assert table.at - to_vtable >= referrer


def test_a_schema_with_parts_that_would_be_lost_is_refused() -> None:
    plain = craft.schema([craft.a_field("x", INT, INT32)])
    newer = craft.Table({**plain.slots, 4: craft.Text(b"from a later version")})
    with pytest.raises(InvalidScan, match="newer version"):
        to_stream(craft.stream(newer, craft.batch(indices(1))), PROVENANCE, LIMIT)


def test_stream_metadata_reads_no_more_than_the_schema() -> None:
    value = to_stream(written([scan()], "file"), PROVENANCE, LIMIT)
    schema_ends = value.data.index(craft.CONTINUATION, 8)
    assert read_metadata(value.data[:schema_ends]) == {"producer": "test", **PROVENANCE}


def test_stream_metadata_refuses_what_is_no_stream() -> None:
    content = written([scan()], "file")
    with pytest.raises(InvalidScan):
        read_metadata(content)
    with pytest.raises(InvalidScan):
        read_metadata(content[100:])
