"""Scans as text: every type of Arrow comes out exactly, and nothing in a scan commands a terminal."""

from __future__ import annotations

import csv
import io
import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from bridge.commands import render

NS = 1_774_340_100_000_000_001  # 2026-03-24 08:15:00.000000001 UTC, which a Python datetime cannot hold
STRUCT = pa.struct({"at": pa.timestamp("ns"), "n": pa.int32()})

CASES: dict[str, tuple[pa.Array, Any, str]] = {  # column, in JSON, in CSV
    "integer": (pa.array([2**63 - 1]), 2**63 - 1, str(2**63 - 1)),
    "float": (pa.array([0.1 + 0.2]), 0.1 + 0.2, "0.30000000000000004"),
    "half float": (pa.array([1.5], pa.float16()), 1.5, "1.5"),
    "not a number": (pa.array([math.nan]), "NaN", "nan"),
    "infinity": (pa.array([-math.inf]), "-Infinity", "-inf"),
    "boolean": (pa.array([True]), True, "true"),
    "null": (pa.nulls(1), None, ""),
    "string": (pa.array(['a "quoted", Ωμέγα']), 'a "quoted", Ωμέγα', 'a "quoted", Ωμέγα'),
    "string view": (pa.array(["a"], pa.string_view()), "a", "a"),
    "binary": (pa.array([b"\xff\x00"]), "ff00", "ff00"),
    "binary view": (pa.array([b"\xff"], pa.binary_view()), "ff", "ff"),
    "fixed-size binary": (pa.array([b"ab"], pa.binary(2)), "6162", "6162"),
    "decimal": (pa.array([Decimal("1.50")]), "1.50", "1.50"),
    "timestamp": (pa.array([NS], pa.timestamp("ns", "UTC")), *["2026-03-24 08:15:00.000000001Z"] * 2),
    "time": (pa.array([1], pa.time64("ns")), "00:00:00.000000001", "00:00:00.000000001"),
    "date": (pa.array([86_400_000], pa.date64()), "1970-01-02", "1970-01-02"),
    "duration": (pa.array([5], pa.duration("ns")), 5, "5"),
    "interval": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), [1, 2, 3], "[1, 2, 3]"),
    "dictionary": (pa.array(["EUR"]).dictionary_encode(), "EUR", "EUR"),
    "list": (pa.array([[1.5, None]]), [1.5, None], "[1.5, null]"),
    "large list": (pa.array([[1]], pa.large_list(pa.int8())), [1], "[1]"),
    "fixed-size list": (pa.array([[1, 2]], pa.list_(pa.int8(), 2)), [1, 2], "[1, 2]"),
    "list view": (pa.array([[1]], pa.list_view(pa.int8())), [1], "[1]"),
    "list of timestamps": (
        pa.array([[NS]], pa.list_(pa.timestamp("ns"))),
        ["2026-03-24 08:15:00.000000001"],
        '["2026-03-24 08:15:00.000000001"]',
    ),
    "struct": (
        pa.array([{"at": NS, "n": 1}], STRUCT),
        {"at": "2026-03-24 08:15:00.000000001", "n": 1},
        '{"at": "2026-03-24 08:15:00.000000001", "n": 1}',
    ),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())), [["k", 1]], '[["k", 1]]'),
    "union": (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([7]), pa.array(["a"])]), 7, "7"),
    "run-end encoded": (pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([7])), 7, "7"),
    "extension": (
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))),
        *["00000000-0000-0000-0000-000000000000"] * 2,
    ),
}


def scan(*columns: pa.Array) -> pa.Table:
    return pa.table(list(columns), names=[f"c{i}" for i in range(len(columns))])


@pytest.mark.parametrize("kind", CASES)
def test_each_type_comes_out_exactly(kind: str) -> None:
    column, in_json, in_csv = CASES[kind]

    (line,) = render.json_lines(scan(column))
    assert json.loads(line) == {"c0": in_json}

    rows = list(csv.reader(io.StringIO(render.csv(scan(column)).decode())))
    assert rows[0] == ["c0"]
    assert rows[1:] in ([[in_csv]], [[]])  # csv.reader gives an empty line as no cell
    assert in_csv == "" or rows[1] == [in_csv]

    Console(file=io.StringIO()).print(render.table(scan(column)))


def test_json_is_json_whatever_the_numbers_are() -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    (line,) = render.json_lines(scan(pa.array([math.nan]), pa.array([[math.inf]])))

    assert json.loads(line, parse_constant=refuse) == {"c0": "NaN", "c1": ["Infinity"]}


def test_a_scan_of_many_batches_comes_out_whole() -> None:
    table = pa.concat_tables([scan(pa.array([[i]]), pa.array([i])) for i in range(3)])

    assert [json.loads(line) for line in render.json_lines(table)] == [{"c0": [i], "c1": i} for i in range(3)]
    assert render.csv(table).decode().splitlines()[1:] == ['"[0]",0', '"[1]",1', '"[2]",2']


def test_a_scan_without_rows_has_a_header_only() -> None:
    table = scan(pa.array([], pa.list_(pa.int8()))).slice(0, 0)

    assert list(render.json_lines(table)) == []
    assert render.csv(table) == b'"c0"\n'


def test_the_table_for_people_marks_what_it_cuts() -> None:
    text = drawn(scan(pa.array(["x" * 100])))

    assert "x" * 39 + "…" in text
    assert "x" * 40 not in text


def test_nothing_in_a_scan_commands_the_terminal() -> None:
    table = pa.table({"\x1b[2Jname": ["\x1b]0;title\x07", "[red]markup[/red]"]})

    text = drawn(table)

    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[2Jname" in text
    assert "[red]markup[/red]" in text


def drawn(table: pa.Table) -> str:
    console = Console(width=200, file=io.StringIO(), force_terminal=False)
    with console.capture() as capture:
        console.print(render.table(table))
    return capture.get()
