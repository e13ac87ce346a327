"""The real `scan-bridge run` as a process, what it is fed with, and a plain consumer of what it publishes.

Nothing here sleeps for luck: every wait polls a condition and has a deadline. A bridge dies with the tests.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import hazelcast
import pyarrow as pa
from support import process
from support.polling import poll

# The command as it is installed beside this Python.
COMMAND = (sys.executable, str(Path(sys.executable).with_name("scan-bridge")))
DEADLINE_S = 30.0  # for what takes milliseconds on an idle machine
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

T = TypeVar("T")


def eventually(condition: Callable[[], T], complaint: str | Callable[[], str], deadline_s: float = DEADLINE_S) -> T:
    """What `condition` gives once it is true.

    Raises:
        AssertionError: it was not true within `deadline_s`.
    """
    if value := poll(condition, deadline_s):
        return value
    raise AssertionError(f"not within {deadline_s:g} s: {complaint() if callable(complaint) else complaint}")


# ---- the producer


def day(offset: int = 0) -> str:
    """The name of today's day folder, or of another `offset` days later."""
    return (datetime.now(UTC).date() + timedelta(days=offset)).isoformat()


def scan(tag: str = "", rows: int = 20, format: str = "file") -> bytes:
    """A whole scan in one of the two Arrow IPC formats. It says how many rows it must have."""
    table = pa.table({"asset": [f"{tag}{i}" for i in range(rows)], "eigenvalue": [float(i) for i in range(rows)]})
    table = table.replace_schema_metadata({"tag": tag, "rows": str(rows)})
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_file if format == "file" else pa.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def land(root: Path, path: str, content: bytes | None = None, mtime_ns: int | None = None) -> str:
    """Put a scan (or other content) into place as a producer should: hidden name, modification time, rename."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    hidden = target.with_name(f".{target.name}.tmp")
    hidden.write_bytes(scan(path) if content is None else content)
    if mtime_ns is not None:
        os.utime(hidden, ns=(mtime_ns, mtime_ns))
    hidden.rename(target)
    return path


# ---- the consumer


class Seen(NamedTuple):
    """A value as a consumer sees it."""

    mtime_ns: int
    source: str
    sequence: int
    metadata: dict[str, str]
    table: pa.Table

    @property
    def key(self) -> tuple[int, str]:
        """Its place in the order."""
        return self.mtime_ns, self.source


def decode(value: Any) -> Seen:
    """Read a value as any Arrow implementation would, and insist that it is one whole scan.

    Raises:
        AssertionError, pa.ArrowInvalid: it is not.
    """
    assert isinstance(value, bytearray), f"not a byte[]: {type(value)}"
    assert value.endswith(END_OF_STREAM), "no end-of-stream marker"
    table = pa.ipc.open_stream(pa.py_buffer(value)).read_all()
    table.validate(full=True)
    metadata = {name.decode(): text.decode() for name, text in (table.schema.metadata or {}).items()}
    assert str(table.num_rows) == metadata.get("rows", str(table.num_rows)), "rows are missing"
    source = metadata["scan_bridge.source"]
    return Seen(int(metadata["scan_bridge.mtime_ns"]), source, int(metadata["scan_bridge.sequence"]), metadata, table)


class Consumer:
    """A third party that listens to the entry of the newest scan and decodes every value it ever has."""

    def __init__(self, client: hazelcast.HazelcastClient, map_name: str, key: str = "latest_eigen_scan") -> None:
        self._map = client.get_map(map_name).blocking()
        self._key = key
        self.seen: list[Seen] = []
        self.faults: list[str] = []
        self._listener = self._map.add_entry_listener(
            include_value=True, key=key, added_func=self._take, updated_func=self._take
        )

    def _take(self, event: Any) -> None:
        try:
            self.seen.append(decode(event.value))
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error}")

    @property
    def sources(self) -> list[str]:
        """The paths of all scans seen, in the order they came."""
        return [seen.source for seen in self.seen]

    def current(self) -> Seen | None:
        """What the map holds now."""
        value = self._map.get(self._key)
        return None if value is None else decode(value)

    def expect(self, source: str, deadline_s: float = DEADLINE_S) -> Seen:
        """Wait until the map holds this scan and the listener has seen it; that it came in order and whole so far."""
        eventually(
            lambda: (self.seen and self.seen[-1].source == source) or self.faults,
            lambda: f"{source} in the map; seen: {self.sources[-5:]}",
            deadline_s,
        )
        assert not self.faults
        return self.seen[-1]

    def assert_rising(self) -> None:
        """That the order never went back, nor stood still."""
        assert not self.faults
        for earlier, later in itertools.pairwise(self.seen):
            assert earlier.key < later.key, f"{later.source} came after {earlier.source}"
            assert earlier.sequence < later.sequence

    def close(self) -> None:
        """Listen no more."""
        self._map.remove_entry_listener(self._listener)


# ---- the bridge


@dataclass(frozen=True)
class Target:
    """Where a bridge publishes to."""

    address: str
    cluster_name: str
    map_name: str


class BridgeProcess:
    """One `scan-bridge run`, with its own folder for ROOT, state and configuration; to start again as often as wanted.

    Args:
        folder: where to keep its files.
        target: the map to publish to.
        root: ROOT; by default `folder/root`, made if missing.
        command: what to run instead of the installed command.
        prefix: a command that runs the command, such as strace.
        environment: more of the environment.
        sections: more of the configuration: `source={"rescan_s": 0.2}`.
    """

    _numbers = itertools.count()

    def __init__(
        self,
        folder: Path,
        target: Target,
        *,
        root: Path | None = None,
        command: Sequence[str] = COMMAND,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **sections: Mapping[str, Any],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.root = root or folder / "root"
        if root is None:
            self.root.mkdir(exist_ok=True)
        self.config_path = folder / "config.toml"
        self.target = target
        self._sections = sections
        self._command = [*prefix, *command]
        self._environment = environment or {}
        self._log_path = folder / "bridge.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._notify_name = f"scan-bridge-test-{os.getpid()}-{next(self._numbers)}"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"\0{self._notify_name}")
        self.notified: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.configure()

    def configure(self, **sections: Mapping[str, Any]) -> None:
        """Write the configuration, with changes."""
        document: dict[str, dict[str, Any]] = {
            "source": {"root": str(self.root)},
            "hazelcast": {
                "members": [self.target.address],
                "cluster_name": self.target.cluster_name,
                "map": self.target.map_name,
            },
            "status": {"heartbeat_s": 0.5, "instance": self.folder.name},
            "log": {"level": "info"},
            "metrics": {"listen": ""},
        }
        for changes in (self._sections, sections):
            for name, values in changes.items():
                document.setdefault(name, {}).update(values)
        lines = [f"state_dir = {json.dumps(str(self.folder / 'state'))}"]
        for name, values in document.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        self.config_path.write_text("\n".join(lines) + "\n")

    # ---- start and end

    def start(self, *, wait: bool = True) -> BridgeProcess:
        """Start it, and unless told otherwise wait until it says READY=1."""
        assert self._process is None, "the bridge is running"
        self.notified.clear()
        with self._log_path.open("wb") as log:
            self._process = process.start(
                [*self._command, "run", "--config", self.config_path],
                env=process.environment(NOTIFY_SOCKET=f"@{self._notify_name}", **self._environment),
                stdout=log,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait for READY=1."""
        eventually(
            lambda: "READY=1" in self.notified or self.exit_code() is not None, lambda: f"READY=1\n{self._end_of_log()}"
        )
        assert self.exit_code() is None, self._end_of_log()

    @property
    def pid(self) -> int:
        """Process id of the running bridge."""
        assert self._process is not None, "the bridge was not started"
        return self._process.pid

    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        assert self._process is not None, "the bridge was not started"
        return self._process.poll()

    def send(self, signal_: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, signal_)

    def wait_exit(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait until it has ended by itself; its exit code.

        Raises:
            AssertionError: it did not end in time.
        """
        assert self._process is not None, "the bridge was not started"
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline_s:g} s\n{self._end_of_log()}") from None
        self._process = None
        return code

    def terminate(self, deadline_s: float = DEADLINE_S) -> int:
        """Ask it to end, as systemd does; its exit code.

        Raises:
            AssertionError: it did not end in time.
        """
        self.send(signal.SIGTERM)
        return self.wait_exit(deadline_s)

    def kill(self) -> None:
        """End it at once, if it runs. Its children too."""
        if self._process is not None:
            process.kill(self._process)
            self._process = None

    def close(self) -> None:
        """Kill it and listen to it no more."""
        self.kill()
        with contextlib.suppress(OSError):
            self._notify.shutdown(socket.SHUT_RDWR)
        self._notify.close()

    # ---- what it says

    def log(self) -> str:
        """What this run has logged."""
        return self._log_path.read_text(errors="replace")

    def _end_of_log(self) -> str:
        return self.log()[-3000:]

    def lines(self, text: str) -> list[str]:
        """The log lines with this text."""
        return [line for line in self.log().splitlines() if text in line]

    def wait_log(self, text: str, deadline_s: float = DEADLINE_S) -> str:
        """Wait for a log line with this text; the line."""
        return eventually(lambda: self.lines(text), lambda: f"{text!r} in the log:\n{self.log()}", deadline_s)[0]

    def status_line(self) -> str:
        """The last STATUS= it sent to systemd."""
        return next((m.removeprefix("STATUS=") for m in reversed(self.notified) if m.startswith("STATUS=")), "")

    def wait_status_line(self, text: str) -> str:
        """Wait until the line for `systemctl status` has this text; the line."""
        return eventually(
            lambda: text in (line := self.status_line()) and line, lambda: f"{text!r} in {self.status_line()!r}"
        )

    def status(self, client: hazelcast.HazelcastClient, map_name: str | None = None) -> dict[str, Any]:
        """The status entry in the map; empty if there is none."""
        entry = client.get_map(map_name or self.target.map_name).blocking().get("bridge_status")
        return json.loads(entry.to_string()) if entry else {}

    def wait_status(
        self, client: hazelcast.HazelcastClient, condition: Callable[[dict[str, Any]], Any], complaint: str
    ) -> dict[str, Any]:
        """Wait until this run's status entry fulfils the condition; the entry."""

        def fulfilled() -> dict[str, Any] | None:
            status = self.status(client)
            return status if status.get("pid") == self.pid and condition(status) else None

        return eventually(fulfilled, lambda: f"{complaint}; status: {self.status(client)}\n{self._end_of_log()}")

    def memory_kb(self, field: str = "VmRSS") -> int:
        """Its resident memory now, or at its peak (`VmHWM`), in kB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1])
        raise AssertionError(f"no {field} in /proc/{self.pid}/status")

    def _listen(self) -> None:
        while True:
            try:
                message = self._notify.recv(65536)
            except OSError:
                return
            if not message:
                return
            self.notified += message.decode().split("\n")


NewBridge = Callable[..., BridgeProcess]  # see the fixture `new_bridge`


def scan_bridge(
    *arguments: str | Path, timeout_s: float = 30.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a `scan-bridge` command to its end."""
    return process.run([*COMMAND, *arguments], timeout_s=timeout_s, env=process.environment(**environment))
