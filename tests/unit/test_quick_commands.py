"""What prints no more than words imports nothing that takes time: --version, --help and completion answer at once.

A check, made once a minute for ever, imports only what it needs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import process

from healthcheck.config.settings import load
from healthcheck.keep.state import State, Store
from healthcheck.observe import disk_look

pytestmark = pytest.mark.exhaustive
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
    imported = modules(done)
    assert "argparse" in imported
    assert imported.isdisjoint((*SLOW, *more))


def test_a_check_imports_neither_pyarrow_nor_prefect_nor_what_makes_metrics(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"""
        source.root = "{tmp_path}"
        hazelcast = {{members = ["127.0.0.1:1"], connect_timeout_s = 0.1}}
        health.state_dir = "{tmp_path}"
    """)
    done = imported_by("healthcheck.cli", "check", "--config", str(file))
    assert done.returncode == 2  # Hazelcast is away
    imported = modules(done)
    assert "hazelcast" in imported
    assert imported.isdisjoint(
        ("apprise", "numpy", "prefect", "prometheus_client", "pyarrow", "pydantic_settings", "rich")
    )


def test_the_timer_that_finds_a_recent_check_imports_no_more_than_it_takes_to_see_that(tmp_path: Path) -> None:
    file = tmp_path / "scan-bridge.toml"
    file.write_text(f'source.root = "{tmp_path}"\nhealth.state_dir = "{tmp_path}"\n')
    settings = load(file)
    Store(settings.health).save(State(completed_at=datetime.now(UTC)))
    due = ("--act", "--unless-checked-within", "30m")
    done = imported_by("healthcheck.cli", "check", "--config", str(file), *due)
    assert (done.returncode, done.stdout) == (0, "")
    imported = modules(done)
    assert "healthcheck.keep.state" in imported
    assert imported.isdisjoint(("asyncio", "hazelcast", "healthcheck.check", "healthcheck.observe.probes"))


def test_a_bridge_publishes_its_first_scan_without_what_it_needs_later() -> None:
    done = process.run([sys.executable, "-X", "importtime", "-c", "import bridge.service.daemon"])
    imported = modules(done)
    assert "pyarrow" in imported
    assert imported.isdisjoint(("bridge.service.prometheus", "prometheus_client", "pydantic_settings", "rich"))


def test_the_process_that_looks_at_the_disk_imports_nothing_that_is_installed(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-I", "-S", disk_look.__file__, str(tmp_path), "2", "10"]
    done = process.run(command)
    assert json.loads(done.stdout)["state"] == "empty"
    assert "bridge.folder.listing" in done.stderr
    assert not any(name in done.stderr for name in SLOW)


def imported_by(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command; standard error tells what it has imported. (An editable install imports more by itself.)"""
    script = f"import sys; from {command} import main; sys.exit(main(sys.argv[1:]))"
    return process.run([sys.executable, "-X", "importtime", "-c", script, *arguments])


def modules(done: subprocess.CompletedProcess[str]) -> set[str]:
    """What it has imported."""
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
