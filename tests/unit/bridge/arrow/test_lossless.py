"""Nothing is lost on the way from a scan to its value: every message is the same, byte for byte."""

from __future__ import annotations

import io
import struct

import pyarrow as pa
import pytest
from support import arrow_craft as craft
from support.arrow_craft import FLOAT, INT, INT32, LIST, UTF8, Batch
from support.arrow_samples import (
    ARRAYS,
    COMPRESSIONS,
    FORMATS,
    LIMIT,
    PROVENANCE,
    assert_unchanged,
    indices,
    read,
    scan,
    schema_message,
    texts,
    to_stream,
    words,
    written,
)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", ARRAYS)
def test_every_type_goes_through_byte_for_byte(name: str, format_: str, compression: str | None) -> None:
    array = ARRAYS[name]()
    field = pa.field("x", array.type, metadata={"unit": "1/d", "note": "ä"})
    batch = pa.record_batch([array, pa.array(range(len(array)))], schema=pa.schema([field, ("n", pa.int64())]))
    assert_unchanged(
        written([batch, batch.slice(1), batch.slice(0, 0)], format_, compression=compression), 2 * len(array) - 1
    )


@pytest.mark.parametrize("name", ARRAYS)
def test_every_type_goes_through_from_old_metadata_and_framing(name: str) -> None:
    array = ARRAYS[name]()
    options = {"use_legacy_format": True, "metadata_version": pa.ipc.MetadataVersion.V4}
    batch = pa.record_batch({"x": array})
    for format_ in FORMATS:
        value = assert_unchanged(written([batch, batch.slice(1)], format_, **options))
        assert schema_message(value).scalar(0, "<h") == craft.V4


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 3, 200])
def test_any_number_of_batches_goes_through(count: int, format_: str) -> None:
    assert_unchanged(written([scan(3)] * count, format_, scan().schema), 3 * count)


@pytest.mark.parametrize("format_", FORMATS)
def test_batches_without_rows_or_without_columns_go_through(format_: str) -> None:
    assert_unchanged(written([scan(2).slice(2), scan(2), scan(2).slice(2)], format_), 2)
    nothing = pa.record_batch([], schema=pa.schema([]))
    assert_unchanged(written([nothing, nothing], format_), 0)


def test_a_file_that_does_not_begin_with_its_schema_goes_through() -> None:
    """As JavaScript writes them."""
    schema = craft.schema([craft.a_field("x", INT, INT32)])
    assert_unchanged(craft.file(schema, [], [craft.batch(indices(1, 2))], schema_first=False), 2)
    assert_unchanged(craft.file(schema, [], [], schema_first=False), 0)


@pytest.mark.parametrize("format_", FORMATS)
def test_custom_metadata_of_a_batch_is_kept(format_: str) -> None:
    sink = io.BytesIO()
    with (pa.ipc.new_file if format_ == "file" else pa.ipc.new_stream)(sink, scan().schema) as writer:
        writer.write_batch(scan(), custom_metadata={"run": "17"})
        writer.write_batch(scan())
    value = assert_unchanged(sink.getvalue())
    assert [metadata for _, metadata in read(value.data)] == [{b"run": b"17"}, None]


@pytest.mark.parametrize("format_", FORMATS)
def test_dictionaries_that_grow_are_kept_as_deltas(format_: str) -> None:
    content = written(
        [words("a", "b"), words("a", "b", "c"), words("a", "b", "c", "d")], format_, emit_dictionary_deltas=True
    )
    value = assert_unchanged(content, 9)
    reader = pa.ipc.open_stream(pa.py_buffer(value.data))
    reader.read_all()
    assert reader.stats.num_dictionary_deltas == 2


def test_dictionaries_that_are_replaced_are_kept_in_a_stream() -> None:
    value = to_stream(written([words("a", "b"), words("c", "d")], "stream"), PROVENANCE, LIMIT)
    assert [batch.column(0).to_pylist() for batch, _ in read(value.data)] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize("identity", [1, 77, -5, 2**62])
def test_dictionary_ids_are_kept_whatever_they_are(identity: int) -> None:
    encoding = craft.encoding(identity)
    schema = craft.schema(
        [craft.a_field("v", UTF8, dictionary=encoding), craft.a_field("w", UTF8, dictionary=encoding)]
    )
    both = indices(1, 0)
    batch = craft.batch(Batch(2, both.nodes * 2, [*both.buffers, *indices(0, 0).buffers]))
    content = craft.stream(schema, craft.dictionary(identity, texts("a", "b")), batch)
    value = assert_unchanged(content, 2)
    assert [column.to_pylist() for column in read(value.data)[0][0].columns] == [["b", "a"], ["a", "a"]]


@pytest.mark.parametrize("format_", FORMATS)
def test_big_endian_scans_go_through_as_they_are(format_: str) -> None:
    schema = craft.schema(
        [
            craft.a_field("i", INT, INT32),
            craft.a_field("f", FLOAT, craft.Table({0: ("h", 2)})),
            craft.a_field("s", UTF8),
            craft.a_field("l", LIST, children=craft.Vector([craft.a_field("item", INT, INT32)])),
        ],
        craft.pairs({"made": "by hand"}),
        big_endian=True,
    )
    numbers = struct.pack(">3i", 1, -2, 3)
    offsets = struct.pack(">4i", 0, 1, 1, 3)
    doubles = struct.pack(">3d", 0.5, 1.5, 2.5)
    batch = craft.batch(
        Batch(3, [(3, 0)] * 5, [b"", numbers, b"", doubles, b"", offsets, b"xyz", b"", offsets, b"", numbers])
    )
    content = craft.file(schema, [], [batch]) if format_ == "file" else craft.stream(schema, batch)
    value = assert_unchanged(content, 3)
    assert numbers in value.data
    assert read(value.data)[0][0].to_pydict() == {
        "i": [1, -2, 3],
        "f": [0.5, 1.5, 2.5],
        "s": ["x", "", "yz"],
        "l": [[1], [], [-2, 3]],
    }


def test_values_that_other_writers_legally_produce_go_through() -> None:
    """pyarrow's full validation refuses them; readers have no trouble with them."""
    odd = {
        "decimal beyond its precision": pa.array([10**9], pa.int64()).view(pa.decimal64(3, 1)),
        "date off a whole day": pa.array([1234], pa.int64()).view(pa.date64()),
        "time beyond the day": pa.array([10**6], pa.int32()).view(pa.time32("s")),
        "negative time": pa.array([-1], pa.int64()).view(pa.time64("us")),
    }
    batches = [pa.record_batch({name: array}) for name, array in odd.items()]
    batches += [pa.record_batch({"x": pa.ListArray.from_arrays([0, 1], array)}) for array in odd.values()]
    batches += [pa.record_batch({"x": pa.DictionaryArray.from_arrays([0, 0], array)}) for array in odd.values()]
    for batch in batches:
        with pytest.raises(pa.ArrowInvalid):
            batch.validate(full=True)
        for format_ in FORMATS:
            assert_unchanged(written([batch], format_))


def test_a_pickle_in_extension_metadata_is_not_run() -> None:
    """Old pyarrow pickled Python types into the schema, and unpickled them on reading."""
    name, payload = "arrow.py_extension_type", "cbuiltins\nexec\n(S'raise SystemExit(42)'\ntR."
    metadata = craft.pairs({"ARROW:extension:name": name, "ARROW:extension:metadata": payload})
    schema = craft.schema([craft.a_field("x", INT, INT32, metadata=metadata)])
    value = assert_unchanged(craft.stream(schema, craft.batch(indices(1, 2))), 2)
    assert read(value.data)[0][0].schema.field("x").metadata[b"ARROW:extension:name"] == name.encode()
