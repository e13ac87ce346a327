"""The root file system that the system tests boot, and the wheels installed in it.

Both are made once and kept outside the checkout; a change of the recipe or of the dependencies makes new ones.
Never touches the host: whatever is configured or built happens inside the new root.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from support import process
from support.download_cache import cached

REPOSITORY = Path(__file__).resolve().parents[2]
SUITE = "bookworm"
MIRROR = os.environ.get("DEBIAN_MIRROR", "")  # or debootstrap's own
PACKAGES = (
    "ca-certificates",
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "make",
    "polkitd",
    "procps",
    "python3",
    "python3-venv",
    "systemd",
    "systemd-sysv",
)
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
GENERATORS = "systemd/system-generators"
BUILD_TIMEOUT_S = 900


def rootfs() -> Path:
    """A Debian root with systemd, polkit and Python, and nothing of this project. Built if missing."""

    def make(root: Path) -> None:
        debootstrap(root, SUITE, PACKAGES)
        mask(root, GENERATORS)

    return cached(f"rootfs-{short_hash(SUITE, *PACKAGES, HOSTS, GENERATORS)}", make, keep=2)


def wheelhouse(suite: str = SUITE, root: Callable[[], Path] = rootfs) -> Path:
    """A folder with the locked packages, downloaded by the root's own Python. Filled if missing."""
    locks = (REPOSITORY / "requirements" / name for name in ("build.txt", "prefect.txt", "uv.txt"))
    name = f"wheels-{short_hash(suite, *(lock.read_text() for lock in locks))}"
    return cached(name, lambda folder: _download_wheels(root(), folder), keep=4)


def debootstrap(target: Path, suite: str, packages: Sequence[str]) -> None:
    """Make a root of these packages in an empty folder.

    Raises:
        RuntimeError: it failed; with the end of its output.
    """
    command = [
        "debootstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        suite,
        str(target),
        *([MIRROR] if MIRROR else []),
    ]
    _run_logged(command, target.with_suffix(".log"))
    (target / "etc/hosts").write_text(HOSTS)
    for archive in (target / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()


def mask(root: Path, folder: str) -> None:
    """Keep systemd from running these programs: at each `daemon-reload` they take a third of its time, for nothing."""
    masks = root / "etc" / folder
    masks.mkdir(parents=True)
    for program in (root / "lib" / folder).iterdir():
        (masks / program.name).symlink_to("/dev/null")


def _download_wheels(base: Path, wheels: Path) -> None:
    # --volatile: what the download leaves in the root is gone afterwards.
    command = [
        "systemd-nspawn",
        "--quiet",
        "-D",
        str(base),
        "--volatile=overlay",
        "--register=no",
        "--keep-unit",
    ]
    command += ["--as-pid2", f"--bind={wheels}:/wheels", f"--bind-ro={REPOSITORY}:/src"]
    for path in ("/etc/pip.conf", os.environ.get("PIP_CERT", ""), "/etc/ssl/certs/ca-certificates.crt"):
        if path and Path(path).exists():
            command.append(f"--bind-ro={path}")
    for name, value in os.environ.items():
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            command.append(f"--setenv={name}={value}")
    command += ["--setenv=PIP_NO_CACHE_DIR=1", "make", "-C", "/src", "wheels", "WHEELS=/wheels"]
    _run_logged(command, wheels.with_suffix(".log"))


def _run_logged(command: list[str], log: Path) -> None:
    with log.open("w") as output:
        building = process.start(command, env=process.environment(downloads=True), stdout=output)
        try:
            code = building.wait(BUILD_TIMEOUT_S)
        finally:
            process.kill(building)
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise RuntimeError(f"{command[0]} failed; the whole output is in {log}\n{tail}")
    log.unlink()


def short_hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
