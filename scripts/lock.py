"""requirements/*.txt: exact versions with hashes, made from the ranges in pyproject.toml by `make lock`.

Locks (needs a package index), or with --check says what does not fit (needs none, so that a new release of a
dependency never breaks the check). Writes no index's address, and never a version that pyproject.toml excludes.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
HEADER = "# Made by `make lock` from pyproject.toml; not to be edited. Fits: "
ALL = "dev.txt"
PARTS = ("runtime.txt", "prefect.txt", "demo.txt")  # of it, so that what runs is what was tested


def wanted(project: dict[str, Any]) -> dict[str, list[str]]:
    """The requirements as pyproject.toml has them, for each file."""
    runtime: list[str] = project["project"]["dependencies"]
    extras: dict[str, list[str]] = project["project"]["optional-dependencies"]
    return {
        ALL: [*runtime, *(requirement for extra in extras.values() for requirement in extra)],
        "runtime.txt": runtime,
        "prefect.txt": [*runtime, *extras["prefect"]],
        "demo.txt": [*runtime, *extras["alerts"]],
        "build.txt": project["build-system"]["requires"],
        **{f"{name}.txt": requirements for name, requirements in project["dependency-groups"].items()},
    }


def fingerprint(requirements: list[str]) -> str:
    """Which requirements a file was made for."""
    return hashlib.sha256("\n".join(sorted(requirements)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Pin:
    """One entry of a file: a package at a version, where its marker holds."""

    requirement: Requirement
    hashes: int

    @property
    def name(self) -> str:
        """The package's canonical name."""
        return canonicalize_name(self.requirement.name)

    @property
    def is_exact(self) -> bool:
        """Whether it names one version, from no address, with the hashes of its files."""
        return re.fullmatch(r"==[^*,=]+", str(self.requirement.specifier)) is not None and self.hashes > 0

    def holds_in(self, environment: Any) -> bool:
        """Whether it is meant for this Python and platform."""
        return self.requirement.marker is None or self.requirement.marker.evaluate(environment)

    @property
    def version(self) -> str:
        """The version, or what stands in its place."""
        return str(self.requirement.specifier).removeprefix("==")


def pins(text: str) -> list[Pin]:
    """The entries of a file.

    Raises:
        packaging.requirements.InvalidRequirement: there is something else in it.
    """
    entries = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    parts = [entry.split(" --hash=sha256:") for entry in entries if entry.strip()]
    return [Pin(Requirement(requirement), len(hashes)) for requirement, *hashes in parts]


def misfits(requirements: dict[str, list[str]], files: dict[str, str]) -> list[str]:
    """What does not fit between the requirements and the files that should hold them, one line each."""
    found = []
    for name, text in files.items():
        if text.splitlines()[:1] != [HEADER + fingerprint(requirements[name])]:
            found.append(f"{name} was made for other requirements than pyproject.toml has now")
        found += [f"{name}: {pin.name} is not exact, or has no hash" for pin in pins(text) if not pin.is_exact]
        for python in PYTHONS:
            environment: Any = {**default_environment(), "python_version": python, "python_full_version": f"{python}.9"}
            chosen = {pin.name: pin.version for pin in pins(text) if pin.holds_in(environment)}
            for requirement in map(Requirement, requirements[name]):
                version = chosen.get(canonicalize_name(requirement.name))
                if version is None or not requirement.specifier.contains(version):
                    found.append(f"{name}: {requirement} for Python {python} is not met by {version}")
    every = {(pin.name, pin.version) for pin in pins(files[ALL])}
    for name in PARTS:
        others = {(pin.name, pin.version) for pin in pins(files[name])} - every
        found += [f"{name}: {package} {version} is not what {ALL} has" for package, version in sorted(others)]
    return found


def strangers(packages: list[str], requirements: dict[str, list[str]], files: dict[str, str]) -> list[str]:
    """Which of these packages are neither required nor in a file; uv would say nothing of them."""
    required = {canonicalize_name(Requirement(one).name) for asked in requirements.values() for one in asked}
    known = required | {pin.name for text in files.values() for pin in pins(text)}
    return [package for package in packages if canonicalize_name(re.split("[<>=!~]", package)[0]) not in known]


def lock(uv: str, requirements: dict[str, list[str]], options: list[str]) -> None:
    """Write all files. Versions that stand in them stay where they fit, but for what `options` says."""
    for name, asked in requirements.items():
        target = FOLDER / name
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder, "made.txt")
            known = FOLDER / ALL if name in PARTS else target
            if known.exists():
                made.write_text(known.read_text())  # uv keeps its versions
            command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", PYTHONS[0]]
            command += ["--generate-hashes", "--no-header", "--no-annotate", "--output-file", str(made), "-"]
            command += options if known == target else []
            subprocess.run(command, input="\n".join(asked), stdout=subprocess.DEVNULL, text=True, check=True)  # noqa: S603
            target.write_text(f"{HEADER}{fingerprint(asked)}\n{made.read_text()}")
        print(f"wrote requirements/{name}")


def main() -> int:
    """Lock, or check; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something does not fit")
    parser.add_argument("--uv", default="uv", help="the uv to resolve with")
    parser.add_argument("--upgrade", nargs="*", metavar="PACKAGE", help="take newer versions of these, or of all")
    arguments = parser.parse_args()
    requirements = wanted(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    if not arguments.check:
        packages = arguments.upgrade or []
        if unknown := strangers(packages, requirements, _read(requirements)):
            print(f"lock.py: not among the requirements: {', '.join(unknown)}", file=sys.stderr)
            return 1
        options = [f"--upgrade-package={package}" for package in packages]
        lock(arguments.uv, requirements, ["--upgrade"] if arguments.upgrade == [] else options)
    found = misfits(requirements, _read(requirements))
    print("".join(f"requirements/{line}\n" for line in found) + ("run: make lock\n" if found else ""), end="")
    return 1 if found else 0


def _read(requirements: dict[str, list[str]]) -> dict[str, str]:
    return {name: path.read_text() if (path := FOLDER / name).exists() else "" for name in requirements}


if __name__ == "__main__":
    sys.exit(main())
