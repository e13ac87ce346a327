"""A scan's content becomes one whole, valid Arrow IPC stream that has lost nothing, or is refused with a reason."""

from __future__ import annotations

import datetime
import io
import struct
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import arrow_craft as craft
import pyarrow as pa
import pytest
from arrow_craft import FLOAT, INT, INT32, LIST, STRUCT, UTF8, Batch

from bridge import ipc
from bridge.flatbuf import Table, root

PROVENANCE = {"scan_bridge.source": "2026-03-24/scan_0815.arrow", "scan_bridge.sequence": "7"}
LIMIT = 2**24
FORMATS = ["file", "stream"]
COMPRESSIONS = [None, "lz4", "zstd"]


def written(batches: Sequence[pa.RecordBatch], format_: str, schema: pa.Schema | None = None, **options: Any) -> bytes:
    """The batches as pyarrow writes them."""
    sink = io.BytesIO()
    open_ = pa.ipc.new_file if format_ == "file" else pa.ipc.new_stream
    with open_(sink, schema or batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def scan(rows: int = 12) -> pa.RecordBatch:
    """What a producer of eigenvalue scans might write."""
    vectors = pa.array([[i + k / 8 for k in range(4)] for i in range(rows)], pa.list_(pa.float64(), 4))
    return pa.record_batch(
        {
            "asset": pa.array([f"A{i % 5}" for i in range(rows)]).dictionary_encode(),
            "name": pa.array([None if i % 4 == 3 else f"name {i}" for i in range(rows)]),
            "eigenvalue": pa.array([i / 3 for i in range(rows)]),
            "eigenvector": vectors,
        },
        metadata={"producer": "test"},
    )


def read(stream: bytes | bytearray) -> list[tuple[pa.RecordBatch, dict[bytes, bytes] | None]]:
    reader = pa.ipc.open_stream(pa.py_buffer(stream))
    return [(item.batch, item.custom_metadata) for item in reader.iter_batches_with_custom_metadata()]


def messages(stream: bytes | bytearray) -> Iterator[tuple[bytes, bytes]]:
    """The flatbuffer (without its padding) and body of each message after the schema, old framing or new."""
    data, at = bytes(stream), 0
    while True:
        (length,) = struct.unpack_from("<i", data, at)
        start = at + 4
        if length == -1:
            (length,) = struct.unpack_from("<i", data, start)
            start += 4
        if length == 0:
            return
        table = root(memoryview(data)[start : start + length])
        end = start + length + table.scalar(3, "<q")
        if at:
            yield data[start : start + length].rstrip(b"\0"), data[start + length : end]
        at = end


def as_stream(content: bytes) -> bytes:
    """A file's messages in the order in which readers take them, behind some schema; a stream as it is."""
    if not content.startswith(b"ARROW1"):
        return content
    (length,) = struct.unpack_from("<i", content, len(content) - 10)
    footer = root(memoryview(content)[-10 - length : -10])
    parts = [craft.message(craft.SCHEMA, craft.schema([]))]
    for slot in (2, 3):
        start, count = footer.vector(slot, 24)
        for offset, metadata, body in struct.iter_unpack("<qi4xq", footer.data[start : start + 24 * count]):
            parts.append(content[offset : offset + metadata + body])
    return b"".join([*parts, craft.END])


def assert_framed(stream: bytearray) -> None:
    """Every message has today's prefix, and it and its body start at a multiple of 8."""
    data, at = bytes(stream), 0
    while data[at:] != craft.END:
        continuation, length = struct.unpack_from("<ii", data, at)
        body = root(memoryview(data)[at + 8 : at + 8 + length]).scalar(3, "<q")
        assert (continuation, at % 8, length % 8) == (-1, 0, 0)
        at += 8 + length + body


def assert_unchanged(content: bytes, rows: int | None = None) -> ipc.Value:
    """The value has the content's messages byte for byte, and reads as the same batches."""
    value = ipc.to_stream(content, PROVENANCE, LIMIT)
    assert_framed(value.data)
    assert list(messages(value.data)) == list(messages(as_stream(content)))
    with pa.ipc.open_file(content) if content.startswith(b"ARROW1") else pa.ipc.open_stream(content) as reader:
        expected = reader.read_all()
    got = pa.ipc.open_stream(pa.py_buffer(value.data)).read_all()
    assert got.schema.equals(expected.schema)
    assert all(
        field.equals(other, check_metadata=True) for field, other in zip(got.schema, expected.schema, strict=True)
    )
    assert got.equals(expected)
    assert value.rows == expected.num_rows
    assert rows is None or value.rows == rows
    return value


# --- complete or refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("format_", FORMATS)
def test_every_cut_of_a_scan_is_refused(format_: str, compression: str | None) -> None:
    content = written([scan(), scan(40)], format_, compression=compression)
    assert_unchanged(content, 52)
    for cut in range(len(content)):
        with pytest.raises(ipc.InvalidScan):
            ipc.to_stream(content[:cut], PROVENANCE, LIMIT)


def test_every_cut_of_a_stream_framed_as_before_arrow_0_15_is_refused() -> None:
    content = written([scan(), scan(20)], "stream", use_legacy_format=True, metadata_version=pa.ipc.MetadataVersion.V4)
    for cut in range(len(content)):
        with pytest.raises(ipc.InvalidScan):
            ipc.to_stream(content[:cut], PROVENANCE, LIMIT)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_allocated_ahead_and_not_yet_written_to_its_end_is_refused(legacy: bool) -> None:
    """Zeros where the next message will be must not pass for the end of a stream."""
    version = pa.ipc.MetadataVersion.V4 if legacy else pa.ipc.MetadataVersion.V5
    options = {"use_legacy_format": legacy, "metadata_version": version}
    one, two = (written([scan()] * n, "stream", **options) for n in (1, 2))
    end = 4 if legacy else 8
    content = one[:-end] + bytes(len(two) - len(one) + end)
    assert len(content) == len(two)
    with pytest.raises(ipc.InvalidScan):
        ipc.to_stream(content, PROVENANCE, LIMIT)


def test_a_hole_between_the_messages_of_a_stream_is_refused() -> None:
    content = bytearray(written([scan()] * 3, "stream"))
    one = len(written([scan()], "stream")) - 8
    content[one : one + 100] = bytes(100)
    with pytest.raises(ipc.InvalidScan):
        ipc.to_stream(content, PROVENANCE, LIMIT)


def test_zeros_after_the_end_of_a_stream_are_dropped_and_anything_else_there_is_refused() -> None:
    content = written([scan()], "stream")
    value = ipc.to_stream(content + bytes(4096), PROVENANCE, LIMIT)
    assert value == ipc.to_stream(content, PROVENANCE, LIMIT)
    for rest in (content, b"x", bytes(100) + b"x"):
        with pytest.raises(ipc.InvalidScan, match="follow the end-of-stream marker"):
            ipc.to_stream(content + rest, PROVENANCE, LIMIT)


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
    with pytest.raises(ipc.InvalidScan):
        ipc.to_stream(content, PROVENANCE, LIMIT)
    with pytest.raises(ipc.InvalidScan):
        ipc.stream_metadata(content)


def test_the_reason_tells_what_is_cut_short_from_what_is_no_scan() -> None:
    stream, file = (written([scan()], format_) for format_ in ("stream", "file"))
    reasons = {
        stream[:-8]: "incomplete: it ends where a message",
        stream[:-100]: "incomplete: the message at byte",
        stream[:100]: "neither a whole Arrow IPC file nor a whole stream: incomplete",
        file[:-1]: "incomplete: an Arrow IPC file without its footer",
        b"": "empty",
        b"time,value\n" * 99: "neither a whole Arrow IPC file nor a whole stream",
    }
    for content, reason in reasons.items():
        with pytest.raises(ipc.InvalidScan, match=reason):
            ipc.to_stream(content, PROVENANCE, LIMIT)


def test_the_reason_is_one_printable_line_whatever_the_scan_calls_its_columns() -> None:
    evil = "a\n<3>forged log line\x1b[31m" + "x" * 1000
    schema = craft.schema([craft.a_field("s", STRUCT, children=craft.Vector([craft.a_field(evil, INT, INT32)]))])
    numbers = struct.pack("<9i", *range(9))
    too_short = Batch(9, [(9, 1), (9, 0)], [b"\0", b"", numbers])
    with pytest.raises(ipc.InvalidScan, match="forged") as caught:
        ipc.to_stream(craft.stream(schema, craft.batch(too_short)), PROVENANCE, LIMIT)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 300


# --- nothing is lost ----------------------------------------------------------------------------------------------

DAY = datetime.date(2026, 3, 24)
ARRAYS: dict[str, Callable[[], pa.Array]] = {
    "null": lambda: pa.nulls(4),
    "bool": lambda: pa.array([True, None, False]),
    "float16 to int64": lambda: pa.array([{"h": 1.5, "i": -1}], pa.struct([("h", pa.float16()), ("i", pa.int64())])),
    "timestamp": lambda: pa.array([1, None], pa.timestamp("ns", "Europe/Berlin")),
    "time and date": lambda: pa.array(
        [(1, 2, DAY, DAY)],
        pa.struct([("a", pa.time32("s")), ("b", pa.time64("ns")), ("c", pa.date32()), ("d", pa.date64())]),
    ),
    "duration": lambda: pa.array([1, None], pa.duration("us")),
    "interval": lambda: pa.array([(1, 15, -30)], pa.month_day_nano_interval()),
    "decimals": lambda: pa.array(
        [(Decimal("1.5"),) * 4],
        pa.struct(
            [(str(i), t(5, 2)) for i, t in enumerate([pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256])]
        ),
    ),
    "binary": lambda: pa.array([b"\xff", None, b""], pa.binary()),
    "large strings": lambda: pa.array(["ä", None], pa.large_string()),
    "string view": lambda: pa.array(["short", "longer than twelve bytes", None] * 2, pa.string_view()),
    "binary view": lambda: pa.array([b"short", b"longer than twelve bytes \xff"], pa.binary_view()),
    "list": lambda: pa.array([[1], None, [], [2, 3]], pa.list_(pa.int32())),
    "large list of lists": lambda: pa.array([[[Decimal("1.5")]], None], pa.large_list(pa.list_(pa.decimal128(9, 3)))),
    "list view": lambda: pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())),
    "large list view": lambda: pa.array([["a"], None], pa.large_list_view(pa.string_view())),
    "fixed size list": lambda: pa.array([[DAY, None], None], pa.list_(pa.date64(), 2)),
    "map": lambda: pa.array([[("k", Decimal(1))], None], pa.map_(pa.string(), pa.decimal128(5), keys_sorted=True)),
    "struct": lambda: pa.array(
        [{"a": [{"b": "x"}]}, None], pa.struct([("a", pa.list_(pa.struct([("b", pa.string())])))])
    ),
    "empty struct": lambda: pa.array([{}, None], pa.struct([])),
    "sparse union": lambda: pa.UnionArray.from_sparse(
        pa.array([5, 9], pa.int8()), [pa.array([1, 2]), pa.array([DAY, DAY], pa.date64())], ["a", "b"], [5, 9]
    ),
    "dense union": lambda: pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array(["x", "y"]), pa.array([2.5])]
    ),
    "run-end encoded": lambda: pa.RunEndEncodedArray.from_arrays(
        pa.array([2, 1000], pa.int32()), pa.array([Decimal(1), None], pa.decimal128(5))
    ),
    "dictionary": lambda: pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "ordered dictionary": lambda: pa.DictionaryArray.from_arrays(
        pa.array([1, 0], pa.uint16()), pa.array([Decimal(1), Decimal(2)]), ordered=True
    ),
    "nested dictionary": lambda: pa.DictionaryArray.from_arrays(
        pa.array([1, 0, None], pa.int8()),
        pa.StructArray.from_arrays(
            [pa.array(["u", "v"]).dictionary_encode(), pa.array([DAY, DAY], pa.date64())], ["inner", "day"]
        ),
    ),
    "extension": lambda: pa.ExtensionArray.from_storage(
        pa.uuid(), pa.array([b"0123456789abcdef", None], pa.binary(16))
    ),
    "tensor extension": lambda: pa.FixedShapeTensorArray.from_storage(
        pa.fixed_shape_tensor(pa.int32(), [2, 2]), pa.array([[1, 2, 3, 4]], pa.list_(pa.int32(), 4))
    ),
}


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


@pytest.mark.parametrize("format_", FORMATS)
def test_custom_metadata_of_a_batch_is_kept(format_: str) -> None:
    sink = io.BytesIO()
    with (pa.ipc.new_file if format_ == "file" else pa.ipc.new_stream)(sink, scan().schema) as writer:
        writer.write_batch(scan(), custom_metadata={"run": "17"})
        writer.write_batch(scan())
    value = assert_unchanged(sink.getvalue())
    assert [metadata for _, metadata in read(value.data)] == [{b"run": b"17"}, None]


def words(*texts: str) -> pa.RecordBatch:
    values = list(dict.fromkeys(texts))
    indices = pa.array([values.index(text) for text in texts], pa.int32())
    return pa.record_batch({"w": pa.DictionaryArray.from_arrays(indices, pa.array(values))})


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
    value = ipc.to_stream(written([words("a", "b"), words("c", "d")], "stream"), PROVENANCE, LIMIT)
    assert [batch.column(0).to_pylist() for batch, _ in read(value.data)] == [["a", "b"], ["c", "d"]]


def texts(*values: str) -> Batch:
    data = [value.encode() for value in values]
    ends = [sum(map(len, data[:i])) for i in range(len(data) + 1)]
    return Batch(len(data), [(len(data), 0)], [b"", struct.pack(f"<{len(ends)}i", *ends), b"".join(data)])


def indices(*values: int) -> Batch:
    return Batch(len(values), [(len(values), 0)], [b"", struct.pack(f"<{len(values)}i", *values)])


def test_a_file_that_replaces_a_dictionary_is_refused() -> None:
    """All dictionaries come before all batches there, so that the first would be lost."""
    schema = craft.schema([craft.a_field("w", UTF8, dictionary=craft.encoding(0))])
    first, second = craft.dictionary(0, texts("a", "b")), craft.dictionary(0, texts("c", "d"))
    batch = craft.batch(indices(0, 1))
    assert_unchanged(craft.file(schema, [first], [batch]), 2)
    with pytest.raises(ipc.InvalidScan, match="dictionary 0 is replaced"):
        ipc.to_stream(craft.file(schema, [first, second], [batch]), PROVENANCE, LIMIT)


def test_a_footer_that_does_not_fit_the_messages_is_refused() -> None:
    schema = craft.schema([craft.a_field("w", UTF8, dictionary=craft.encoding(0))])
    words_, batch = craft.dictionary(0, texts("a", "b")), craft.batch(indices(0, 1))
    with pytest.raises(ipc.InvalidScan, match="kind 3 as one of kind 2"):
        ipc.to_stream(craft.file(schema, [batch], [words_]), PROVENANCE, LIMIT)
    content = craft.file(schema, [words_], [batch])
    (prefix,) = struct.unpack_from("<i", batch, 4)
    at = content.rindex(struct.pack("<qi4xq", content.index(batch), 8 + prefix, len(batch) - 8 - prefix))
    for position, change in ((at, 8), (at, -8), (at + 8, 8), (at + 16, 8), (at + 16, -8), (at, 2**62), (at, -(2**62))):
        damaged = bytearray(content)
        (number,) = struct.unpack_from("<i" if position == at + 8 else "<q", content, position)
        struct.pack_into("<i" if position == at + 8 else "<q", damaged, position, number + change)
        with pytest.raises(ipc.InvalidScan):
            ipc.to_stream(damaged, PROVENANCE, LIMIT)


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


def test_structural_damage_beside_such_values_is_refused() -> None:
    """List offsets and dictionary indices out of bounds make readers crash, whatever the values."""
    decimals = pa.array([Decimal(1), Decimal(2)], pa.decimal128(5))
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), decimals)
    content = bytearray(written([pa.record_batch({"x": lists})], "stream"))
    at = content.index(struct.pack("<3i", 0, 1, 2))
    struct.pack_into("<i", content, at + 4, 1000)
    with pytest.raises(ipc.InvalidScan):
        ipc.to_stream(content, PROVENANCE, LIMIT)
    indices_ = pa.array([0, 1, 0x01020304 % 2, 1], pa.int32())
    content = bytearray(written([pa.record_batch({"x": pa.DictionaryArray.from_arrays(indices_, decimals)})], "stream"))
    at = content.index(struct.pack("<4i", 0, 1, 0, 1))
    struct.pack_into("<i", content, at + 8, 99)
    with pytest.raises(ipc.InvalidScan, match="out of bounds"):
        ipc.to_stream(content, PROVENANCE, LIMIT)


def test_a_pickle_in_extension_metadata_is_not_run() -> None:
    """Old pyarrow pickled Python types into the schema, and unpickled them on reading."""
    name, payload = "arrow.py_extension_type", "cbuiltins\nexec\n(S'raise SystemExit(42)'\ntR."
    metadata = craft.pairs({"ARROW:extension:name": name, "ARROW:extension:metadata": payload})
    schema = craft.schema([craft.a_field("x", INT, INT32, metadata=metadata)])
    value = assert_unchanged(craft.stream(schema, craft.batch(indices(1, 2))), 2)
    assert read(value.data)[0][0].schema.field("x").metadata[b"ARROW:extension:name"] == name.encode()


# --- the schema's metadata ----------------------------------------------------------------------------------------


def schema_metadata(value: ipc.Value) -> dict[bytes, bytes]:
    return pa.ipc.open_stream(pa.py_buffer(value.data)).schema.metadata


def schema_message(value: ipc.Value) -> Table:
    (length,) = struct.unpack_from("<i", value.data, 4)
    return root(memoryview(value.data)[8 : 8 + length])


def keys(value: ipc.Value) -> list[str]:
    """Sorted, and those that are there twice twice."""
    schema = schema_message(value).table(2)
    assert isinstance(schema, Table)
    return sorted(bytes(pair.text(0)).decode() for pair in schema.tables(2))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "old",
    [None, {}, {"producer": "p", "ä": "ö", "": "empty key", "empty": ""}, {f"k{i}": "v" * i for i in range(50)}],
)
def test_metadata_is_added_to_what_was_there(old: dict[str, str] | None, format_: str) -> None:
    batch = scan().replace_schema_metadata(old)
    value = ipc.to_stream(written([batch], format_), PROVENANCE, LIMIT)
    expected = {**(old or {}), **PROVENANCE}
    assert schema_metadata(value) == {key.encode(): text.encode() for key, text in expected.items()}
    assert ipc.stream_metadata(value.data) == expected


def test_a_key_that_is_there_already_is_replaced_however_often_a_value_is_published_again() -> None:
    value = ipc.to_stream(written([scan()], "file"), PROVENANCE, LIMIT)
    for i in range(3):
        value = ipc.to_stream(value.data, {"scan_bridge.sequence": str(i)}, LIMIT)
        expected = {"producer": "test", **PROVENANCE, "scan_bridge.sequence": str(i)}
        assert ipc.stream_metadata(value.data) == expected
        assert keys(value) == sorted(expected)


@pytest.mark.parametrize("text", ["", "a", "abc", "abcd", "ü" * 999, "line\nline", "nul\0nul"])
def test_any_text_can_be_a_value(text: str) -> None:
    value = ipc.to_stream(written([scan()], "file"), {"scan_bridge.source": text}, LIMIT)
    assert ipc.stream_metadata(value.data)["scan_bridge.source"] == text
    assert schema_metadata(value)[b"scan_bridge.source"] == text.encode()


def test_a_file_name_that_is_no_unicode_is_written_as_unicode_that_shows_it() -> None:
    value = ipc.to_stream(written([scan()], "file"), {"scan_bridge.source": "caf\udce9"}, LIMIT)
    assert ipc.stream_metadata(value.data)["scan_bridge.source"] == r"caf\udce9"


def test_metadata_of_a_files_footer_joins_the_schemas() -> None:
    sink = io.BytesIO()
    footer = {"from": "footer", "both": "footer", "scan_bridge.sequence": "footer"}
    schema = scan().schema.with_metadata({"both": "schema"})
    with pa.ipc.new_file(sink, schema, metadata=footer) as writer:
        writer.write_batch(scan().replace_schema_metadata({"both": "schema"}))
    value = ipc.to_stream(sink.getvalue(), PROVENANCE, LIMIT)
    assert ipc.stream_metadata(value.data) == {"from": "footer", "both": "schema", **PROVENANCE}
    assert keys(value) == ["both", "from", *sorted(PROVENANCE)]


def test_the_first_of_equal_keys_counts_as_in_pyarrow() -> None:
    pairs = craft.Vector([*craft.pairs({"k": "first"}).nodes, *craft.pairs({"k": "second", "l": ""}).nodes])
    content = craft.stream(craft.schema([], pairs))
    value = ipc.to_stream(content, PROVENANCE, LIMIT)
    assert ipc.stream_metadata(value.data) == {"k": "first", "l": "", **PROVENANCE}
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
    value = ipc.to_stream(written([scan()], "file"), PROVENANCE, LIMIT)
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
    with pytest.raises(ipc.InvalidScan, match="newer version"):
        ipc.to_stream(craft.stream(newer, craft.batch(indices(1))), PROVENANCE, LIMIT)


def test_stream_metadata_reads_no_more_than_the_schema() -> None:
    value = ipc.to_stream(written([scan()], "file"), PROVENANCE, LIMIT)
    schema_ends = value.data.index(craft.CONTINUATION, 8)
    assert ipc.stream_metadata(value.data[:schema_ends]) == {"producer": "test", **PROVENANCE}


def test_stream_metadata_refuses_what_is_no_stream() -> None:
    content = written([scan()], "file")
    with pytest.raises(ipc.InvalidScan):
        ipc.stream_metadata(content)
    with pytest.raises(ipc.InvalidScan):
        ipc.stream_metadata(content[100:])
