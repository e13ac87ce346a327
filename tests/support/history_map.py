"""What the history's map holds, compared with what lies on disk by plain pyarrow: the proof of both."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hazelcast
import pyarrow as pa
from support.bridge_process import decode, eventually


def valid_files(root: Path) -> dict[str, bytes]:
    """Every scan in ROOT that pyarrow can read, by the key that it must have."""
    found = {}
    for path in root.glob("*/*.arrow"):
        content = path.read_bytes()
        try:
            read(content)
        except pa.ArrowInvalid:
            continue
        found[f"{os.stat(path).st_mtime_ns:020d} {path.relative_to(root)}"] = content
    return found


def read(content: bytes) -> pa.Table:
    """A scan in one of the two formats. Raises pa.ArrowInvalid."""
    if content.startswith(b"ARROW1"):
        return pa.ipc.open_file(pa.py_buffer(content)).read_all()
    return pa.ipc.open_stream(pa.py_buffer(content)).read_all()


class HistoryMap:
    """The map, through a plain client."""

    def __init__(self, client: hazelcast.HazelcastClient, name: str) -> None:
        self.name = name
        self.map: Any = client.get_map(name).blocking()

    def all_keys(self) -> list[str]:
        """All keys, in their order."""
        return sorted(self.map.key_set())

    def wait_complete(self, root: Path, deadline_s: float = 60.0) -> None:
        """Wait until it has the keys of all valid files and no others; then each value must be its file."""
        expected = valid_files(root)

        def differs() -> str:
            there = set(self.all_keys())
            return f"missing {sorted(expected.keys() - there)[:5]}, too many {sorted(there - expected.keys())[:5]}"

        eventually(lambda: set(self.all_keys()) == expected.keys(), differs, deadline_s)
        # What was rewritten under its old time has its key before it has its new value.
        eventually(lambda: not self.wrong(expected), lambda: f"not their files: {self.wrong(expected)[:5]}", deadline_s)

    def wrong(self, expected: dict[str, bytes]) -> list[str]:
        """Keys whose value is not the scan in its file."""
        return [key for key, content in expected.items() if not self._is(key, content)]

    def _is(self, key: str, content: bytes) -> bool:
        seen, table = decode(self.map.get(key)), read(content)
        own = {name: text for name, text in seen.metadata.items() if not name.startswith("scan_bridge.")}
        whose = (f"{seen.mtime_ns:020d} {seen.source}", int(seen.metadata["scan_bridge.size"]))
        same = seen.table.replace_schema_metadata(None).equals(table.replace_schema_metadata(None))
        metadata = {name.decode(): text.decode() for name, text in (table.schema.metadata or {}).items()}
        return same and own == metadata and whose == (key, len(content))
