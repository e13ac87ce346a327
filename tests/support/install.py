"""The project installed in a machine, as a user would: by the targets of the Makefile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from support import image, process
from support.download_cache import cached
from support.machine import Machine

SOURCE = "/src"
WHEELS = "/wheels"
INSTALL_TIMEOUT_S = 300
COPY_TIMEOUT_S = 120
# What an installation is made from; other texts change nothing in it.
SOURCES = (
    "bridge",
    "docs/config.example.toml",
    "healthcheck",
    "requirements",
    "scripts",
    "systemd",
    "LICENSE",
    "Makefile",
    "pyproject.toml",
)
KEPT_ROOTS = 4  # half a gigabyte each


def make(machine: Machine, target: str, *, source: str = SOURCE, user: str | None = None, **variables: str) -> str:
    """Run a target of the Makefile as a user would; what it printed."""
    arguments = [f"{name}={value}" for name, value in variables.items()]
    env = {"HOME": f"/home/{user}", "XDG_RUNTIME_DIR": runtime_dir(machine, user)} if user else {}
    # The wheels were downloaded when the root was made.
    command = ("make", "--no-print-directory", "-C", source, target, f"WHEELS={WHEELS}", *arguments)
    return machine.run(*command, env=env, user=user, timeout_s=INSTALL_TIMEOUT_S).stdout


def runtime_dir(machine: Machine, user: str) -> str:
    """The user's XDG_RUNTIME_DIR."""
    return f"/run/user/{machine.run('id', '-u', user).stdout.strip()}"


def copy_source(machine: Machine, path: str) -> None:
    """A copy of the checkout that a test may change."""
    pack = f"tar -C {SOURCE} --exclude=./.git --exclude=./.venv -cf - ."
    machine.run("sh", "-c", f"mkdir -p {path} && {pack} | tar -xf - -C {path}")


def installed() -> Path:
    """The root of a machine on which `make install` was run with this checkout. Made if missing: a minute or two."""
    return prepared("installed", lambda machine: make(machine, "install"))


def prepared(kind: str, prepare: Callable[[Machine], object]) -> Path:
    """The root of a machine on which something of this `kind` was done with this checkout. Made if missing."""
    base, wheels = image.rootfs(), image.wheelhouse()
    name = f"{kind}-{image.short_hash(base.name, wheels.name, sources())}"
    return cached(name, lambda root: prepare_root(root, base, wheels, prepare), keep=KEPT_ROOTS)


def prepare_root(root: Path, base: Path, wheels: Path, prepare: Callable[[Machine], object]) -> None:
    """Fill the empty folder `root` with `base`, boot it, and do there what is to be done."""
    root.rmdir()
    process.run(["cp", "--archive", base, root], check=True, timeout_s=COPY_TIMEOUT_S)
    with Machine(root, binds_ro={image.REPOSITORY: SOURCE, wheels: WHEELS}, lasting=True) as machine:
        prepare(machine)


def of_version(machine: Machine, version: str, source: str) -> None:
    """Make a copy of the checkout one of this version."""
    machine.run("sed", "-i", f's/^version = .*/version = "{version}"/', f"{source}/pyproject.toml")


def sources() -> str:
    """What the sources are, with their modes."""
    listed = []
    for name in SOURCES:
        top = image.REPOSITORY / name
        for path in sorted([top, *top.rglob("*")]):
            if path.is_file() and path.suffix != ".pyc":
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                listed.append(f"{path.relative_to(image.REPOSITORY)} {path.stat().st_mode:o} {digest}")
    return "\n".join(listed)
