"""What this machine has not the means for, by scripts/debian.sh, which has the one list of what the tests need."""

from __future__ import annotations

import subprocess
from pathlib import Path

COMMAND = (Path(__file__).parents[2] / "scripts" / "debian.sh", "unmet")


def unmet() -> list[tuple[str, str]]:
    """The marks whose tests cannot run here, each with a reason; a mark comes as often as there are reasons."""
    lines = subprocess.run(COMMAND, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    return [(mark, reason) for mark, _, reason in (line.partition(" ") for line in lines)]


def why_not(*marks: str) -> str | None:
    """Why what tests of these marks need cannot be had here, in one line; None if it can."""
    reasons = dict.fromkeys(reason for mark, reason in unmet() if mark in marks)
    return ", ".join(reasons) or None
