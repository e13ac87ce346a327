"""Arrow IPC bytes made by hand: what pyarrow does not write (big-endian), and what no writer would (traps).

Flatbuffers are described by nodes. A node may be referred to more than once: it is then stored once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

SCHEMA, DICTIONARY, BATCH = 1, 2, 3  # MessageHeader
INT, FLOAT, UTF8, DECIMAL, STRUCT, TIMESTAMP, LIST, NULL = 2, 3, 5, 7, 13, 10, 12, 1  # Type
V4, V5 = 3, 4
CONTINUATION = b"\xff\xff\xff\xff"
END = CONTINUATION + bytes(4)


@dataclass(eq=False)
class Table:
    """slot -> node, or (struct format, number)."""

    slots: Mapping[int, object]


@dataclass(eq=False)
class Text:
    text: bytes


@dataclass(eq=False)
class Vector:
    """Of nodes."""

    nodes: Sequence[object]


@dataclass(eq=False)
class Raw:
    """A vector of numbers or structs of 8 bytes alignment."""

    count: int
    data: bytes


def flatbuffer(root: object) -> bytes:
    """Encode the nodes, each after all that refer to it, for offsets only point forward."""
    out = bytearray(8)
    places: dict[int, int] = {}
    references = [(0, root)]
    for node in _parents_first(root):
        out += bytes(-len(out) % 8)
        if isinstance(node, Table):
            slots = range(max(node.slots, default=-1) + 1)
            present = [slot for slot in slots if slot in node.slots]
            vtable = [8 + 8 * present.index(slot) if slot in node.slots else 0 for slot in slots]
            start = len(out)
            out += struct.pack(f"<{2 + len(vtable)}H", 4 + 2 * len(vtable), 8 + 8 * len(present), *vtable)
            out += bytes(-len(out) % 8)
            places[id(node)] = at = len(out)
            out += struct.pack("<i4x", at - start) + bytes(8 * len(present))
            for i, slot in enumerate(present):
                value = node.slots[slot]
                if isinstance(value, tuple):
                    struct.pack_into("<" + value[0], out, at + 8 + 8 * i, value[1])
                else:
                    references.append((at + 8 + 8 * i, value))
        elif isinstance(node, Vector):
            places[id(node)] = at = len(out)
            out += struct.pack("<I", len(node.nodes)) + bytes(4 * len(node.nodes))
            references += [(at + 4 + 4 * i, item) for i, item in enumerate(node.nodes)]
        elif isinstance(node, Raw):
            places[id(node)] = len(out) + 4
            out += struct.pack("<4xI", node.count) + node.data
        else:
            places[id(node)] = len(out)
            out += struct.pack("<I", len(node.text)) + node.text + b"\0"
    for at, node in references:
        struct.pack_into("<I", out, at, places[id(node)] - at)
    return bytes(out + bytes(-len(out) % 8))


def _parents_first(root: object) -> list[object]:
    done: dict[int, object] = {}
    stack = [(root, iter(_references(root)))]
    entered = {id(root)}
    while stack:
        node, rest = stack[-1]
        child = next(rest, None)
        if child is None:
            done[id(node)] = node
            stack.pop()
        elif id(child) not in entered:
            entered.add(id(child))
            stack.append((child, iter(_references(child))))
    return list(done.values())[::-1]


def _references(node: object) -> Iterator[object]:
    if isinstance(node, Table):
        yield from (value for value in node.slots.values() if not isinstance(value, tuple))
    elif isinstance(node, Vector):
        yield from node.nodes


def pairs(metadata: Mapping[str, str]) -> Vector:
    return Vector([Table({0: Text(key.encode()), 1: Text(value.encode())}) for key, value in metadata.items()])


INT32 = Table({0: ("i", 32), 1: ("B", 1)})


def a_field(name: str, type_: int, parameters: Table | None = None, **slots: object) -> Table:
    """Field; `children`, `dictionary`, `metadata` as nodes."""
    named = {"dictionary": 4, "children": 5, "metadata": 6}
    extra = {named[key]: node for key, node in slots.items()}
    children = {} if "children" in slots else {5: Vector([])}
    return Table(
        {0: Text(name.encode()), 1: ("B", 1), 2: ("B", type_), 3: parameters or Table({}), **children, **extra}
    )


def encoding(identity: int) -> Table:
    """DictionaryEncoding with 32-bit indices."""
    return Table({0: ("q", identity), 1: INT32})


def schema(fields: Sequence[Table], metadata: Vector | None = None, *, big_endian: bool = False) -> Table:
    extra = {2: metadata} if metadata else {}
    return Table({0: ("h", int(big_endian)), 1: Vector(fields), **extra})


@dataclass
class Batch:
    """A record batch: nodes are (length, null count), buffers the body's parts."""

    length: int
    nodes: Sequence[tuple[int, int]]
    buffers: Sequence[bytes]
    overlap: bool = False
    places: Sequence[tuple[int, int]] = ()  # offset and length of each buffer, if not where they are
    slots: Mapping[int, object] = field(default_factory=dict)

    def encode(self) -> tuple[Table, bytes]:
        body, places = bytearray(), []
        for buffer in self.buffers:
            places.append((0 if self.overlap else len(body), len(buffer)))
            if not (self.overlap and body):
                body += buffer + bytes(-len(buffer) % 8)
        places = list(self.places) or places
        header = {
            0: ("q", self.length),
            1: Raw(len(self.nodes), b"".join(struct.pack("<qq", *node) for node in self.nodes)),
            2: Raw(len(places), b"".join(struct.pack("<qq", *place) for place in places)),
        }
        return Table({**header, **self.slots}), bytes(body)


def message(
    kind: int,
    header: Table,
    body: bytes = b"",
    version: int = V5,
    metadata: Vector | None = None,
    *,
    legacy: bool = False,
) -> bytes:
    """An encapsulated message."""
    slots = {0: ("h", version), 1: ("B", kind), 2: header, 3: ("q", len(body))}
    encoded = flatbuffer(Table({**slots, **({4: metadata} if metadata else {})}))
    if legacy:
        encoded += bytes(4)  # prefix and metadata together are a multiple of 8
    return (b"" if legacy else CONTINUATION) + struct.pack("<i", len(encoded)) + encoded + body


def batch(content: Batch, **options: object) -> bytes:
    header, body = content.encode()
    return message(BATCH, header, body, **options)  # type: ignore[arg-type]


def dictionary(identity: int, content: Batch, *, delta: bool = False, **options: object) -> bytes:
    header, body = content.encode()
    return message(DICTIONARY, Table({0: ("q", identity), 1: header, 2: ("B", delta)}), body, **options)  # type: ignore[arg-type]


def stream(schema_: Table, *messages: bytes, end: bytes = END, **options: object) -> bytes:
    return b"".join((message(SCHEMA, schema_, **options), *messages, end))  # type: ignore[arg-type]


def file(
    schema_: Table,
    dictionaries: Sequence[bytes],
    batches: Sequence[bytes],
    metadata: Vector | None = None,
    *,
    schema_first: bool = True,
    version: int | None = V5,
    padding: bytes = b"",
    footer_schema: Table | None = None,
) -> bytes:
    """Each message in `batches` may be the same object twice: it is then listed twice, stored once.

    `version`: in the footer, if at all; `padding`: after each message.
    """
    out = bytearray(b"ARROW1\0\0" + (message(SCHEMA, schema_) if schema_first else b""))
    places: dict[int, bytes] = {}
    lists = []
    for messages in (dictionaries, batches):
        for encoded in messages:
            if id(encoded) not in places:
                (length,) = struct.unpack_from("<i", encoded, 4)
                places[id(encoded)] = struct.pack("<qi4xq", len(out), 8 + length, len(encoded) - 8 - length)
                out += encoded + padding
        lists.append(Raw(len(messages), b"".join(places[id(encoded)] for encoded in messages)))
    version_slot = {} if version is None else {0: ("h", version)}
    slots = {
        **version_slot,
        1: footer_schema or schema_,
        2: lists[0],
        3: lists[1],
        **({4: metadata} if metadata else {}),
    }
    footer = flatbuffer(Table(slots))
    return bytes(out + END + footer + struct.pack("<i", len(footer)) + b"ARROW1")
