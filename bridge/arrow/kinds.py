"""What a file is that is no Arrow IPC, by its first bytes: "cut short" would send the reader of the log astray.

It only names; it must never decide whether a scan is valid.
"""

from __future__ import annotations

import codecs

# From each format's own specification; Arrow's two are told apart elsewhere.
_MAGIC = {
    b"FEA1": "a Feather V1 file; write Feather V2, which is Arrow IPC",
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x93NUMPY": "a NumPy file",
    b"SQLite format 3\0": "an SQLite database",
    b"\x1f\x8b": "compressed by gzip; Arrow compresses inside of its files",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; Arrow compresses inside of its files",
    b"\x04\x22\x4d\x18": "compressed by lz4; Arrow compresses inside of its files",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\0": "compressed by xz",
    b"PK\x03\x04": "a ZIP archive (a NumPy .npz, an Excel workbook)",
}
_ZEROS = bytes(8)
# So many bytes tell text from anything else.
_SAMPLE_BYTES = 1024


def kind_of(content: memoryview) -> str | None:
    """What the content is, in words that go on after "it is"; None if it looks like nothing known."""
    head = bytes(content[:_SAMPLE_BYTES])
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head.startswith(_ZEROS):
        return "zeros at its beginning: space set aside, not written yet"
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str | None:
    try:
        # Not the whole of it: the sample may end amid a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head).lstrip()
    except UnicodeDecodeError:
        return None
    if not text or not all(c.isprintable() or c in "\t\n\r" for c in text):
        return None
    if text[0] in "{[":
        return "text, JSON by its looks"
    first_line = text.splitlines()[0]
    return "text, CSV by its looks" if any(c in first_line for c in ",;\t") else "text"
