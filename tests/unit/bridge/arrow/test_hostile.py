"""Content that lies about itself costs one refusal: no crash, no other exception, no memory, no endless loop."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from support import arrow_craft as craft
from support import process
from support.arrow_craft import (
    DECIMAL,
    FLOAT,
    INT,
    INT32,
    LIST,
    NULL,
    STRUCT,
    TIMESTAMP,
    UTF8,
    Batch,
    Raw,
    Table,
    Vector,
    a_field,
)
from support.arrow_samples import PROVENANCE, indices, scan, texts, to_stream, written

from bridge.arrow.metadata import InvalidScan

LIMIT = 2**22
MEGABYTE = bytes(2**20)
UNION, UTF8_VIEW, BINARY_VIEW = 14, 24, 23

# RecordBatch's slot 3: BodyCompression with codec LZ4_FRAME (0) or ZSTD (1).
ZSTD = {3: Table({0: ("b", 1)})}
LZ4 = {3: Table({0: ("b", 0)})}
ONE_INT = craft.schema([a_field("x", INT, INT32)])
ONE_TEXT = craft.schema([a_field("w", UTF8, dictionary=craft.encoding(0))])


def compressed(claim: int, codec: str = "zstd", megabytes: int = 1) -> bytes:
    """A buffer of so many zeros that says it expands to `claim` bytes."""
    if codec == "zstd":  # frames may follow one another
        return struct.pack("<q", claim) + pa.compress(MEGABYTE, codec, asbytes=True) * megabytes
    return struct.pack("<q", claim) + pa.compress(MEGABYTE * megabytes, codec, asbytes=True)


def ints(buffer: bytes, rows: int, slots: dict[int, object]) -> Batch:
    return Batch(rows, [(rows, 0)], [b"", buffer], slots=slots)


def bomb(megabytes: int, codec: str = "zstd", **options: object) -> bytes:
    """A batch of one row whose buffer really expands to so much."""
    slots = {} if "metadata" in options else {"zstd": ZSTD, "lz4": LZ4}[codec]
    return craft.batch(ints(compressed(megabytes * 2**20, codec, megabytes), 1, slots), **options)


def twins(levels: int) -> Table:
    """A field of two equal children, of two equal children …: one table a level, 2^levels leaves."""
    node = a_field("", INT, INT32)
    for _ in range(levels):
        node = a_field("", STRUCT, children=Vector([node, node]))
    return node


def nested(levels: int) -> Table:
    node = a_field("leaf", DECIMAL, Table({0: ("i", 5), 1: ("i", 1), 2: ("i", 128)}))
    for _ in range(levels):
        node = a_field("l", LIST, children=Vector([node]))
    return node


def many(node: Table, count: int = 100) -> bytes:
    return craft.stream(craft.schema([node] * count))


def long_metadata(count: int = 100) -> Vector:
    return Vector([Table({0: craft.Text(b"k" * 2**18), 1: craft.Text(b"v" * 2**18)})] * count)


def wide(columns: int, buffer: bytes, rows: int, **options: bool) -> bytes:
    """Many columns of doubles that all lie in one buffer."""
    double = Table({0: ("h", 2)})
    schema = craft.schema(
        [a_field(str(i), FLOAT, double) for i in range(columns)], big_endian=options.get("big_endian", False)
    )
    batch = Batch(rows, [(rows, 0)] * columns, [b"", buffer] * columns, overlap=True)
    return craft.stream(schema, craft.batch(batch))


def cancelling() -> bytes:
    """One buffer used 2^10 times, and as many of negative length where no reader looks."""
    columns, double = 2**10, Table({0: ("h", 2)})
    schema = craft.schema([a_field(str(i), FLOAT, double) for i in range(columns)])
    places = [(0, -(2**20)), (0, 2**20)] * columns
    return craft.stream(schema, craft.batch(Batch(2**17, [(2**17, 0)] * columns, [MEGABYTE], places=places)))


def grown(batches: int, delta: bool) -> bytes:
    """A large dictionary that every batch uses, and, with `delta`, that grows by one word before each."""
    messages = [craft.dictionary(0, texts("a" * 2**20))]
    for _ in range(batches):
        messages += [craft.dictionary(0, texts("b"), delta=True)] * delta + [craft.batch(indices(0))]
    return craft.stream(ONE_TEXT, *messages)


def empty_structs(rows: int) -> bytes:
    """A dictionary of values that take no memory; a delta with one null would give it a validity bitmap."""
    schema = craft.schema([a_field("s", STRUCT, dictionary=craft.encoding(0))])
    return craft.stream(
        schema,
        craft.dictionary(0, Batch(1, [(rows, 0)], [b""])),
        craft.dictionary(0, Batch(1, [(1, 1)], [b"\0"]), delta=True),
        craft.batch(indices(0)),
    )


def views(count: int) -> bytes:
    """One view that says it has so many data buffers."""
    batch = Batch(1, [(1, 0)], [b"", bytes(16)], slots={4: Raw(1, struct.pack("<q", count))})
    return craft.stream(craft.schema([a_field("v", BINARY_VIEW)]), craft.batch(batch))


def union(node: Raw) -> Table:
    return a_field("u", UNION, Table({0: ("h", 1), 1: node}), children=Vector([a_field("c", INT, INT32)]))


SAME_BATCH = craft.batch(ints(MEGABYTE, 2**18, {}))
EXPERIMENTAL = craft.pairs({"ARROW:experimental_compression": "ZSTD"})

EXPANDS = "expand to more than max_decoded_bytes"
UNFOLDS = "unfolds to far more than its size"
# What it is: why it is refused, and its content.
TRAPS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "zstd of 4 GiB of zeros": (EXPANDS, lambda: craft.stream(ONE_INT, bomb(4096))),
    "lz4 of 64 MiB of zeros": (EXPANDS, lambda: craft.stream(ONE_INT, bomb(64, "lz4"))),
    "the same in a file": (EXPANDS, lambda: craft.file(ONE_INT, [], [bomb(4096)])),
    "compressed as Arrow 0.17 marked it": (
        EXPANDS,
        lambda: craft.stream(ONE_INT, bomb(4096, version=craft.V4, metadata=EXPERIMENTAL), version=craft.V4),
    ),
    "a thousand batches that expand to 1 MiB each": (EXPANDS, lambda: craft.stream(ONE_INT, *[bomb(1)] * 1000)),
    "a dictionary that expands": (
        EXPANDS,
        lambda: craft.stream(
            ONE_TEXT,
            craft.dictionary(0, Batch(1, [(1, 0)], [b"", compressed(8), compressed(2**32, "zstd", 4096)], slots=ZSTD)),
            craft.batch(indices(0)),
        ),
    ),
    "a claim of 4 EiB": (EXPANDS, lambda: craft.stream(ONE_INT, craft.batch(ints(compressed(2**62), 1, ZSTD)))),
    "a claim of negative length": (
        "negative length",
        lambda: craft.stream(ONE_INT, craft.batch(ints(compressed(-2), 1, ZSTD))),
    ),
    "claims that cancel out": (
        "negative length",
        lambda: craft.stream(
            ONE_INT, craft.batch(Batch(1, [(1, 1)], [compressed(2**40), compressed(-(2**40))], slots=ZSTD))
        ),
    ),
    "a compressed buffer of 3 bytes": ("too short", lambda: craft.stream(ONE_INT, craft.batch(ints(b"abc", 1, ZSTD)))),
    "a schema of 2^60 fields": ("more than 100000 fields", lambda: craft.stream(craft.schema([twins(60)]))),
    "a schema of 2^60 fields in a file": (
        "more than 100000 fields",
        lambda: craft.file(craft.schema([twins(60)]), [], []),
    ),
    "a schema 10,000 levels deep": ("not valid Arrow", lambda: craft.stream(craft.schema([nested(10_000)]))),
    "a schema deeper than pyarrow reads": ("not valid Arrow", lambda: craft.stream(craft.schema([nested(200)]))),
    "a schema of 2^60 fields at the head of a file": (
        "more than 100000 fields",
        lambda: craft.file(craft.schema([twins(60)]), [], [], footer_schema=ONE_INT),
    ),
    "100 fields that share a long name": (UNFOLDS, lambda: many(a_field("n" * 2**19, INT, INT32))),
    "100 fields that share metadata": (UNFOLDS, lambda: many(a_field("x", INT, INT32, metadata=long_metadata(1)))),
    "100 fields that share a long time zone": (
        UNFOLDS,
        lambda: many(a_field("x", TIMESTAMP, Table({0: ("h", 1), 1: craft.Text(b"Z" * 2**19)}))),
    ),
    "100 fields that share a list of union types": (UNFOLDS, lambda: many(union(Raw(2**17, bytes(2**19))))),
    "the same metadata 100 times, of the schema": (
        UNFOLDS,
        lambda: craft.stream(craft.schema([], long_metadata())),
    ),
    "the same metadata 100 times, of the schema message": (
        UNFOLDS,
        lambda: craft.stream(craft.schema([]), metadata=long_metadata()),
    ),
    "the same metadata 100 times, of a batch": (
        UNFOLDS,
        lambda: craft.stream(ONE_INT, craft.batch(indices(1), metadata=long_metadata())),
    ),
    "the same metadata 100 times, of a footer": (
        UNFOLDS,
        lambda: craft.file(ONE_INT, [], [], metadata=long_metadata()),
    ),
    "buffers that overlap": (EXPANDS, lambda: wide(10_000, MEGABYTE, 2**17)),
    "big-endian buffers that overlap": (EXPANDS, lambda: wide(10_000, MEGABYTE, 2**17, big_endian=True)),
    "buffers of negative length that make up for such": ("negative offset or length", cancelling),
    "150,000 batches of a row each": (
        "more than 10000",
        lambda: craft.stream(ONE_INT, *[craft.batch(indices(1))] * 150_000),
    ),
    "so many in a file": (
        "more than 10000",
        lambda: craft.file(ONE_INT, [], [craft.batch(indices(1)) for _ in range(15_000)]),
    ),
    "a file that lists one batch 10,000 times": ("overlap", lambda: craft.file(ONE_INT, [], [SAME_BATCH] * 10_000)),
    "nulls, 2^62 of them": (
        "a batch of",
        lambda: craft.stream(craft.schema([a_field("n", NULL)]), craft.batch(Batch(2**62, [(2**62, 2**62)], []))),
    ),
    "no column, and a negative number of rows": (
        "a batch of",
        lambda: craft.stream(craft.schema([]), craft.batch(Batch(-1, [], []))),
    ),
    "2^40 dictionary values that take no memory": ("a batch of", lambda: empty_structs(2**40)),
    "a dictionary read a thousand times": ("dictionaries in each batch", lambda: grown(1000, delta=False)),
    "a dictionary that grows a thousand times": ("dictionaries in each batch", lambda: grown(1000, delta=True)),
    "2^31 - 1 view buffers": ("not valid Arrow", lambda: views(2**31 - 1)),
    "a message of no known kind": ("kind 4", lambda: craft.stream(ONE_INT, craft.message(4, Table({})))),
    "a second schema": (
        "kind 1",
        lambda: craft.stream(ONE_INT, craft.message(craft.SCHEMA, ONE_INT), craft.batch(indices(1))),
    ),
    "a batch before the schema": ("begin with a schema", lambda: craft.batch(indices(1)) + craft.stream(ONE_INT)),
    "a schema with a body": ("begin with a schema", lambda: craft.message(craft.SCHEMA, ONE_INT, bytes(8)) + craft.END),
}

# Runs in a process of its own, where the highest memory use is that of the content in hand.
CHILD = """
import json, resource, sys
from pathlib import Path
from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import parse

def refusal(content):
    try:
        scan = parse(content, int(sys.argv[2]))
        assert scan.with_metadata({"scan_bridge.x": "y"})
        return f"accepted: {scan.rows} rows"
    except InvalidScan as error:
        return str(error)

resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))  # should a trap work, it must not take the machine down
folder = Path(sys.argv[1])
refusal((folder / "harmless").read_bytes())
for path in sorted(folder.iterdir()):
    content = path.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reason = refusal(content)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([path.name, len(content), reason, (after - before) * 1024]), flush=True)
"""


@pytest.mark.exhaustive
def test_no_trap_is_accepted_or_takes_memory(tmp_path: Path) -> None:
    (tmp_path / "harmless").write_bytes(written([scan()], "file", compression="zstd"))
    for name, (_, make) in TRAPS.items():
        (tmp_path / name).write_bytes(make())
    run = process.run([sys.executable, "-c", CHILD, tmp_path, str(LIMIT)], timeout_s=120)
    results = {name: rest for name, *rest in map(json.loads, run.stdout.splitlines())}
    assert run.returncode == 0, f"died after {list(results)[-1:]}: {run.stderr}"
    assert results.pop("harmless")[1] == "accepted: 12 rows"
    assert len(results) == len(TRAPS)
    for name, (size, reason, growth) in results.items():
        assert TRAPS[name][0] in reason, name
        assert growth < 3 * size + 2 * LIMIT + 8 * 2**20, f"{name}: {growth} bytes more for {size} ({reason})"


def test_what_just_fits_the_limit_is_accepted() -> None:
    content = craft.stream(ONE_INT, bomb(2), bomb(2, "lz4"))
    assert to_stream(content, PROVENANCE, 4 * 2**20).rows == 2
    with pytest.raises(InvalidScan, match="max_decoded_bytes"):
        to_stream(content, PROVENANCE, 4 * 2**20 - 1)
    stored = craft.stream(ONE_INT, craft.batch(ints(struct.pack("<q", -1) + MEGABYTE, 1, ZSTD)))
    assert to_stream(stored, PROVENANCE, 2**20).rows == 1
    with pytest.raises(InvalidScan, match="max_decoded_bytes"):
        to_stream(stored, PROVENANCE, 2**20 - 1)


def test_an_uncompressed_scan_may_be_larger_than_the_limit_of_what_compressed_ones_expand_to() -> None:
    assert to_stream(craft.stream(ONE_INT, SAME_BATCH, SAME_BATCH), PROVENANCE, 1).rows == 2**19


def test_nesting_as_deep_as_pyarrow_reads_is_accepted() -> None:
    batch = craft.batch(Batch(0, [(0, 0)] * 41, [b""] * 82))
    assert to_stream(craft.stream(craft.schema([nested(40)]), batch), PROVENANCE, LIMIT).rows == 0


def test_string_views_are_not_checked_for_utf8_because_they_may_overlap_without_bound() -> None:
    """Here they add up to 64 GiB."""
    view = struct.pack("<i4sii", 2**20, b"\xff" * 4, 0, 0)
    rows = 2**16
    batch = Batch(rows, [(rows, 0)], [b"", view * rows, b"\xff" * 2**20], slots={4: Raw(1, struct.pack("<q", 1))})
    content = craft.stream(craft.schema([a_field("v", UTF8_VIEW)]), craft.batch(batch))
    assert to_stream(content, PROVENANCE, LIMIT).rows == rows
    with pytest.raises(InvalidScan):
        to_stream(content.replace(view, struct.pack("<i4sii", 2**20, b"\xff" * 4, 0, 1), 1), PROVENANCE, LIMIT)
