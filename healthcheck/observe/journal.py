"""Reads the unit's warnings, and worse, from the journal: what came since the last check, in bounded number.

Journal lines are foreign text; whoever shows them goes through `text.foreign`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from healthcheck.config.settings import Health
from healthcheck.model.observation import JournalBatch, JournalLine
from healthcheck.observe import commands
from healthcheck.observe.commands import CommandError, Ran

FIRST_LOOK_S = 300  # how far back the very first check looks
MOST_MESSAGE = 2000  # characters kept of one line


def read_journal(health: Health, cursor: str | None, deadline_s: float) -> JournalBatch:
    """The unit's lines of priority warning and worse after `cursor`, oldest first, at most `journal_lines`.

    With more than that, the rest is skipped, so that a flood cannot make the check lag behind for ever.

    Raises:
        CommandError: journalctl cannot be run, fails, hangs, or may not read the journal.
    """
    warnings, most = _warnings(health), health.journal_lines
    since = [f"--after-cursor={cursor}"] if cursor else [f"--since=-{FIRST_LOOK_S}"]
    ran = commands.run([*warnings, *since, f"--lines={most + 1}"], deadline_s)
    if ran.status != 0 and cursor and "cursor" in ran.err:
        # The journal was rotated past it, or is another one.
        since = [f"--since=-{FIRST_LOOK_S}"]
        ran = commands.run([*warnings, *since, f"--lines={most + 1}"], deadline_s)
    lines, reached = parse(_output(ran))
    if len(lines) <= most:
        return JournalBatch(tuple(lines), reached or cursor)
    _, end = parse(_output(commands.run([*warnings, "--lines=1"], deadline_s)))
    return JournalBatch(tuple(lines[:most]), end or reached, more=True)


def last(health: Health, most: int, deadline_s: float) -> tuple[JournalLine, ...]:
    """The unit's last lines of priority warning and worse, oldest first.

    Raises:
        CommandError: as above.
    """
    lines, _ = parse(_output(commands.run([*_warnings(health), f"--lines={most}"], deadline_s)))
    return tuple(lines)


def parse(text: str) -> tuple[list[JournalLine], str | None]:
    """The lines of `journalctl --output=json`, and the last cursor; what is no JSON is skipped."""
    lines = []
    cursor = None
    for raw in text.splitlines():
        try:
            entry = json.loads(raw)
            cursor = str(entry["__CURSOR"])
            at = datetime.fromtimestamp(int(entry["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
            lines.append(JournalLine(at, int(entry.get("PRIORITY", 6)), _message(entry.get("MESSAGE"))))
        except (ValueError, KeyError, TypeError):
            continue
    return lines, cursor


def _warnings(health: Health) -> list[str]:
    # Not `journalctl --user`, which reads the user's own files alone: a journal in memory has none.
    # Quiet: that other users' lines are not to be seen is no problem with a unit of one's own.
    whose = ("--user-unit", "--quiet") if health.manager == "user" else ("--unit",)
    return [
        *("journalctl", "--no-pager", "--namespace=*", *whose[1:], f"{whose[0]}={health.unit}", "--priority=warning"),
        *("--output=json", "--output-fields=MESSAGE,PRIORITY"),
    ]


def _message(value: Any) -> str:
    """journalctl gives text, a list of bytes where it is not UTF-8, a list where it was given twice, null if huge."""
    if isinstance(value, str):
        return value[:MOST_MESSAGE]
    if isinstance(value, list) and all(isinstance(item, int) and 0 <= item < 256 for item in value):
        return bytes(value[:MOST_MESSAGE]).decode(errors="replace")
    if isinstance(value, list):
        return " ".join(_message(item) for item in value[:10])[:MOST_MESSAGE]
    return "(a message too long to show)"


def _output(ran: Ran) -> str:
    if "not seeing messages from other users" in ran.err or "No journal files were opened due to insuff" in ran.err:
        raise CommandError("no right to read the journal; add the check's user to the group systemd-journal")
    if ran.status != 0:
        raise CommandError(f"journalctl: {ran.err.strip() or f'exit status {ran.status}'}")
    return ran.out
