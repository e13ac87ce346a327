"""A damaged footer loses no rows and no columns unnoticed, also where Arrow itself would not notice."""

from __future__ import annotations

import struct

import pyarrow as pa
import pytest
from support import arrow_craft as craft
from support.arrow_craft import INT, INT32, UTF8, Batch
from support.arrow_samples import LIMIT, assert_unchanged, indices, scan, texts, words, written

from bridge.arrow.flatbuffer import Table, root
from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import parse

ONE_INT = craft.schema([craft.a_field("x", INT, INT32)])


def footer(content: bytes) -> tuple[int, Table]:
    """Where it starts, and its table."""
    (length,) = struct.unpack_from("<i", content, len(content) - 10)
    start = len(content) - 10 - length
    return start, root(memoryview(content)[start:-10])


def with_number(content: bytes, at: int, number: int) -> bytes:
    damaged = bytearray(content)
    struct.pack_into("<I", damaged, at, number)
    return bytes(damaged)


@pytest.mark.parametrize("slot", [2, 3])
def test_an_offset_of_zero_to_the_list_of_batches_is_refused(slot: int) -> None:
    """Read as it stands, it makes a list of no batches."""
    content = written([words("a", "b")], "file")
    start, table = footer(content)
    with pytest.raises(InvalidScan):
        parse(with_number(content, start + table.position(slot), 0), LIMIT)


@pytest.mark.parametrize("listed", [0, 1, 2])
def test_a_footer_that_lists_fewer_batches_than_there_are_is_refused(listed: int) -> None:
    content = written([scan()] * 3, "file")
    start, table = footer(content)
    at = start + table.vector(3, 24)[0] - 4
    assert struct.unpack_from("<I", content, at) == (3,)
    damaged = with_number(content, at, listed)
    assert pa.ipc.open_file(damaged).num_record_batches == listed  # Arrow believes it
    with pytest.raises(InvalidScan, match="the footer does not list what lies at byte"):
        parse(damaged, LIMIT)


def test_a_footer_that_lists_no_dictionaries_is_refused() -> None:
    schema = craft.schema([craft.a_field("w", UTF8, dictionary=craft.encoding(0))])
    whole = craft.file(schema, [craft.dictionary(0, texts("a"))], [])
    assert_unchanged(whole, 0)
    start, table = footer(whole)
    with pytest.raises(InvalidScan, match="the footer does not list what lies at byte"):
        parse(with_number(whole, start + table.vector(2, 24)[0] - 4, 0), LIMIT)


def test_a_dictionary_that_no_batch_uses_is_looked_at_all_the_same() -> None:
    schema = craft.schema([craft.a_field("w", UTF8, dictionary=craft.encoding(0))])
    bad = Batch(1, [(1, 0)], [b""])
    content = craft.file(schema, [craft.dictionary(0, bad)], [])
    assert pa.ipc.open_file(content).read_all().num_rows == 0  # Arrow does not look
    with pytest.raises(InvalidScan, match="not valid Arrow"):
        parse(content, LIMIT)


def test_another_schema_at_the_head_is_refused_also_after_good_scans_with_the_same_footer() -> None:
    content = written([pa.record_batch({"eigenvalue": [1]})], "file")
    for _ in range(3):
        assert parse(content, LIMIT).rows == 1
    at = content.index(b"eigenvalue")
    assert at < footer(content)[0]
    with pytest.raises(InvalidScan, match="its footer has another schema than its head"):
        parse(content[:at] + b"E" + content[at + 1 :], LIMIT)


def test_a_footer_whose_schema_is_not_that_of_the_head_is_refused() -> None:
    content = written([pa.record_batch({name: [1] for name in ("a", "b", "c", "eigenvalue")})], "file")
    start, table = footer(content)
    schema = table.table(1)
    assert schema is not None
    for number in range(4):  # Arrow believes all of them
        damaged = with_number(content, start + schema.vector(1, 4)[0] - 4, number)
        assert pa.ipc.open_file(damaged).read_all().num_columns == number
        with pytest.raises(InvalidScan, match="the schema has"):
            parse(damaged, LIMIT)
    renamed = content[:start] + content[start:].replace(b"eigenvalue", b"eigenvalua")
    with pytest.raises(InvalidScan, match="its footer has another schema than its head"):
        parse(renamed, LIMIT)


@pytest.mark.parametrize("format_", ["file", "stream"])
def test_a_schema_with_fewer_columns_than_the_batches_is_refused(format_: str) -> None:
    two = craft.batch(Batch(1, [(1, 0)] * 2, [b"", struct.pack("<i", 1)] * 2))
    for content in (
        craft.stream(ONE_INT, two) if format_ == "stream" else craft.file(ONE_INT, [], [two]),
        craft.stream(ONE_INT, craft.batch(indices(1)), two),
    ):
        with pytest.raises(InvalidScan, match=r"a record batch of 2 columns.*the schema has 1"):
            parse(content, LIMIT)


def test_a_column_whose_name_is_not_utf8_is_refused() -> None:
    schema = craft.schema([craft.a_field("x", INT, INT32)])
    content = craft.stream(schema, craft.batch(indices(1))).replace(b"x\0", b"\xe9\0")
    with pytest.raises(UnicodeDecodeError):
        _ = pa.ipc.open_stream(content).schema.names
    with pytest.raises(InvalidScan, match=r"name is not UTF-8: b'\\xe9'"):
        parse(content, LIMIT)


@pytest.mark.parametrize("schema_first", [False, True])
@pytest.mark.parametrize("version", [None, 0, craft.V4, craft.V5])
def test_a_file_without_batches_may_have_any_version_in_its_footer(version: int | None, schema_first: bool) -> None:
    """That of Arrow 0.14.1 has none."""
    content = craft.file(ONE_INT, [], [], schema_first=schema_first, version=version)
    assert pa.ipc.open_file(content).schema == pa.schema([("x", pa.int32())])
    assert_unchanged(content, 0)


def test_padding_between_the_messages_of_a_file_is_none_of_our_business() -> None:
    batches = [craft.batch(indices(1)), craft.batch(indices(2, 3))]
    assert_unchanged(craft.file(ONE_INT, [], batches, padding=bytes(64)), 3)
    with pytest.raises(InvalidScan, match="the footer does not list what lies at byte"):
        parse(craft.file(ONE_INT, [], batches, padding=bytes(56) + b"leftover"), LIMIT)
