"""What a scan costs to decode, found before anything is decoded: a small file must not become a large problem.

It must never allocate by a number that the scan names.

Formats: https://github.com/apache/arrow/tree/main/format (Message.fbs); slots are numbered as there.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.arrow.flatbuffer import Malformed, Table, unpack
from bridge.arrow.format import MetadataVersion
from bridge.arrow.schema import Allowance, Survey

_VERSION, _, _HEADER, _, _METADATA = range(5)  # of Message
_LENGTH, _NODES, _BUFFERS, _COMPRESSION = range(4)  # of RecordBatch
_ID, _DATA, _IS_DELTA = range(3)  # of DictionaryBatch
# How Arrow 0.17 marked compressed buffers; pyarrow still honours it.
_COMPRESSION_OF_0_17 = b"ARROW:experimental_compression"

# Each costs near 0.1 ms, however small it is, and some of the process's memory.
MOST_MESSAGES = 10_000
# A dictionary is checked again with each batch that may use it. All this reading may come to so many times
# max_decoded_bytes: 4 GiB by default, a few seconds.
_DICTIONARY_READS = 16


class Limits:
    """Adds up the cost of the messages of one scan."""

    def __init__(self, content_bytes: int, max_decoded_bytes: int, survey: Survey) -> None:
        """`survey`: of the scan's schema."""
        self._max_decoded = max_decoded_bytes
        self._decoded = 0
        # A value takes a bit or more, unless its type needs no memory at all (null, an empty struct).
        self._max_rows = 8 * max(content_bytes, max_decoded_bytes)
        self._max_reads = _DICTIONARY_READS * max(content_bytes, max_decoded_bytes)
        self._reads = 0
        self._reads_per_batch = 0
        self._nodes = survey.nodes
        self._uses = survey.dictionary_uses
        self._dictionaries: dict[int, int] = {}  # decoded bytes by id
        self._messages = 0

    def admit_record_batch(self, message: Table, body: memoryview) -> None:
        """Count a record batch.

        Raises:
            Malformed: the scan costs more than it may, an offset is out of bounds, or the batch has not as many columns
                as the schema: readers would leave out the last, and damage to the schema would go unnoticed.
        """
        header = _require(message.table(_HEADER))
        if (nodes := header.vector(_NODES, 16)[1]) != self._nodes:
            raise Malformed(
                f"a record batch of {nodes} columns, nested ones counted, where the schema has {self._nodes}"
            )
        self._cost(message, header, body)
        self._reads += self._reads_per_batch
        if self._reads > self._max_reads:
            raise Malformed(f"checking its dictionaries in each batch would read over {self._max_reads} bytes")

    def admit_dictionary(self, message: Table, body: memoryview) -> None:
        """Count a dictionary batch. Raises `Malformed` as above."""
        header = _require(message.table(_HEADER))
        cost = self._cost(message, _require(header.table(_DATA)), body)
        identity = header.scalar(_ID, "<q")
        before = self._dictionaries.get(identity, 0)
        after = before + cost if header.byte(_IS_DELTA) else cost
        self._dictionaries[identity] = after
        self._reads_per_batch += (after - before) * self._uses.get(identity, 0)

    def _cost(self, message: Table, batch: Table, body: memoryview) -> int:
        """Count the decoded bytes of a batch, and return them."""
        self._messages += 1
        if self._messages > MOST_MESSAGES:
            raise Malformed(f"more than {MOST_MESSAGES} dictionaries and record batches; write larger batches")
        if message.position(_METADATA):
            Allowance(message.data).spend_metadata(message, _METADATA)
        start, count = batch.vector(_NODES, 16)
        lengths = unpack(f"<{2 * count}q", batch.data, start)[::2]
        length = batch.scalar(_LENGTH, "<q")
        if not 0 <= length <= (most := max((length, *lengths))) <= self._max_rows:
            raise Malformed(f"a batch of {min(length, 0) or most} rows; at most {self._max_rows} can be")
        start, count = batch.vector(_BUFFERS, 16)
        buffers = unpack(f"<{2 * count}q", batch.data, start)  # offset, length, offset, length, …
        if count and min(buffers) < 0:
            raise Malformed("a buffer has a negative offset or length")
        cost: int = sum(buffers[1::2])
        is_v4 = message.scalar(_VERSION, "<h") == MetadataVersion.V4
        if is_v4 and batch.position(_COMPRESSION):
            raise Malformed("compressed buffers with metadata version 4, which pyarrow misreads; write version 5")
        if batch.position(_COMPRESSION) or (is_v4 and _is_compressed_as_in_0_17(message)):
            cost = _decompressed(buffers, body)
            self._decoded += cost
        elif cost > len(body):  # buffers that overlap come to more than the body that they lie in
            self._decoded += cost - len(body)
        if self._decoded > self._max_decoded:
            raise Malformed(f"its buffers expand to more than max_decoded_bytes = {self._max_decoded}")
        return cost


def _require(table: Table | None) -> Table:
    if table is None:
        raise Malformed("a message has no content")
    return table


def _decompressed(buffers: Sequence[int], body: memoryview) -> int:
    """The bytes that compressed buffers say they expand to."""
    total = 0
    for offset, length in zip(buffers[::2], buffers[1::2], strict=True):
        if not length:
            continue
        if length < 8 or offset + length > len(body):
            raise Malformed("a compressed buffer is too short, or reaches past its body")
        # Each begins with its length when expanded; -1: it is stored as it is.
        (expanded,) = unpack("<q", body, offset)
        if expanded < -1:
            raise Malformed("a compressed buffer expands to a negative length")
        total += length - 8 if expanded == -1 else expanded
    return total


def _is_compressed_as_in_0_17(message: Table) -> bool:
    pairs = Allowance(message.data).key_values(message, _METADATA)
    return any(key == _COMPRESSION_OF_0_17 for _, key, _ in pairs)
