"""`make install`, `upgrade` and `uninstall`, done as a user would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hazelcast import HazelcastClient
from support.hazelcast_member import Member
from support.install import INSTALL_TIMEOUT_S, SOURCE, WHEELS, copy_source, make, of_version, prepared
from support.machine import Machine, until
from support.service import CONFIG, UNIT, Bridge, FurtherBridge

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

COPY = "/root/scan-bridge"
UNIT_DIR = "/usr/local/lib/systemd/system"
TOUCHED = ("/opt", "/etc", "/usr/local", "/usr/lib/systemd")


def install_over_another(machine: Machine) -> None:
    """Version 1.0.97, then this checkout's."""
    copy_source(machine, COPY)
    of_version(machine, "1.0.97", COPY)
    make(machine, "install", source=COPY, PREFECT="no")
    make(machine, "install")


@pytest.fixture
def running(
    boot: Callable[[Path], Machine], member: Member, map_name: str, client: HazelcastClient
) -> Iterator[Bridge]:
    """On a machine of its own: installed over another version, configured, enabled and publishing; with a copy of the
    checkout to change."""
    machine = boot(prepared("installed_over_another", install_over_another))
    copy_source(machine, COPY)
    bridge = Bridge(machine, member, map_name, client)
    bridge.configure()
    bridge.start()
    machine.run("systemctl", "enable", UNIT)
    bridge.publishes()
    yield bridge
    machine.stop()


@pytest.fixture
def dying(running: Bridge) -> str:
    """A further unit that dies during each start, and is started again and again."""
    unit, drop_in = "dolphin-scan-bridge@dying.service", "/run/systemd/system/dolphin-scan-bridge@dying.service.d"
    text = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/sleep 2\n"
    running.machine.write(f"{drop_in}/dying.conf", text)
    running.machine.run("systemctl", "daemon-reload")
    running.machine.run("systemctl", "start", "--no-block", unit)
    return unit


@pytest.fixture
def further(running: Bridge, member: Member, map_name: str, client: HazelcastClient) -> FurtherBridge:
    """A further one beside it, configured and not started."""
    bridge = FurtherBridge(running.machine, member, f"{map_name}_b", client)
    bridge.configure()
    return bridge


def release(machine: Machine) -> str:
    return machine.run("readlink", "/opt/scan-bridge").stdout.strip()


def files(machine: Machine, *places: str) -> str:
    """Every file below these places, with its content's checksum."""
    return machine.run("sh", "-c", f"find {' '.join(places)} -type f -exec sha256sum {{}} + | sort").stdout


def make_fails(machine: Machine, target: str, source: str = SOURCE, *variables: str) -> str:
    """What a target prints that must fail."""
    command = ("make", "--no-print-directory", "-C", source, target, f"WHEELS={WHEELS}", *variables)
    result = machine.run(*command, check=False, timeout_s=INSTALL_TIMEOUT_S)
    assert result.returncode != 0
    return result.stdout + result.stderr


def installed_by(machine: Machine) -> str:
    """What installed the packages: "uv" or "pip"."""
    return machine.run(
        "sh", "-c", "cat /opt/scan-bridge/lib/python3.*/site-packages/pyarrow-*.dist-info/INSTALLER"
    ).stdout.strip()


def test_a_first_install_is_complete_and_says_what_to_type_next(fresh: Machine) -> None:
    output = make(fresh, "install", PREFECT="no")
    assert installed_by(fresh) == "uv"
    assert fresh.run("sh", "-c", "ls -d /root/.cache /root/.local || true").stdout == "", "uv leaves nothing behind"
    commands = [line.strip().split("  ")[0] for line in output.split("Next:")[1].splitlines() if line.strip()]
    assert len(commands) == 3
    assert commands[1] == "systemctl enable --now dolphin-scan-bridge"
    assert fresh.run("scan-bridge", "--version").stdout.startswith("scan-bridge ")
    assert fresh.run("stat", "-c", "%U:%G %a", CONFIG).stdout.strip() == "root:dolphin 640"
    assert fresh.run("scan-bridge", "check-config", user="dolphin").returncode == 0
    assert fresh.show(UNIT, "ActiveState")["ActiveState"] == "inactive", "nothing starts before it is configured"
    fresh.run("sh", "-c", commands[1])
    assert fresh.show(UNIT, "ActiveState", "UnitFileState") == {"ActiveState": "active", "UnitFileState": "enabled"}


def test_installing_again_changes_nothing_and_restarts_nothing(running: Bridge) -> None:
    before, pid = files(running.machine, *TOUCHED), running.pid
    output = make(running.machine, "install", source=COPY)
    assert "nothing to build" in output
    assert "wrote" not in output
    assert files(running.machine, *TOUCHED) == before
    assert running.pid == pid


def test_an_upgrade_keeps_the_config_and_a_rollback_mends_what_it_broke(
    running: Bridge, further: FurtherBridge, dying: str
) -> None:
    machine = running.machine
    config, old, pid = machine.read(CONFIG), release(machine), running.pid
    old_version = machine.run("scan-bridge", "--version").stdout.split()[1]
    of_version(machine, "1.0.99", COPY)
    # A unit that the new version no longer has.
    for place in (f"{old}/share/scan-bridge/units", UNIT_DIR):
        machine.write(f"{place}/dolphin-scan-bridge-bygone.service", "[Service]\nExecStart=/bin/sleep 1000\n")
    machine.run("systemctl", "start", "dolphin-scan-bridge-bygone")
    further.start()
    until(lambda: machine.show(dying, "NRestarts")["NRestarts"] != "0", 60, running.log)
    output = make(machine, "upgrade", source=COPY)
    assert f"{dying}: still failing" in output, f"what died before does not speak against the new version\n{output}"
    assert machine.show("dolphin-scan-bridge-bygone", "LoadState", "ActiveState") == {
        "LoadState": "not-found",
        "ActiveState": "inactive",
    }
    assert "restarted dolphin-scan-bridge.service" in output
    assert "restarted dolphin-scan-bridge@b.service" in output
    assert machine.read(CONFIG) == config
    assert machine.run("scan-bridge", "--version").stdout.strip() == "scan-bridge 1.0.99"
    assert release(machine) != old
    assert running.pid != pid
    running.publishes()
    running.tells_version("1.0.99")

    machine.run("sh", "-c", "echo 'raise SystemExit(1)' >> /opt/scan-bridge/lib/python3.11/site-packages/bridge/cli.py")
    machine.run("systemctl", "restart", UNIT, check=False)
    until(lambda: running.show("ActiveState") in ("failed", "activating"), 60, running.log)
    machine.run(f"{COPY}/scripts/install.sh", "rollback")
    assert release(machine) == old
    running.publishes()
    running.tells_version(old_version)


def test_a_rollback_to_a_version_of_one_bridge_a_host_is_refused_while_another_one_runs(
    running: Bridge, further: FurtherBridge
) -> None:
    machine = running.machine
    # As version 1.0 was: without a unit for further ones.
    previous = machine.run("readlink", "-f", "/opt/scan-bridge.releases/previous").stdout.strip()
    places = [f"{place}/dolphin-scan-bridge@.service" for place in (f"{previous}/share/scan-bridge/units", UNIT_DIR)]
    machine.run("rm", places[0])
    further.start()
    new, pids = release(machine), (running.pid, further.pid)

    refused = machine.run(f"{COPY}/scripts/install.sh", "rollback", check=False)

    assert refused.returncode == 1
    assert "knows only one bridge a host" in refused.stderr
    assert f"systemctl disable --now {further.unit}" in refused.stderr
    assert (release(machine), (running.pid, further.pid)) == (new, pids), "nothing was switched or touched"
    machine.run("systemctl", "disable", "--now", further.unit)
    machine.run(f"{COPY}/scripts/install.sh", "rollback")
    assert release(machine) == previous
    running.publishes()


BREAKAGES = {
    # what is done to the new version's sources: how the upgrade must fail
    "does not build": ("echo 'nonsense =' >> pyproject.toml", "could not be built"),
    "refuses the config": (
        "sed -i 's/^class Source(Section):/class Source(Section):\\n    wanted: int/' bridge/config.py",
        "source.wanted: missing",
    ),
    "starts and dies": (
        "sed -i 's/^    async def _supervise(.*/&\\n        self._notify.ready(); os._exit(1)/'"
        " bridge/service/daemon.py",
        "is running again",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_failed_upgrade_leaves_the_old_version_running(running: Bridge, breakage: str) -> None:
    machine = running.machine
    command, reason = BREAKAGES[breakage]
    old, pid, units = release(machine), running.pid, files(machine, "/usr/local", "/etc/polkit-1")
    releases = machine.run("ls", "/opt/scan-bridge.releases").stdout
    before = files(machine, f"{COPY}/bridge", f"{COPY}/pyproject.toml")
    machine.run("sh", "-c", f"cd {COPY} && {command}")
    assert files(machine, f"{COPY}/bridge", f"{COPY}/pyproject.toml") != before, "the breakage must be in the sources"
    assert reason in make_fails(machine, "upgrade", COPY)
    assert release(machine) == old
    assert files(machine, "/usr/local", "/etc/polkit-1") == units
    assert machine.run("ls", "/opt/scan-bridge.releases").stdout == releases
    if reason != "is running again":
        assert running.pid == pid, "it was not even touched"
    assert running.show("ActiveState") == "active"
    running.publishes()


def test_uninstall_leaves_config_and_state_for_the_next_install_and_purge_removes_all(
    running: Bridge, further: FurtherBridge
) -> None:
    machine = running.machine
    config = machine.read(CONFIG)
    further.start()
    machine.run("systemctl", "enable", further.unit)
    # A second bridge as version 1.0 had to be made: not ours to stop, so nothing is pulled from under it.
    by_hand = "[Service]\nExecStart=/opt/scan-bridge/bin/python -c 'import time; time.sleep(1000)'\n"
    machine.write("/run/systemd/system/by-hand.service", by_hand)
    machine.run("systemctl", "start", "by-hand")
    refusal = make_fails(machine, "uninstall", COPY)
    assert "nothing was removed; stop them first" in refusal
    assert "by-hand.service" in refusal
    assert running.show("ActiveState") == further.show("ActiveState") == "active"
    machine.run("systemctl", "stop", "by-hand")
    output = make(machine, "uninstall", source=COPY)
    assert "PURGE=1" in output
    assert "stopped dolphin-scan-bridge@b.service" in output
    everywhere = f"find / -xdev \\( -path /proc -o -path /tmp -o -path /run -o -path {COPY} -o -path /src \\) -prune -o"
    left = machine.run("sh", "-c", f"{everywhere} -name '*scan-bridge*' -print").stdout.split()
    assert sorted(left) == ["/etc/scan-bridge", "/var/lib/scan-bridge", "/var/lib/scan-bridge@b"]
    assert machine.read(CONFIG) == config
    assert machine.read("/var/lib/scan-bridge/in-hand")
    assert machine.run("pgrep", "-u", "dolphin", check=False).stdout == ""
    assert machine.run("systemctl", "cat", UNIT, check=False).returncode != 0

    output = make(machine, "install", source=COPY, PREFECT="no")
    assert f"wrote {CONFIG}" not in output
    assert machine.read(CONFIG) == config
    machine.run("systemctl", "start", UNIT)
    running.publishes()

    make(machine, "uninstall", source=COPY, PURGE="1")
    assert machine.run("sh", "-c", f"{everywhere} -name '*scan-bridge*' -print").stdout == ""
    assert machine.run("id", "dolphin", check=False).returncode != 0
    make(machine, "uninstall", source=COPY)  # once more does no harm


def test_another_prefix_and_user_are_used_throughout_and_remembered(
    fresh: Machine, member: Member, map_name: str, client: HazelcastClient
) -> None:
    fresh.run("useradd", "--user-group", "collector")
    make(fresh, "install", PREFECT="no", PREFIX="/srv/apps/bridge", SERVICE_USER="collector")
    bridge = Bridge(fresh, member, map_name, client)
    bridge.configure()
    bridge.start()
    bridge.publishes()
    assert fresh.run("ps", "-o", "user=", "-p", str(bridge.pid)).stdout.strip() == "collector"
    assert fresh.run("id", "dolphin", check=False).returncode != 0, "not made where it is not used"
    assert fresh.run("sh", "-c", "grep -rl /opt/scan-bridge /usr/local /etc || true").stdout == ""
    assert "nothing to build" in make(fresh, "install", PREFIX="/srv/apps/bridge"), "the user need not be named again"


def test_destdir_stages_a_tree_that_works_when_moved_and_touches_nothing_else(fresh: Machine) -> None:
    fresh.run("sh", "-c", f"mkdir /root/wheels && ln -s {WHEELS}/* /root/wheels && rm /root/wheels/uv-*")
    before = files(fresh, *TOUCHED)
    copy_source(fresh, COPY)
    fresh.run("chmod", "--recursive", "go=", COPY)  # as cloned with umask 077
    make(fresh, "install", source=COPY, PREFECT="no", DESTDIR="/root/stage", WHEELS="/root/wheels")
    assert files(fresh, *TOUCHED) == before
    assert fresh.run("id", "dolphin", check=False).returncode != 0
    assert fresh.run("sh", "-c", "grep -rl /root/stage /root/stage || true").stdout == ""
    fresh.run("sh", "-c", "cp -a /root/stage/. / && systemd-sysusers && systemctl daemon-reload && rm -r /root/stage")
    assert installed_by(fresh) == "pip", "there was no uv for it"
    assert fresh.run("find", "/opt/scan-bridge/", "!", "-perm", "-a=r").stdout == ""
    assert fresh.run("scan-bridge", "--version").stdout.startswith("scan-bridge ")
    fresh.run("chgrp", "dolphin", CONFIG)
    fresh.run("systemctl", "start", UNIT)
    assert fresh.show(UNIT, "ActiveState")["ActiveState"] == "active"


def test_what_cannot_be_done_is_refused_before_anything_is_changed(fresh: Machine) -> None:
    before = files(fresh, *TOUCHED)
    output = make_fails(fresh, "install", SOURCE, "SERVICE_USER=nobody-here")
    assert "SERVICE_USER=nobody-here: no such user" in output
    assert "nothing is installed at /opt/scan-bridge; run: make install" in make_fails(fresh, "upgrade")
    assert "must be an absolute path" in make_fails(fresh, "install", SOURCE, "PREFIX=opt")
    fresh.run("sh", "-c", "cd /root && mkdir -p py/bin && cp /usr/bin/python3 py/bin && ln -s /usr/lib py")
    refusal = "/root/py/bin/python3 lies in /root/py, out of the services' reach; give another with PYTHON="
    assert refusal in make_fails(fresh, "install", SOURCE, "PYTHON=/root/py/bin/python3")
    fresh.run("useradd", "--create-home", "someone")
    result = fresh.run(f"{SOURCE}/scripts/install.sh", "install", user="someone", check=False)
    assert result.stderr == "install.sh: needs root; run: sudo make install   (without root: make install-user)\n"
    fresh.run("sh", "-c", "rm -f /opt/*.lock /etc/*- ; true")
    assert [line for line in files(fresh, "/opt", "/usr/local").splitlines() if line not in before] == []
    fresh.write("/opt/scan-bridge/precious", "x")
    assert "was not made by this script" in make_fails(fresh, "install")
    assert fresh.read("/opt/scan-bridge/precious") == "x"
