"""Scans for the tests: written by pyarrow or by hand, taken apart again, and compared with the value made of them."""

from __future__ import annotations

import datetime
import io
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
from support import arrow_craft as craft
from support.arrow_craft import Batch

from bridge.arrow.flatbuffer import Table, root
from bridge.arrow.scan import parse

PROVENANCE = {"scan_bridge.source": "2026-03-24/scan_0815.arrow", "scan_bridge.sequence": "7"}
LIMIT = 2**24
FORMATS = ["file", "stream"]
COMPRESSIONS = [None, "lz4", "zstd"]


class Value(NamedTuple):
    """A scan with its provenance."""

    data: bytearray  # one complete Arrow IPC stream, with its end-of-stream marker
    rows: int


def to_stream(content: bytes | bytearray, metadata: Mapping[str, str], max_decoded_bytes: int) -> Value:
    """What the bridge makes of a file's content. Raises InvalidScan."""
    scan = parse(content, max_decoded_bytes)
    return Value(bytearray().join(scan.with_metadata(metadata)), scan.rows)


def written(batches: Sequence[pa.RecordBatch], format_: str, schema: pa.Schema | None = None, **options: Any) -> bytes:
    """The batches as pyarrow writes them."""
    sink = io.BytesIO()
    open_ = pa.ipc.new_file if format_ == "file" else pa.ipc.new_stream
    with open_(
        sink, batches[0].schema if schema is None else schema, options=pa.ipc.IpcWriteOptions(**options)
    ) as writer:
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


def assert_unchanged(content: bytes, rows: int | None = None) -> Value:
    """The value has the content's messages byte for byte, and reads as the same batches."""
    value = to_stream(content, PROVENANCE, LIMIT)
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


def schema_metadata(value: Value) -> dict[bytes, bytes]:
    return pa.ipc.open_stream(pa.py_buffer(value.data)).schema.metadata


def schema_message(value: Value) -> Table:
    (length,) = struct.unpack_from("<i", value.data, 4)
    return root(memoryview(value.data)[8 : 8 + length])


def keys(value: Value) -> list[str]:
    """Sorted, and those that are there twice twice."""
    schema = schema_message(value).table(2)
    assert isinstance(schema, Table)
    return sorted(bytes(pair.text(0)).decode() for pair in schema.tables(2))


def words(*texts: str) -> pa.RecordBatch:
    values = list(dict.fromkeys(texts))
    indices = pa.array([values.index(text) for text in texts], pa.int32())
    return pa.record_batch({"w": pa.DictionaryArray.from_arrays(indices, pa.array(values))})


def texts(*values: str) -> Batch:
    data = [value.encode() for value in values]
    ends = [sum(map(len, data[:i])) for i in range(len(data) + 1)]
    return Batch(len(data), [(len(data), 0)], [b"", struct.pack(f"<{len(ends)}i", *ends), b"".join(data)])


def indices(*values: int) -> Batch:
    return Batch(len(values), [(len(values), 0)], [b"", struct.pack(f"<{len(values)}i", *values)])


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
