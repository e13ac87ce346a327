"""A machine as one of its ordinary users has it: their manager, their folders, their rights."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping

from support.host import COMMAND_TIMEOUT_S, Host
from support.install import runtime_dir
from support.machine import Machine, until

MANAGER_UP_S = 60


class UserSession(Host):
    """The same commands, run as a user who lingers: what a helper asks of the system's manager and folders, this asks
    of the user's."""

    def __init__(self, machine: Machine, user: str) -> None:
        """Makes the user if there is none, and waits until their manager is there."""
        if machine.run("id", user, check=False).returncode:
            machine.run("useradd", "--create-home", "--shell", "/bin/bash", user)
        machine.run("loginctl", "enable-linger", user)
        self.leader = machine.leader
        self.user = user
        self.home = f"/home/{user}"
        self._machine = machine
        self._run = runtime_dir(machine, user)
        bus = f"{self._run}/bus"
        until(lambda: machine.run("test", "-e", bus, check=False).returncode == 0, MANAGER_UP_S, "no user manager")

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout_s: float = COMMAND_TIMEOUT_S,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """As `Machine.run`, by the user, with the paths of the system's installation made the user's."""
        words = [self.own(word) for word in argv]
        if words[0] in ("systemctl", "journalctl"):
            words.insert(1, "--user")
        own = {
            "HOME": self.home,
            "XDG_RUNTIME_DIR": self._run,
            "PATH": f"{self.home}/.local/bin:/usr/bin:/bin",
            **(env or {}),
        }
        return self._machine.run(*words, check=check, timeout_s=timeout_s, user=user or self.user, env=own, stdin=stdin)

    def own(self, word: str) -> str:
        """The word with the paths of the system's installation made the user's."""
        for system, own in (
            ("/etc/scan-bridge", f"{self.home}/.config/scan-bridge"),
            ("/opt/scan-bridge", f"{self.home}/.local/opt/scan-bridge"),
            ("/run/systemd/system", f"{self._run}/systemd/user"),
            ("/var/lib/scan-bridge-healthcheck", f"{self.home}/.local/state/scan-bridge/healthcheck"),
        ):
            word = re.sub(rf"(?<![\w.]){system}", own, word)
        return word
