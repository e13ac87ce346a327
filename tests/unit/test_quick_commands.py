"""What prints no more than words imports nothing that takes time: --version, --help and completion answer at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support import process

SLOW = ("asyncio", "hazelcast", "prefect", "prometheus_client", "pyarrow", "pydantic", "rich", "selenium", "watchdog")


@pytest.mark.parametrize("command", ["bridge.cli", "healthcheck.cli"])
@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["--help"], ("shtab", "importlib.metadata")),
        (["check-config", "--help"], ("shtab", "importlib.metadata")),
        (["--version"], ("shtab",)),
        (["--print-completion", "bash"], ()),
        (["--print-completion", "fish"], ()),
    ],
    ids=" ".join,
)
def test_it_imports_nothing_that_takes_time(command: str, arguments: list[str], more: tuple[str, ...]) -> None:
    done = imported_by(command, *arguments)
    assert done.returncode == 0
    assert done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "argparse" in imported
    assert imported.isdisjoint((*SLOW, *more))


def imported_by(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command; standard error tells what it has imported. (An editable install imports more by itself.)"""
    script = f"import sys; from {command} import main; sys.exit(main(sys.argv[1:]))"
    return process.run([sys.executable, "-X", "importtime", "-c", script, *arguments])
