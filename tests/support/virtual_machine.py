"""A virtual machine under plain software emulation: a kernel, a memory and a power switch of its own.

Commands are run by qemu's guest agent. The host's loopback is at 10.0.2.2. It takes a minute to boot, and everything
in it ten times as long as outside.
"""

from __future__ import annotations

import base64
import contextlib
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support import process
from support.disk_image import Disk
from support.host import Host, command
from support.json_socket import JsonSocket
from support.machine import until

MEMORY_MB = 1536
BOOT_TIMEOUT_S = 400  # 36 s where nothing else runs
COMMAND_TIMEOUT_S = 180
ANSWER_TIMEOUT_S = 60
POLL_S = 0.1
KILLED = 137
_MEMBER = """\
[Socket]
ListenStream=127.0.0.1:{port}
[Install]
WantedBy=sockets.target
"""
_PROXY = "[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd 10.0.2.2:{port}\n"


class VirtualMachine(Host):
    """One machine with a disk of its own on top of `disk`. Use as a context manager."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._folder = Path(tempfile.mkdtemp(prefix="vm-"))
        self._qemu: subprocess.Popen[bytes] | None = None
        self._agent: JsonSocket | None = None
        self._layer = self._folder / "layer.qcow2"
        layer = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk.image, "-F", "raw", self._layer]
        process.run(layer, check=True)

    def __enter__(self) -> Self:
        try:
            self.boot()
        except BaseException:
            self.cut_power()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_power()

    def boot(self) -> None:
        """Switch it on, and wait until systemd has started everything.

        Raises:
            TimeoutError, RuntimeError: it did not come up; with the end of what its console shows.
        """
        self.switch_on()
        until(self._is_up, BOOT_TIMEOUT_S, lambda: f"the machine is not up:\n{self._console()}")

    def switch_on(self) -> None:
        """Switch it on, and return at once."""
        assert self._qemu is None, "the machine is on"
        arguments = [
            *("-nodefaults", "-display", "none", "-no-reboot"),
            *("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB)),
            *("-kernel", str(self._disk.kernel), "-initrd", str(self._disk.initrd)),
            *("-append", "root=LABEL=root rw console=ttyS0 net.ifnames=0 mitigations=off"),
            *("-drive", f"file={self._layer},format=qcow2,if=virtio"),
            *("-serial", f"file:{self._folder}/console"),
            *("-netdev", "user,id=wired", "-device", "virtio-net-pci,netdev=wired"),
            *("-device", "virtio-rng-pci", "-device", "virtio-serial"),
            *("-chardev", f"socket,path={self._folder}/agent,server=on,wait=off,id=agent"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *("-qmp", f"unix:{self._folder}/qmp,server=on,wait=off"),
        ]
        self._qemu = process.start(["qemu-system-x86_64", *arguments], stdout=subprocess.DEVNULL)

    def cut_power(self) -> None:
        """Take its power away: what it has not written to its disk is lost."""
        if self._agent is not None:
            self._agent.close()
        qemu, self._qemu, self._agent = self._qemu, None, None
        if qemu is not None:
            process.kill(qemu)

    def suspend(self) -> None:
        """Stop its processors, as a host that sleeps."""
        self._monitor("stop")

    def resume(self) -> None:
        """Let them go on."""
        self._monitor("cont")

    def set_clock(self, to_s: float) -> None:
        """Step its clock: what `date` says, and files are dated by; nothing else is told."""
        self.run("date", f"--set=@{to_s:.3f}")

    def forward(self, port: int) -> None:
        """Its 127.0.0.1:port leads to the host's, from now on and after each boot."""
        self.write(f"/etc/systemd/system/forward-{port}.socket", _MEMBER.format(port=port))
        self.write(f"/etc/systemd/system/forward-{port}.service", _PROXY.format(port=port))
        self.run("systemctl", "enable", "--now", f"forward-{port}.socket")

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout_s: float = COMMAND_TIMEOUT_S,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        limited = ["/usr/bin/timeout", "--signal=KILL", str(timeout_s), *command(argv, user, env)]
        asked: dict[str, Any] = {"path": limited[0], "arg": limited[1:], "capture-output": True}
        if stdin is not None:
            asked["input-data"] = base64.b64encode(stdin.encode()).decode()
        started = time.monotonic()
        pid = self._ask("guest-exec", **asked)["pid"]
        while not (status := self._ask("guest-exec-status", pid=pid))["exited"]:
            time.sleep(POLL_S)
        stdout, stderr = (_text(status.get(name, "")) for name in ("out-data", "err-data"))
        code = status.get("exitcode", KILLED)
        if code == KILLED and time.monotonic() - started >= timeout_s:
            raise subprocess.TimeoutExpired(list(argv), timeout_s, stdout, stderr)
        if check and code:
            raise AssertionError(f"{shlex.join(argv)}: exit {code}\n{stdout[-4000:]}{stderr[-4000:]}")
        return subprocess.CompletedProcess(list(argv), code, stdout, stderr)

    def _ask(self, execute: str, timeout_s: float = ANSWER_TIMEOUT_S, **arguments: Any) -> Any:
        # One connection for all: an answer that came too late for another is not this one's.
        if self._agent is None:
            self._agent = JsonSocket(self._folder / "agent", timeout_s)
        return self._agent.request(execute, timeout_s, **arguments)

    def _monitor(self, execute: str) -> None:
        with contextlib.closing(JsonSocket(self._folder / "qmp", ANSWER_TIMEOUT_S)) as monitor:
            monitor.request("qmp_capabilities", ANSWER_TIMEOUT_S)
            monitor.request(execute, ANSWER_TIMEOUT_S)

    def _is_up(self) -> bool:
        assert self._qemu is not None
        if self._qemu.poll() is not None:
            raise RuntimeError(f"qemu ended:\n{self._console()}")
        with contextlib.suppress(OSError):
            self._ask("guest-ping", timeout_s=2)
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
            return state in ("running", "degraded")
        return False

    def _console(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / "console").read_text(errors="replace")[-4000:]
        return ""


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="replace")
