"""Every scan that the map was given, in order, as a consumer that listens sees them."""

from __future__ import annotations

from hazelcast import HazelcastClient


class Recorder:
    """Listens from when it is made, until the client ends."""

    def __init__(self, client: HazelcastClient, map_name: str) -> None:
        self.seen: list[tuple[int, str]] = []  # by (mtime, path), as the order has it
        client.get_map(map_name).blocking().add_entry_listener(
            include_value=True, key="latest_eigen_scan", added_func=self._note, updated_func=self._note
        )

    @property
    def paths(self) -> list[str]:
        """Their files, below ROOT."""
        return [path for _, path in self.seen]

    def _note(self, event: object) -> None:
        import pyarrow as pa

        metadata = pa.ipc.open_stream(bytes(event.value)).schema.metadata  # type: ignore[attr-defined]
        self.seen.append((int(metadata[b"scan_bridge.mtime_ns"]), metadata[b"scan_bridge.source"].decode()))
