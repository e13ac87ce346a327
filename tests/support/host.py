"""What the tests do on a machine, whatever it is: run commands, read and write files, ask systemd and the journal."""

from __future__ import annotations

import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

COMMAND_TIMEOUT_S = 60
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
}


class Host(ABC):
    """A machine with systemd that runs."""

    @abstractmethod
    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout_s: float = COMMAND_TIMEOUT_S,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine, as root or `user`, and return its output.

        Raises:
            AssertionError: it exited non-zero and `check`; the message has its output.
            subprocess.TimeoutExpired: it did not end in `timeout_s` seconds; it is killed.
        """

    def write(self, path: str, text: str, mode: str = "0644") -> None:
        """Write a file in the machine, with its folders."""
        script = 'mkdir -p "${1%/*}" && cat > "$1" && chmod "$2" "$1"'
        self.run("sh", "-c", script, "sh", path, mode, stdin=text)

    def read(self, path: str) -> str:
        """A file's text."""
        return self.run("cat", path).stdout

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """`systemctl show`: a unit's properties as systemd prints them."""
        output = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)

    def journal(self, *arguments: str) -> list[dict[str, Any]]:
        """`journalctl -o json` with these arguments, oldest first."""
        output = self.run("journalctl", "--no-pager", "--quiet", "-o", "json", "--all", *arguments).stdout
        return [json.loads(line) for line in output.splitlines()]


def command(argv: tuple[str, ...], user: str | None, env: Mapping[str, str] | None) -> list[str]:
    """What runs `argv` as this user, with a known environment."""
    variables = [f"{name}={value}" for name, value in {**ENVIRONMENT, **(env or {})}.items()]
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    return ["env", "-i", *variables, *as_user, *argv]
