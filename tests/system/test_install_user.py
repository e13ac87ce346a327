"""`make install-user`: all of it under `systemctl --user`, for people without root."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from support.hazelcast_member import Member, free_port
from support.install import INSTALL_TIMEOUT_S, copy_source, make, of_version, prepared
from support.machine import Machine, until
from support.prefect_server import client_pointed_to
from support.prefect_units import RUN_S, SERVE, SERVER, Prefect, make_blocks
from support.service import SCANS, Bridge
from support.user_session import UserSession
from support.watch import CHECK, OFTEN, SHORT, STATE, TIMER, URLS, Inbox, Watch

pytestmark = [pytest.mark.systemd, pytest.mark.hazelcast]

USER = "someone"
HOME = f"/home/{USER}"
UNIT = "dolphin-scan-bridge"
COPY = f"{HOME}/checkout"
DASHBOARD = "dolphin-scan-bridge-dashboard.service"
SOON = (
    "[Service]\nExecStart=\nExecStart=/opt/scan-bridge/bin/scan-bridge-health check --all --act --exit-zero "
    "--unless-checked-within 10s\n"
)


def session_on(machine: Machine) -> UserSession:
    """Of an ordinary user who lingers, with a checkout."""
    session = UserSession(machine, USER)
    check_out(machine)
    return session


def check_out(machine: Machine) -> None:
    """This checkout, as the user's own."""
    copy_source(machine, COPY)
    machine.run("chown", "-R", USER, COPY)


@pytest.fixture
def session(fresh: Machine) -> UserSession:
    session = session_on(fresh)
    fresh.run("chown", USER, SCANS)  # the producer is the user too
    return session


def installed_units(session: UserSession) -> list[str]:
    """The paths of the units, which systemd has nothing against."""
    units = session.run("sh", "-c", f"ls -d {HOME}/.config/systemd/user/dolphin-scan-bridge*").stdout.split()
    assert session.run("systemd-analyze", "--user", "verify", "--man=no", *units).stdout == ""
    return [unit.rpartition("/")[2] for unit in units]


def assert_gone(session: UserSession) -> None:
    """Nothing runs, and what is left is what uninstall keeps: the config and the state."""
    assert session.run("pgrep", "-u", USER, "-f", "scan-bridge", check=False).stdout == ""
    places = f"{HOME}/.local/opt {HOME}/.local/bin {HOME}/.config/systemd"
    assert session.run("sh", "-c", f"find {places} -name '*scan-bridge*'").stdout == ""
    assert session.run("sh", "-c", f"ls -d {HOME}/.prefect /tmp/tmp.* 2>/dev/null || true").stdout == ""


def test_it_installs_runs_survives_upgrades_and_uninstalls(
    session: UserSession, fresh: Machine, own_member: Member
) -> None:
    output = make(fresh, "install-user", source=COPY, user=USER, PREFECT="no")
    assert "systemctl --user enable --now dolphin-scan-bridge" in output
    assert "enable-linger" in output
    bridge = Bridge(session, own_member, "scans", own_member.client())
    bridge.configure()
    session.run("systemctl", "enable", "--now", UNIT)
    bridge.publishes()

    assert SERVER not in installed_units(session)
    first = bridge.pid
    assert session.run("ps", "-o", "user=", "-p", str(first)).stdout.strip() == USER
    session.run("kill", "-9", str(first))
    bridge.publishes()
    assert bridge.pid != first

    of_version(fresh, "1.0.99", COPY)
    second = bridge.pid
    make(fresh, "upgrade-user", source=COPY, user=USER)
    assert bridge.pid != second
    bridge.publishes()
    bridge.tells_version("1.0.99")
    for folder in (f"{HOME}/.local/opt/scan-bridge/bin", f"{COPY}/scripts"):
        assert "active (running)" in session.run(f"{folder}/scan_bridge_restart.sh", "--user").stdout
    assert "alive, heartbeat" in session.run("scan-bridge", "status").stdout, "the user's own config is found"

    make(fresh, "uninstall-user", source=COPY, user=USER)
    assert_gone(session)
    assert session.run("ls", f"{HOME}/.config/scan-bridge").stdout.split() == ["config.toml", "state"]


class Watched:
    """The bridge, its check by Prefect, the timer and the dashboard, all of a user's."""

    def __init__(self, session: UserSession, member: Member, inbox: Inbox) -> None:
        self.session = session
        self.bridge = Bridge(session, member, "scans", member.client())
        self.watch = Watch(session, self.bridge, inbox)
        self.page = f"127.0.0.1:{free_port()}"  # the machine shares the host's network
        session.write(URLS, inbox.urls, mode="0600")
        self.bridge.configure(
            **{
                **SHORT,
                "health__spare_urls_file": f'"{HOME}/.config/scan-bridge/spare-urls"',
                "health__probe_timeout_s": "20.0",  # beside a Prefect server that starts, a probe takes long
                "health__rules__cpu__enabled": "false",
                "health__dashboard__listen": f'"{self.page}"',
            }
        )
        self.prefect = Prefect(session, f"{HOME}/.config/scan-bridge/prefect")  # under %S of Debian 12
        # Both made quicker, as a user would change them.
        for name, unit, text in (("often", TIMER, OFTEN), ("soon", CHECK, SOON)):
            session.write(f"/run/systemd/system/{unit}.d/{name}.conf", session.own(text))
        session.run("systemctl", "daemon-reload")

    def pids(self) -> set[str]:
        """Of what runs."""
        return {self.session.show(unit, "MainPID")["MainPID"] for unit in (UNIT, SERVE, DASHBOARD)}

    def completed_by(self) -> str:
        """Who ran the last check."""
        return str(json.loads(self.session.read(f"{STATE}/state.json"))["completed_by"])

    def until_told(self, inbox: Inbox, text: str) -> None:
        """Wait until ops was told this."""
        until(lambda: any(text in message.body for message in inbox.to("ops")), RUN_S, self.log)

    def shown(self) -> dict[str, str]:
        """The dashboard's sources, as the page would show them now."""
        try:
            with urllib.request.urlopen(f"http://{self.page}/api/state", timeout=5) as answer:
                return {source["name"]: source["state"] for source in json.load(answer)["sources"]}
        except OSError:
            return {}

    def log(self) -> str:
        """What all of it logged last."""
        return self.prefect.log() + self.bridge.log()


def install_over_another(machine: Machine) -> None:
    """By the user, version 1.0.97 with all that goes with it, then this checkout's."""
    session_on(machine)
    of_version(machine, "1.0.97", COPY)
    make(machine, "install-user", source=COPY, user=USER)
    check_out(machine)
    make(machine, "install-user", source=COPY, user=USER)


@pytest.fixture
def installed_machine(boot: Callable[[Path], Machine]) -> Iterator[Machine]:
    """A machine of its own on which the user has installed all of it."""
    machine = boot(prepared("installed_by_user", install_over_another))
    machine.run("chown", USER, SCANS)
    yield machine
    machine.stop()


@pytest.fixture
def watched(installed_machine: Machine, own_member: Member, inbox: Inbox) -> Iterator[Watched]:
    watched = Watched(UserSession(installed_machine, USER), own_member, inbox)
    watched.bridge.start()
    watched.prefect.start_anew()
    with client_pointed_to(watched.prefect.api_url):
        make_blocks(inbox)
        yield watched


@pytest.mark.prefect
@pytest.mark.xdist_group("prefect_units_of_a_user")  # among the first, for it is the longest
def test_the_users_own_manager_runs_the_whole_watch(
    watched: Watched, installed_machine: Machine, inbox: Inbox, own_member: Member
) -> None:
    session, bridge, prefect = watched.session, watched.bridge, watched.prefect
    assert {SERVER, SERVE, CHECK, TIMER, DASHBOARD} <= set(installed_units(session))
    with watched.watch.producer(), get_client(sync_client=True) as client:
        watched.watch.publishing()
        prefect.serve()
        until(lambda: prefect.run(client).state_name == "Healthy", RUN_S, watched.log)
        assert inbox.messages == []
        session.run("systemctl", "start", DASHBOARD)
        all_ok = dict.fromkeys(("Hazelcast", "Bridge", "systemd unit", "Health check", "Journal"), "ok")
        until(lambda: watched.shown() == all_ok, 60, lambda: f"{watched.shown()}\n{watched.log()}")

        session.run("cp", "/etc/scan-bridge/config.toml", "/etc/scan-bridge/idle.toml")  # its unit does not run
        checked = json.loads(session.run("scan-bridge-health", "check", "--all", "--json", check=False).stdout)
        assert [one["bridge"] for one in checked] == ["config"]

        frozen = bridge.kill("STOP")
        until(lambda: prefect.run(client) and inbox.to("ops"), RUN_S, watched.log)
        watched.until_told(inbox, "restarted by this check")
        assert bridge.pid not in (0, frozen)
        until(lambda: prefect.run(client).state_name == "Healthy" and not watched.watch.alerts(), RUN_S, watched.log)
        assert watched.completed_by() == "prefect"

        session.run("systemctl", "stop", SERVER)
        session.run("systemctl", "start", TIMER)
        until(lambda: watched.completed_by() == "timer", RUN_S, watched.log)
        inbox.messages.clear()
        own_member.kill()
        watched.until_told(inbox, "hazelcast (Hazelcast away)")

    session.run("systemctl", "start", f"dolphin-scan-bridge-alarm@{UNIT}.service")
    alarm = session.journal("--identifier=scan-bridge-alarm", "-u", UNIT)[-1]
    assert f"{UNIT}.service has failed" in alarm["MESSAGE"], "found under the failed unit's name"
    assert "Run: make" not in alarm["MESSAGE"], "its program is found"

    for is_older in (True, False):  # to the version before, and from that back again
        before = watched.pids()
        session.run(f"{COPY}/scripts/install.sh", "rollback", "--user", timeout_s=INSTALL_TIMEOUT_S)
        assert not watched.pids() & before, "each of them runs the other version"
        assert ("1.0.97" in session.run("scan-bridge", "--version").stdout) is is_older

    make(installed_machine, "uninstall-user", source=COPY, user=USER, PURGE="1")
    assert_gone(session)
    left = "find $HOME $XDG_RUNTIME_DIR -path $HOME/checkout -prune -o -name '*scan-bridge*' -print | grep -v systemd/"
    assert session.run("sh", "-c", left, check=False).stdout == ""


def test_root_is_told_to_use_the_other_installation(fresh: Machine) -> None:
    result = fresh.run("make", "-C", "/src", "install-user", check=False)
    assert result.returncode != 0
    assert "as root run: make install" in result.stderr
