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
from support.arrow_samples import ARRAYS, LIMIT, PROVENANCE, indices, scan, to_stream, words, written

from bridge.arrow.metadata import InvalidScan, read_metadata

pytestmark = pytest.mark.exhaustive


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


def _small() -> dict[str, bytes]:
    """Scans in which most of the bytes are metadata."""
    old = {"metadata_version": pa.ipc.MetadataVersion.V4}
    one = [pa.record_batch({"x": [1.0, 2.0]})]
    names = [words("a", "b"), words("a", "b").slice(1)]
    nested = [pa.record_batch({"l": pa.array([[{"f": 1}], None, []], pa.list_(pa.struct([("f", pa.int8())])))})]
    wide = [pa.record_batch({name: pa.array([1], pa.int16()) for name in "abc"}, metadata={"k": "v"})]
    big = craft.schema([craft.a_field("x", INT, INT32)], big_endian=True)
    return {
        "one batch": written(one, "file"),
        "no batch": written([], "file", one[0].schema),
        "two batches": written([*one, *one], "file"),
        "a stream": written(one, "stream"),
        "dictionaries": written(names, "file"),
        "a stream with dictionaries": written(names, "stream"),
        "dictionaries that grow": written([words("a"), words("a", "b")], "file", emit_dictionary_deltas=True),
        "nested": written(nested, "file"),
        "several columns": written(wide, "file"),
        "compressed by lz4": written(one, "file", compression="lz4"),
        "compressed by zstd": written(nested, "stream", compression="zstd"),
        "metadata of version 4": written(one, "file", **old),
        "framed as before Arrow 0.15": written(one, "stream", use_legacy_format=True, **old),
        "a file framed as before Arrow 0.15": written(names, "file", use_legacy_format=True, **old),
        "big-endian": craft.file(big, [], [craft.batch(indices(1, 2))]),
    }


SMALL = _small()


def as_arrow_reads(content: bytes | bytearray) -> tuple[pa.Schema, bytes]:
    """The schema, and all batches, written anew: NaNs are then equal, and so is whatever lies under a null."""
    with pa.ipc.open_file(content) if content.startswith(b"ARROW1") else pa.ipc.open_stream(content) as reader:
        schema = reader.schema
        indices = range(reader.num_record_batches) if content.startswith(b"ARROW1") else None
        batches = list(reader) if indices is None else [reader.get_batch(i) for i in indices]
    return schema.remove_metadata(), written(batches, "stream", schema.remove_metadata())


def assert_refused_or_read_alike(content: bytes) -> bool:
    """What is accepted is accepted by Arrow, too, and its value reads as Arrow reads the content; was it?"""
    try:
        value = to_stream(content, PROVENANCE, LIMIT)
    except InvalidScan:
        return False
    schema, batches = as_arrow_reads(content)
    got_schema, got_batches = as_arrow_reads(value.data)
    assert got_schema.equals(schema, check_metadata=True)
    assert got_batches == batches
    assert pa.ipc.open_stream(value.data).read_all().num_rows == value.rows
    assert read_metadata(value.data).items() >= PROVENANCE.items()
    return True


@pytest.mark.parametrize("name", SMALL)
def test_each_single_flipped_bit_is_refused_or_harmless(name: str) -> None:
    sample = SMALL[name]
    assert assert_refused_or_read_alike(sample)
    content = bytearray(sample)
    for bit in range(8 * len(sample)):
        content[bit // 8] ^= 1 << bit % 8
        assert_refused_or_read_alike(bytes(content))
        content[bit // 8] ^= 1 << bit % 8


# Numbers that lengths and offsets might be damaged to.
TELLING = (0, 1, 2, 3, 4, 7, 8, 16, 255, 2**15, 2**16, 2**31 - 1, 2**32 - 1, 2**32 - 4, 2**32 - 8)


def mutated(sample: bytes, chance: random.Random) -> bytes:
    """With one to three numbers, bytes or parts changed, half of the time in the metadata at its ends."""
    content = bytearray(sample)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(content))
        if chance.random() < 0.5:
            at = max(0, len(content) - 1 - chance.randrange(400)) if chance.random() < 0.7 else at % 400
        match chance.randrange(4):
            case 0:
                content[at] = chance.randrange(256)
            case 1:
                at = min(at, len(content) - 4) // 4 * 4
                struct.pack_into("<I", content, at, chance.choice(TELLING))
            case 2:
                at = min(at, len(content) - 4) // 4 * 4
                (number,) = struct.unpack_from("<I", content, at)
                struct.pack_into("<I", content, at, (number + chance.choice((-8, -4, -1, 1, 4, 8))) % 2**32)
            case 3:
                size = chance.choice((1, 4, 8, 16))
                source = chance.randrange(len(content))
                content[at : at + size] = content[source : source + size]
    return bytes(content)


@pytest.mark.parametrize("part", range(8))
def test_twenty_thousand_mutations_are_refused_or_harmless(part: int) -> None:
    chance = random.Random(part)
    samples = [*SMALL.values(), *SAMPLES]
    for _ in range(2500):
        assert_refused_or_read_alike(mutated(chance.choice(samples), chance))


@settings(max_examples=500)
@given(sample=st.sampled_from(SAMPLES), seed=st.integers(0, 2**32), flips=st.integers(1, 8))
def test_flipped_bits_are_refused_or_harmless(sample: bytes, seed: int, flips: int) -> None:
    content, chance = bytearray(sample), random.Random(seed)
    for _ in range(flips):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    assert_refused_or_read_alike(bytes(content))


@settings(max_examples=500)
@given(
    sample=st.sampled_from(SAMPLES),
    at=st.integers(0, 2**32),
    number=st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 1, -1, 8, 2**16, 2**31 - 1, -(2**31)]),
)
def test_numbers_written_over_are_refused_or_harmless(sample: bytes, at: int, number: int) -> None:
    content = bytearray(sample)
    struct.pack_into("<i", content, at % (len(content) // 4) * 4, number)
    assert_refused_or_read_alike(bytes(content))


@settings(max_examples=500)
@given(sample=st.sampled_from(SAMPLES), other=st.sampled_from(SAMPLES), cuts=st.tuples(*[st.integers(0, 2**32)] * 3))
def test_parts_cut_out_moved_or_mixed_are_refused_or_harmless(
    sample: bytes, other: bytes, cuts: tuple[int, ...]
) -> None:
    a, b, c = (cut % (len(sample) + 1) // 8 * 8 for cut in cuts)
    assert_refused_or_read_alike(sample[:a] + other[min(b, c) : max(b, c)] + sample[a:])
    assert_refused_or_read_alike(sample[:a] + sample[b:])


@given(st.binary(max_size=200), st.sampled_from([b"", b"ARROW1\0\0", craft.CONTINUATION + b"\x40\0\0\0"]))
def test_random_bytes_are_refused(garbage: bytes, start: bytes) -> None:
    with pytest.raises(InvalidScan):
        to_stream(start + garbage + b"ARROW1" * bool(start), PROVENANCE, LIMIT)
