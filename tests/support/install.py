"""The project installed in a machine, as a user would: by the targets of the Makefile."""

from __future__ import annotations

from support.machine import Machine

SOURCE = "/src"
WHEELS = "/wheels"
# Nothing is downloaded: the wheels were made when the root was.
PIP_ENV = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
INSTALL_TIMEOUT_S = 300


def make(machine: Machine, target: str, *, source: str = SOURCE, user: str | None = None, **variables: str) -> str:
    """Run a target of the Makefile as a user would; what it printed."""
    arguments = [f"{name}={value}" for name, value in variables.items()]
    env = PIP_ENV | ({"HOME": f"/home/{user}", "XDG_RUNTIME_DIR": runtime_dir(machine, user)} if user else {})
    command = ("make", "--no-print-directory", "-C", source, target, *arguments)
    return machine.run(*command, env=env, user=user, timeout_s=INSTALL_TIMEOUT_S).stdout


def runtime_dir(machine: Machine, user: str) -> str:
    """The user's XDG_RUNTIME_DIR."""
    return f"/run/user/{machine.run('id', '-u', user).stdout.strip()}"


def copy_source(machine: Machine, path: str) -> None:
    """A copy of the checkout that a test may change."""
    pack = f"tar -C {SOURCE} --exclude=./.git --exclude=./.venv -cf - ."
    machine.run("sh", "-c", f"mkdir -p {path} && {pack} | tar -xf - -C {path}")
