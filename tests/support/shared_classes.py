"""Hazelcast's classes as Java keeps them in memory, made once: with them a member starts in half the CPU time."""

from __future__ import annotations

import functools
import hashlib
import signal
import subprocess
import time
from pathlib import Path

from support import process
from support.download_cache import cached, place

SCRIPTS = Path(__file__).parents[2] / "scripts"
START_S = 60.0
# The jar and the Java that they are made for.
MADE_FOR = f"""set -e; . "{SCRIPTS}/common.sh"
has_hazelcast; echo "$HAZELCAST_JAR"; java=$(find_java); echo "$java"; "$java" -version 2>&1"""


def java_options() -> tuple[str, ...]:
    """What has Java use the classes; nothing where there is no Hazelcast, or no Java that can make them."""
    return _java_options(place())


@functools.cache
def _java_options(place: Path) -> tuple[str, ...]:
    made_for = process.run(["bash", "-c", MADE_FOR])
    if made_for.returncode:
        return ()
    name = f"classes-{hashlib.sha256(made_for.stdout.encode()).hexdigest()[:12]}"
    archive = cached(name, _make, keep=2) / "hazelcast.jsa"
    return (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()


def _make(folder: Path) -> None:
    command = [SCRIPTS / "hazelcast-local", "--cluster", f"makes-{folder.name}", "--"]
    log = folder / "log"
    with log.open("wb") as output:
        member = process.start([*command, f"-XX:ArchiveClassesAtExit={folder / 'hazelcast.jsa'}"], stdout=output)
        try:
            deadline = time.monotonic() + START_S
            while "is STARTED" not in log.read_text() and member.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            member.send_signal(signal.SIGTERM)
            member.wait(START_S)
        except subprocess.TimeoutExpired:
            pass  # no classes then
        finally:
            process.kill(member)
