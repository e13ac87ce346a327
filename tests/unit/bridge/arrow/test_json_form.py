"""A scan as JSON: every value that JSON has a word for is exact, and what it has none for is as the documents say."""

from __future__ import annotations

import decimal
import json
from datetime import UTC, date, datetime, time
from typing import Any

import pyarrow as pa
import pytest
from support.arrow_samples import ARRAYS, written

from bridge.arrow.json_form import AT_ONCE, columns, document
from bridge.arrow.json_head import MOST_BYTES, read_provenance
from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import ArrowScan, parse

MOST = 1 << 30
PROVENANCE = {"source": "2026-03-24/\udcff.arrow", "mtime_ns": 1774339200123456789, "sequence": 7}


def text(scan: ArrowScan, provenance: dict[str, Any], most_bytes: int = MOST_BYTES) -> str:
    """The whole, as a publisher makes it."""
    return document(columns(scan, most_bytes), provenance)


def as_json(*batches: pa.RecordBatch) -> dict[str, Any]:
    """The columns, by way of a file."""
    document = json.loads(text(parse(written(list(batches), "file"), MOST), PROVENANCE))
    assert list(document) == ["scan_bridge", "columns"]
    assert document["scan_bridge"] == PROVENANCE
    columns: dict[str, Any] = document["columns"]
    return columns


def column(values: list[Any], type_: pa.DataType) -> list[Any]:
    """Such a column."""
    found: list[Any] = as_json(pa.record_batch({"x": pa.array(values, type_)}))["x"]
    return found


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        ([1.5, float("nan"), float("inf"), -float("inf"), None], pa.float64(), [1.5, None, None, None, None]),
        ([2**63 - 1, -(2**63), None], pa.int64(), [2**63 - 1, -(2**63), None]),
        ([2**64 - 1], pa.uint64(), [2**64 - 1]),
        ([0.1, 1e-300, 1.7976931348623157e308], pa.float64(), [0.1, 1e-300, 1.7976931348623157e308]),
        ([True, None], pa.bool_(), [True, None]),
        (["ä\n\x00", None, ""], pa.string(), ["ä\n\x00", None, ""]),
        ([b"\xff\x00", None], pa.binary(), ["/wA=", None]),
        ([decimal.Decimal("1.50"), None], pa.decimal128(9, 2), ["1.50", None]),
        ([1774339200123456789, None], pa.timestamp("ns", "UTC"), ["2026-03-24T08:00:00.123456789Z", None]),
        ([1774339200123456789], pa.timestamp("ns", "Asia/Tokyo"), ["2026-03-24T08:00:00.123456789Z"]),
        ([1774339200], pa.timestamp("s"), ["2026-03-24T08:00:00"]),
        ([-1], pa.timestamp("ms", "UTC"), ["1969-12-31T23:59:59.999Z"]),
        ([2**63 - 1, 0], pa.timestamp("us", "UTC"), [None, "1970-01-01T00:00:00.000000Z"]),  # in no calendar
        ([2**31 - 1], pa.date32(), [None]),
        ([date(2026, 3, 24), None], pa.date32(), ["2026-03-24", None]),
        ([time(8, 15, 0, 5)], pa.time64("us"), ["08:15:00.000005"]),
        ([90], pa.duration("s"), [90]),
        ([[1.0, float("nan")], [], None], pa.list_(pa.float64()), [[1.0, None], [], None]),
        ([[[1], []], None, []], pa.list_(pa.list_(pa.int8())), [[[1], []], None, []]),
        ([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2), [[1, 2], None, [3, 4]]),
        ([{"a": [float("nan")], "b": b"x"}, None], pa.struct({"a": pa.list_(pa.float32()), "b": pa.binary()}),
         [{"a": [None], "b": "eA=="}, None]),
        ([[("k", 1)], None], pa.map_(pa.string(), pa.int64()), [[{"key": "k", "value": 1}], None]),
        ([], pa.float64(), []),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_is_exact_or_as_documented(values: list[Any], type_: pa.DataType, expected: list[Any]) -> None:
    assert column(values, type_) == expected
    doubled = pa.array([*values, *values], type_)
    sliced = pa.record_batch({"x": doubled.slice(len(values))})
    assert as_json(sliced, sliced)["x"] == expected * 2, "from an offset, and over several batches"


@pytest.mark.parametrize("name", ARRAYS)
def test_every_type_there_is_can_be_told(name: str) -> None:
    array = ARRAYS[name]()
    assert len(as_json(pa.record_batch({"x": array}))["x"]) == len(array)


def test_dictionaries_are_decoded_though_they_grow_from_batch_to_batch() -> None:
    batches = [pa.record_batch({"x": pa.array(words).dictionary_encode()}) for words in (["a", "b"], ["a", "b", "c"])]
    scan = parse(written(batches, "stream", emit_dictionary_deltas=True), MOST)
    assert json.loads(text(scan, PROVENANCE))["columns"] == {"x": ["a", "b", "a", "b", "c"]}


def test_columns_of_one_name_are_numbered() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([number]) for number in range(4)], names=["x", "x", "x.2", "x"])
    assert as_json(batch) == {"x": [0], "x.2": [1], "x.2.2": [2], "x.3": [3]}


def test_a_scan_without_rows_or_columns_is_one_too() -> None:
    assert as_json(pa.record_batch({"x": pa.array([], pa.int64())})) == {"x": []}
    scan = parse(written([pa.RecordBatch.from_arrays([], names=[])], "file"), MOST)
    assert json.loads(text(scan, PROVENANCE))["columns"] == {}


def test_where_it_came_from_is_read_without_the_rest() -> None:
    whole = text(parse(written([pa.record_batch({"x": [1]})], "file"), MOST), PROVENANCE)
    assert whole.isascii()
    assert read_provenance(whole) == PROVENANCE
    assert read_provenance(whole[: whole.index("columns")]) == PROVENANCE


@pytest.mark.parametrize(
    "other", ["", "{}", "[]", '{"scan_bridge":', '{"scan_bridge":[1]}', '{"scan_bridge":{', "null"]
)
def test_what_no_bridge_wrote_says_nothing(other: str) -> None:
    assert read_provenance(other) is None


def test_text_that_is_not_utf_8_is_refused_in_one_line() -> None:
    view = pa.array([b"\xff longer than twelve bytes"], pa.binary_view())
    column = pa.Array.from_buffers(pa.string_view(), 1, view.buffers())
    scan = parse(written([pa.record_batch({"x": column})], "file"), MOST)
    with pytest.raises(InvalidScan, match=r"^cannot be told as JSON: .*utf-?8"):
        text(scan, PROVENANCE)


def test_today_is_today() -> None:
    now = datetime.now(UTC)
    assert column([now], pa.timestamp("us", "UTC")) == [now.isoformat(timespec="microseconds").replace("+00:00", "Z")]


@pytest.mark.parametrize(
    "array",
    [
        pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * 100_000])),
        pa.RunEndEncodedArray.from_arrays(pa.array([10_000], pa.int32()), pa.array(["x" * 100_000])),
        pa.ListViewArray.from_arrays([0] * 10_000, [10_000] * 10_000, pa.array(range(10_000))),
        pa.nulls(10**7),
    ],
    ids=lambda array: str(array.type),
)
def test_a_small_scan_that_would_be_endless_text_is_refused(array: Any) -> None:
    scan = parse(written([pa.record_batch({"x": array})], "stream"), MOST)
    with pytest.raises(InvalidScan, match="more than 1000000 bytes"):
        text(scan, PROVENANCE, 1_000_000)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([[1, 2], None, []], pa.list_view(pa.int8())), [[1, 2], None, []]),
        (pa.array(["a", "b", None, "a"]).dictionary_encode(), ["a", "b", None, "a"]),
        (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["p", None])), ["p", "p", None]),
        (pa.array([1.5, float("nan")], pa.float16()), [1.5, None]),
        (pa.array(["in line", "long enough to lie elsewhere"], pa.string_view()),
         ["in line", "long enough to lie elsewhere"]),
        (pa.array(range(5 * AT_ONCE + 1)), list(range(5 * AT_ONCE + 1))),
        (pa.array([list(range(5 * AT_ONCE)), None, [1]]), [list(range(5 * AT_ONCE)), None, [1]]),
    ],
    ids=lambda item: str(item.type) if isinstance(item, pa.Array) else "",
)  # fmt: skip
def test_what_repeats_or_is_long_comes_back_whole_also_from_an_offset(array: Any, expected: list[Any]) -> None:
    assert as_json(pa.record_batch({"x": array}))["x"] == expected
    assert as_json(pa.record_batch({"x": array.slice(1)}))["x"] == expected[1:]
