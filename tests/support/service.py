"""The bridge as a service in a machine, seen from outside: its unit, its folder, its map in Hazelcast."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
from hazelcast import HazelcastClient
from hazelcast.core import HazelcastJsonValue
from support.hazelcast_member import Member
from support.machine import Machine, until

UNIT = "dolphin-scan-bridge.service"
RETRY = "dolphin-scan-bridge-retry@dolphin-scan-bridge.timer"
RETRY_TEMPLATE = "dolphin-scan-bridge-retry@.timer"
CONFIG = "/etc/scan-bridge/config.toml"
SCANS = "/srv/scans"
DAY = "2026-03-24"
# Wide, for a busy machine: no test asserts a timing but those that say so.
PUBLISH_TIMEOUT_S = 60
LOG_LINES = 400

# Starts the installed bridge with one place in it made to misbehave, from when this file is there.
LAUNCH = "/opt/scan-bridge/bin/python /src/tests/support/launch.py"
TRIGGER = "/var/lib/scan-bridge/misbehave"

_numbers = itertools.count(1)


class Bridge:
    """Configure, start, feed and watch the bridge."""

    unit = UNIT
    config = CONFIG

    def __init__(self, machine: Machine, member: Member, map_name: str, client: HazelcastClient):
        """`client` is how the tests look into the map; replace it when the member was restarted."""
        self.machine = machine
        self.client = client
        self._member = member
        self._map_name = map_name
        self._root = f"{SCANS}/{map_name}"
        self._since = f"--since=@{time.time():.6f}"
        self._drop_ins: dict[tuple[str, str], str] = {}

    @property
    def root(self) -> Path:
        """The folder with the scans, as the host sees it, with what is mounted there in the machine."""
        return Path(f"/proc/{self.machine.leader}/root{self._root}")

    def configure(self, **overrides: str) -> None:
        """Write the config; `section__key="TOML value"` overrides."""
        values = {
            "source__root": f'"{self._root}"',
            "hazelcast__members": f'["{self._member.address}"]',
            "hazelcast__cluster_name": f'"{self._member.cluster_name}"',
            "hazelcast__map": f'"{self._map_name}"',
            "hazelcast__call_timeout_s": "0.5",
            "hazelcast__connect_timeout_s": "0.5",
            "status__heartbeat_s": "0.5",
            "metrics__listen": '""',  # the port is the host's
            **overrides,
        }
        lines = [f"{name.replace('__', '.')} = {value}" for name, value in values.items()]
        self.machine.write(self.config, "\n".join(lines) + "\n", mode="0644")

    def drop_in(self, name: str, text: str, unit: str = UNIT) -> None:
        """A drop-in for the unit (or another), in force at once, gone after the test."""
        if self._drop_ins.get((unit, name)) == text:
            return  # systemd reads all its units anew: as much work as a start of the bridge
        self.machine.write(f"/run/systemd/system/{unit}.d/{name}.conf", text)
        self.machine.run("systemctl", "daemon-reload")
        self._drop_ins[unit, name] = text

    def prepare(self, misbehaviour: str) -> None:
        """Have the next start go through launch.py."""
        command = f"{LAUNCH} {misbehaviour} run --config {CONFIG}"
        self.drop_in("launch", f"[Service]\nExecStart=\nExecStart={command}\n")

    def misbehave(self) -> None:
        """From the next scan on, do what was prepared."""
        self.machine.run("install", "-D", "/dev/null", TRIGGER)  # the state folder comes with the first start

    def start(self) -> None:
        """Start with the folder there, but no scan in it; returns once systemd says that the bridge is ready."""
        self.machine.run("mkdir", "--parents", f"{self._root}/{DAY}")
        self.machine.run("systemctl", "start", self.unit)

    def put_scan(self) -> str:
        """Let a scan appear, as a producer does it; its path relative to ROOT."""
        path = f"{DAY}/scan_{next(_numbers):06d}.arrow"
        batch = pa.record_batch({"asset": ["A", "B"], "eigenvalue": [1.5, 0.5]})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        self.land(path, sink.getvalue().to_pybytes())
        return path

    def land(self, path: str, content: bytes) -> None:
        """Let a file appear below ROOT, with its folder, at once and whole."""
        target = self.root / path
        temporary = target.with_suffix(".tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, target)

    def latest(self, key: str = "latest_eigen_scan") -> str | None:
        """The path of the scan in the map."""
        value = self._get(key)
        if value is None:
            return None
        return pa.ipc.open_stream(bytes(value)).schema.metadata[b"scan_bridge.source"].decode()

    def status(self) -> dict[str, Any] | None:
        """The status entry in the map."""
        value = self._get("bridge_status")
        assert value is None or isinstance(value, HazelcastJsonValue)
        return None if value is None else json.loads(value.to_string())

    def publishes(self, timeout_s: float = PUBLISH_TIMEOUT_S) -> None:
        """Put a scan, and wait until it is in the map."""
        path = self.put_scan()
        until(lambda: self.latest() == path, timeout_s, lambda: f"{path} is not in the map\n{self.log()}")

    def tells_version(self, version: str) -> None:
        """Wait until the status entry tells this version; it comes a moment after the scan."""
        until(lambda: (self.status() or {}).get("version") == version, PUBLISH_TIMEOUT_S, self.log)

    def show(self, name: str) -> str:
        """One property of the unit."""
        return self.machine.show(self.unit, name)[name]

    @property
    def pid(self) -> int:
        """The main process; 0 if there is none."""
        return int(self.show("MainPID"))

    @property
    def restarts(self) -> int:
        """How often systemd has restarted it by itself."""
        return int(self.show("NRestarts"))

    def kill(self, signal: str) -> int:
        """Send the main process a signal; its pid."""
        pid = self.pid
        assert pid > 1, f"the bridge does not run\n{self.log()}"
        self.machine.run("kill", f"-{signal}", str(pid))
        return pid

    def results(self) -> list[str]:
        """Why the unit failed each time since the test began ("signal", "watchdog", …), from systemd's own records."""
        return [entry["UNIT_RESULT"] for entry in self.journal() if "UNIT_RESULT" in entry]

    def journal(self, *arguments: str) -> list[dict[str, Any]]:
        """What the journal has of the unit since the test began."""
        return self.machine.journal("-u", self.unit, self._since, *arguments)

    def log(self) -> str:
        """The unit's state and its last log lines, for failure messages."""
        state = self.machine.run("systemctl", "status", "--no-pager", "-n", "0", self.unit, check=False).stdout
        # Not with --lines: after --since that gives the first ones.
        lines = self.machine.run("journalctl", "--no-pager", "-u", self.unit, self._since).stdout.splitlines()
        return "\n".join([state, *lines[-LOG_LINES:]])

    def clean(self) -> None:
        """Stop the bridge; remove its drop-ins, state and config."""
        self._drop_ins.clear()
        self.machine.run("systemctl", "stop", self.unit, check=False)
        self.machine.run(
            "sh", "-c",
            "rm -rf /var/lib/scan-bridge/* /var/lib/scan-bridge@*; "
            "! ls -d /run/systemd/system/dolphin-scan-bridge*.d >/dev/null 2>&1 "
            "|| { rm -r /run/systemd/system/dolphin-scan-bridge*.d; systemctl daemon-reload; }; "
            "systemctl reset-failed 'dolphin-scan-bridge*' || true",
        )  # fmt: skip

    def _get(self, key: str) -> Any:
        return self.client.get_map(self._map_name).blocking().get(key)


class FurtherBridge(Bridge):
    """A further one on the same machine, called b."""

    unit = "dolphin-scan-bridge@b.service"
    config = "/etc/scan-bridge/b.toml"

    def clean(self) -> None:
        """Its file too: one that is there is a bridge."""
        super().clean()
        self.machine.run("rm", "-f", self.config)
