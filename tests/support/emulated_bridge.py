"""The bridge as a service in a virtual machine: all that it does takes ten times as long."""

from __future__ import annotations

import base64
from typing import ClassVar

from hazelcast import HazelcastClient
from support.hazelcast_member import Member
from support.machine import until
from support.service import DAY, SCANS, UNIT, Bridge
from support.virtual_machine import VirtualMachine
from support.watch import CHECK, SHORT, Watch

PUBLISH_TIMEOUT_S = 240


class EmulatedBridge(Bridge):
    """The bridge in a virtual machine: all that it does takes ten times as long, and its folder is not seen outside."""

    machine: VirtualMachine
    written_at: str | None = None  # where scans are written, if that is not ROOT

    @property
    def folder(self) -> str:
        """ROOT, as the machine sees it."""
        return f"{SCANS}/{self._map_name}"

    def configure(self, **overrides: str) -> None:
        """Write the config, with deadlines for a slow machine."""
        slow = {
            "hazelcast__call_timeout_s": "10.0",
            "hazelcast__connect_timeout_s": "10.0",
            "status__heartbeat_s": "2.0",
        }
        super().configure(**{**slow, **overrides})

    def log_since_the_boot(self) -> None:
        """Have `log` and `journal` show all since the boot: the clock is about to be stepped."""
        self._since = "--boot"

    def land(self, path: str, content: bytes) -> None:
        """Let a file appear below ROOT, with its folder, at once and whole."""
        script = 'mkdir -p "${1%/*}" && base64 -d >"$1.tmp" && mv "$1.tmp" "$1"'
        encoded = base64.b64encode(content).decode()
        self.machine.run("sh", "-c", script, "sh", f"{self.written_at or self.folder}/{path}", stdin=encoded)

    def publishes(self, timeout_s: float = PUBLISH_TIMEOUT_S) -> None:
        """Put a scan, and wait until it is in the map."""
        super().publishes(timeout_s)

    def holds(self, path: str) -> None:
        """Wait until this scan is in the map."""
        until(lambda: self.latest() == path, PUBLISH_TIMEOUT_S, lambda: f"{path} is not in the map\n{self.log()}")

    def boot(self) -> None:
        """The machine boots, without what was in /run."""
        self.machine.boot()
        self._drop_ins.clear()

    def produce(self, *options: str) -> None:
        """Have scans written from now on and after each boot, by the shipped simulator."""
        command = f"/opt/scan-bridge/bin/scan-bridge simulate {' '.join(options)} {self.written_at or self.folder}"
        service = f"[Service]\nExecStart={command}\nRestart=always\n[Install]\nWantedBy=multi-user.target\n"
        self.machine.write("/etc/systemd/system/producer.service", service)
        self.machine.run("systemctl", "enable", "--now", "producer.service")

    def stop_producer(self) -> str:
        """Have no more scans written; the path of the newest."""
        self.machine.run("systemctl", "disable", "--now", "producer.service")
        newest = "find . -name '*.arrow' -printf '%T@ %P\\n' | sort -n | tail -1 | cut -d ' ' -f 2"
        return self.machine.run("sh", "-c", f"cd {self.folder} && {newest}").stdout.strip()

    def clean(self) -> None:
        """Remove what is to run after a boot, too."""
        self.machine.run("systemctl", "disable", "--now", "producer.service", UNIT, check=False)
        super().clean()

    def scan_count(self) -> int:
        """How many scans lie in its folder."""
        found = self.machine.run("find", self.folder, "-name", "*.arrow").stdout
        return len(found.splitlines())


class EmulatedWatch(Watch):
    """The bridge's health check in a virtual machine."""

    bridge: EmulatedBridge
    settings: ClassVar = {
        **SHORT,
        "health__grace_s": "60.0",
        "health__probe_timeout_s": "60.0",
        "health__alerts__send_timeout_s": "60.0",
        "health__restarts__verify_s": "200.0",
        "health__rules__stale_data__critical_s": "120.0",
        "health__rules__hazelcast__heartbeat_max_s": "60.0",
        "health__rules__cpu__warning_percent": '"off"',
        "health__rules__cpu__critical_percent": '"off"',
    }
    check_timeout_s = 400.0
    publish_timeout_s = PUBLISH_TIMEOUT_S

    def run_by(self, program: str, *options: str) -> None:
        """With as long for each check as it takes here."""
        self.bridge.drop_in("patient", f"[Service]\nTimeoutStartSec={self.check_timeout_s:g}\n", CHECK)
        super().run_by(program, *options)


def bridge_in(machine: VirtualMachine, member: Member, map_name: str, client: HazelcastClient) -> EmulatedBridge:
    """Configured and not started. The member runs outside, and is at the same address inside."""
    machine.forward(member.port)
    bridge = EmulatedBridge(machine, member, map_name, client)
    bridge.configure()
    machine.run("mkdir", "--parents", f"{bridge.folder}/{DAY}")
    return bridge
