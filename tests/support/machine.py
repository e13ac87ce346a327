"""A machine with a real systemd: boot it, run commands in it, take it down. Every wait has a deadline.

It is a container that shares the host's network (a Hazelcast member on the host is at 127.0.0.1) and kernel.
What is written in it is in memory and gone when it stops, unless it is to last.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from support import leftovers, process
from support.host import COMMAND_TIMEOUT_S, Host, command
from support.polling import poll

T = TypeVar("T")

BOOT_TIMEOUT_S = 60
_numbers = itertools.count(1)


def until(condition: Callable[[], T], timeout_s: float, what: str | Callable[[], str]) -> T:
    """Poll until `condition` returns something true, and return it.

    Raises:
        TimeoutError: `timeout_s` seconds passed; the message is `what`.
    """
    if result := poll(condition, timeout_s):
        return result
    raise TimeoutError(f"after {timeout_s} s: {what if isinstance(what, str) else what()}")


class Machine(Host):
    """A booted container. Use as a context manager."""

    def __init__(
        self,
        root: Path,
        binds: Mapping[Path, str] | None = None,
        binds_ro: Mapping[Path, str] | None = None,
        *,
        lasting: bool = False,
    ):
        """`root` stays untouched, unless `lasting`. `binds` and `binds_ro` map host paths to paths in the machine."""
        self._root = root
        self._volatile = [] if lasting else ["--volatile=overlay"]
        self._binds = binds or {}
        self._binds_ro = binds_ro or {}
        self._name = f"machine-{os.getpid()}-{next(_numbers)}"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0  # pid of its systemd, as the host sees it
        self._console = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()

    def __enter__(self) -> Self:
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout_s: float = COMMAND_TIMEOUT_S,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", "-t", str(self.leader), "-a", *command(argv, user, env)]
        return process.run(inside, stdin=stdin or "", timeout_s=timeout_s, check=check)

    def host_pid(self, pid: int) -> int:
        """The pid, as the host sees it, of a process in the machine."""
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                line = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:"))
                pids = line.split()[1:]
                if len(pids) == 2 and int(pids[1]) == pid and self._is_inside(status.parent):
                    return int(pids[0])
        raise LookupError(f"no process {pid} in the machine")

    def stop(self) -> None:
        """Kill the machine at once, with all that runs in it, and wait until it is gone."""
        nspawn, self._nspawn = self._nspawn, None
        if nspawn is not None:
            if self.leader:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.leader, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    nspawn.wait(10)
            nspawn.kill()
            nspawn.wait(10)
        for group in self._cgroups():
            if group.is_dir():
                # The kernel lets go of a killed process's group a moment after the process.
                until(lambda group=group: leftovers.remove_group(group), 10, f"{group} is still in use")
        self._console.close()

    def _boot(self) -> None:
        boot = [
            "systemd-nspawn",
            "--quiet",
            "-D",
            str(self._root),
            *self._volatile,
            "--register=no",
            "--boot",
            f"--setenv={leftovers.RUN}={os.environ[leftovers.RUN]}",
        ]
        # Lets the firewall of IPAddressDeny= be tried; it is a BPF program.
        boot += ["--system-call-filter=bpf", "--console=pipe"]
        boot += [f"--bind={host}:{inside}" for host, inside in self._binds.items()]
        boot += [f"--bind-ro={host}:{inside}" for host, inside in self._binds_ro.items()]
        if not Path("/run/systemd/system").exists():
            # No systemd on the host that could give the machine a control group of its own.
            boot.append("--keep-unit")
            joined = "".join(f"mkdir -p {group}; echo $$ > {group}/cgroup.procs; " for group in self._cgroups())
            boot = ["sh", "-c", f'set -e; {joined} exec "$@"', "sh", *boot]
        # SIGTERM has nspawn shut the machine down; SIGKILL would set it loose.
        self._nspawn = process.start(boot, stdout=self._console, orphaned="TERM")
        until(self._is_up, BOOT_TIMEOUT_S, lambda: f"the machine is not up:\n{self._console_text()}")

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        if self._nspawn.poll() is not None:
            raise RuntimeError(f"systemd-nspawn ended:\n{self._console_text()}")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        if not children:
            return False
        self.leader = int(children[-1])
        state = self.run("systemctl", "is-system-running", check=False, timeout_s=10).stdout.strip()
        return state in ("running", "degraded")

    def _is_inside(self, of: Path) -> bool:
        return os.readlink(of / "ns/pid") == os.readlink(f"/proc/{self.leader}/ns/pid")

    def _cgroups(self) -> list[Path]:
        return [hierarchy / leftovers.run_name() / self._name for hierarchy in hierarchies()]

    def _console_text(self) -> str:
        self._console.seek(0)
        return self._console.read().decode(errors="replace")[-4000:]


def hierarchies() -> list[Path]:
    """Where the control groups of systemd are."""
    top = Path("/sys/fs/cgroup")
    folders = [top] if (top / "cgroup.procs").exists() else [top / "systemd", top / "unified"]
    return [folder for folder in folders if folder.is_dir()]
