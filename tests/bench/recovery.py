"""After kill -9: how long until a scan that lands at that moment is published.

Under a real systemd, with the unit as it ships, where tests/system can boot one (root, systemd-nspawn, debootstrap);
else under a shell loop that waits as long as the unit does. The result says which it was.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from support.hazelcast_member import Member

from bench.processes import KEY, Bridge
from bench.scans import Folder, Template
from bench.sightings import Sightings

# The unit gives up for a while after five starts in 20 s; nothing of that here.
BETWEEN_KILLS_S = 5.0
RESTART_S = 0.1  # RestartSec= of the unit
INSTALL_S = 300.0


def kills_ms(
    folder: Folder,
    map_name: str,
    sightings: Sightings,
    template: Template,
    numbers: count[int],
    kills: int,
    kill: Callable[[], None],
) -> list[float]:
    """Kill so many times. Counted from just before the kill to the moment an independent client has the scan."""
    found = []
    land(folder, template, next(numbers))
    for _ in range(kills):
        number = next(numbers)
        sightings.wait(map_name, number - 1)
        time.sleep(BETWEEN_KILLS_S)
        begin_ns = time.monotonic_ns()
        kill()
        land(folder, template, number)
        found.append((sightings.wait(map_name, number) - begin_ns) / 1e6)
    return found


def land(folder: Folder, template: Template, number: int) -> None:
    """Let a scan appear."""
    folder.stage(number, template.numbered(number))
    folder.land(number, time.monotonic_ns)


def under_systemd(
    member: Member, place: Path, template: Template, numbers: count[int], kills: int
) -> list[float] | str:
    """`kills_ms` of the installed unit in a booted machine; why not, if there can be none."""
    from support.install import installed
    from support.machine import Machine
    from support.service import CONFIG, SCANS, UNIT
    from support.unmet import why_not

    if problem := why_not("systemd"):
        return problem
    place.chmod(0o755)  # the bridge reads it as its own user
    folder = Folder(place)
    with Machine(installed(), binds={place: SCANS}) as machine, Sightings(member, "systemd") as sightings:
        machine.write(CONFIG, config(f"{SCANS}/root", member, "systemd"))
        machine.run("systemctl", "start", UNIT)

        def kill() -> None:
            os.kill(machine.host_pid(int(machine.show(UNIT, "MainPID")["MainPID"])), signal.SIGKILL)

        return kills_ms(folder, "systemd", sightings, template, numbers, kills, kill)


def under_a_loop(member: Member, place: Path, template: Template, numbers: count[int], kills: int) -> list[float]:
    """`kills_ms` of a bridge that a shell starts again."""
    bridge = Bridge(member, place, name="loop")
    pid_path = place / "pid"
    script = f'while :; do "$@" & echo $! > {pid_path}; wait; sleep {RESTART_S}; done'
    with Sightings(member, bridge.map) as sightings, bridge.log_path.open("wb") as log:
        shell = subprocess.Popen(
            ["sh", "-c", script, "sh", *bridge.command()], stdout=log, stderr=log, start_new_session=True
        )
        try:
            return kills_ms(
                *(bridge.folder, bridge.map, sightings, template, numbers, kills),
                lambda: os.kill(int(pid_path.read_text()), signal.SIGKILL),
            )
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()


def config(root: str, member: Member, map_name: str) -> str:
    """For the installed bridge."""
    return (
        f'[source]\nroot = "{root}"\n[hazelcast]\nmembers = ["{member.address}"]\n'
        f'cluster_name = "{member.cluster_name}"\nmap = "{map_name}"\nscan_key = "{KEY}"\n'
    )
