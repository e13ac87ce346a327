"""Damage, of whatever kind and wherever, is refused or does no harm: no crash, no other exception."""

from __future__ import annotations

import random
import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import arrow_craft as craft
from support.arrow_craft import INT, INT32, UTF8, Batch
from support.arrow_samples import ARRAYS, LIMIT, PROVENANCE, scan, words, written

from bridge.arrow import stream


def _samples() -> list[bytes]:
    every = pa.record_batch({name: make().slice(0, 1) for name, make in ARRAYS.items()})
    samples = [
        written([scan(), scan().slice(3)], format_, compression=compression)
        for format_ in ("file", "stream")
        for compression in (None, "lz4", "zstd")
    ]
    samples += [written([every], format_) for format_ in ("file", "stream")]
    growing = [words("a", "b"), words("a", "b", "c")]
    samples += [written(growing, format_, emit_dictionary_deltas=True) for format_ in ("file", "stream")]
    samples.append(written(growing, "stream", use_legacy_format=True, metadata_version=pa.ipc.MetadataVersion.V4))
    big = craft.schema([craft.a_field("x", INT, INT32), craft.a_field("s", UTF8)], big_endian=True)
    text = [b"", struct.pack(">3i", 0, 1, 2), b"xy"]
    samples.append(craft.stream(big, craft.batch(Batch(2, [(2, 0)] * 2, [b"", struct.pack(">2i", 1, 2), *text]))))
    return samples


SAMPLES = _samples()


def assert_refused_or_valid(content: bytes) -> None:
    try:
        value = stream.to_stream(content, PROVENANCE, LIMIT)
    except stream.InvalidScan:
        return
    table = pa.ipc.open_stream(pa.py_buffer(value.data)).read_all()
    table.validate()
    assert table.num_rows == value.rows
    assert stream.stream_metadata(value.data).items() >= PROVENANCE.items()


@settings(max_examples=500)
@given(sample=st.sampled_from(SAMPLES), seed=st.integers(0, 2**32), flips=st.integers(1, 8))
def test_flipped_bits_are_refused_or_harmless(sample: bytes, seed: int, flips: int) -> None:
    content, chance = bytearray(sample), random.Random(seed)
    for _ in range(flips):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    assert_refused_or_valid(bytes(content))


@settings(max_examples=500)
@given(
    sample=st.sampled_from(SAMPLES),
    at=st.integers(0, 2**32),
    number=st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 1, -1, 8, 2**16, 2**31 - 1, -(2**31)]),
)
def test_numbers_written_over_are_refused_or_harmless(sample: bytes, at: int, number: int) -> None:
    content = bytearray(sample)
    struct.pack_into("<i", content, at % (len(content) // 4) * 4, number)
    assert_refused_or_valid(bytes(content))


@settings(max_examples=500)
@given(sample=st.sampled_from(SAMPLES), other=st.sampled_from(SAMPLES), cuts=st.tuples(*[st.integers(0, 2**32)] * 3))
def test_parts_cut_out_moved_or_mixed_are_refused_or_harmless(
    sample: bytes, other: bytes, cuts: tuple[int, ...]
) -> None:
    a, b, c = (cut % (len(sample) + 1) // 8 * 8 for cut in cuts)
    assert_refused_or_valid(sample[:a] + other[min(b, c) : max(b, c)] + sample[a:])
    assert_refused_or_valid(sample[:a] + sample[b:])


@given(st.binary(max_size=200), st.sampled_from([b"", b"ARROW1\0\0", craft.CONTINUATION + b"\x40\0\0\0"]))
def test_random_bytes_are_refused(garbage: bytes, start: bytes) -> None:
    with pytest.raises(stream.InvalidScan):
        stream.to_stream(start + garbage + b"ARROW1" * bool(start), PROVENANCE, LIMIT)
