"""What is no Arrow IPC is called by its name."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyarrow import csv, feather, orc, parquet
from support.arrow_samples import LIMIT, scan, written

from bridge.arrow.metadata import InvalidScan
from bridge.arrow.scan import parse

TABLE = pa.table({"time": [1, 2], "value": [0.5, 1.5]})


def by(write: Callable[[io.BytesIO], object]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def a_zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("scan.arrow", written([scan()], "file"))
    return sink.getvalue()


SCAN = written([scan()], "file")
KINDS = {
    "a Feather V1 file": b"FEA1" + bytes(500) + b"FEA1",
    "a Parquet file": by(lambda sink: parquet.write_table(TABLE, sink)),
    "an ORC file": by(lambda sink: orc.write_table(TABLE, sink)),
    "compressed by gzip": gzip.compress(SCAN),
    "compressed by zstd": pa.compress(SCAN, "zstd", asbytes=True),
    "compressed by lz4": pa.compress(SCAN, "lz4", asbytes=True),
    "compressed by bzip2": bz2.compress(SCAN),
    "compressed by xz": lzma.compress(SCAN),
    "a ZIP archive": a_zip(),
    "text, CSV by its looks": by(lambda sink: csv.write_csv(TABLE, sink)),
    "text, JSON by its looks": json.dumps(TABLE.to_pylist()).encode(),
    "text": ("\ufeff" + "Grüße " * 300).encode(),
    "zeros at its beginning": bytes(len(SCAN)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_said_what_a_file_is(kind: str) -> None:
    with pytest.raises(InvalidScan, match=f"not Arrow IPC: it is {kind}"):
        parse(KINDS[kind], LIMIT)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_said_of_the_beginning_of_one_too(kind: str) -> None:
    with pytest.raises(InvalidScan, match=f"not Arrow IPC: it is {kind}"):
        parse(KINDS[kind][: len(KINDS[kind]) * 2 // 3], LIMIT)


def test_feather_v2_is_arrow_ipc() -> None:
    for compression in ("uncompressed", "lz4", "zstd"):
        content = by(lambda sink, codec=compression: feather.write_feather(TABLE, sink, compression=codec))  # type: ignore[misc]
        assert parse(content, LIMIT).rows == 2


@pytest.mark.parametrize("format_", ["file", "stream"])
def test_a_scan_cut_short_is_not_taken_for_something_else(format_: str) -> None:
    for cut in (1, 8, 100):
        with pytest.raises(InvalidScan, match="incomplete"):
            parse(written([scan()], format_)[:-cut], LIMIT)


def test_bytes_of_no_known_kind_are_not_given_a_name() -> None:
    for content in (b"\1\2\3" * 99, b"\xff" * 99, b"text\0text" * 9, "Grüße".encode("latin-1") * 9):
        with pytest.raises(InvalidScan, match="neither a whole Arrow IPC file nor a whole stream"):
            parse(content, LIMIT)
