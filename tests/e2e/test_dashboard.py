"""The dashboard in a real browser, over a real bridge and a real Hazelcast member: what is seen when things break."""

from __future__ import annotations

import re
import signal
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support import process
from support.bridge_process import BridgeProcess, Target, day, eventually, land
from support.browser import CHROMEDRIVER, CHROMIUM, CONTRASTS, Browser
from support.hazelcast_member import Member, free_port

from bridge.config import Source
from healthcheck.config.dashboard import Dashboard
from healthcheck.config.settings import Health, HealthConfig
from healthcheck.dashboard import document as page_document
from healthcheck.dashboard.last_run import PrefectRun
from healthcheck.dashboard.server import Server
from healthcheck.dashboard.sources import Heard, Overview
from healthcheck.keep.state import State
from healthcheck.model.alert import Alert
from healthcheck.model.finding import Severity
from healthcheck.model.observation import JournalLine

pytestmark = [pytest.mark.browser, pytest.mark.hazelcast]

COMMAND = str(Path(sys.executable).with_name("scan-bridge-health"))
SINCE = re.compile(r"since \d\d:\d\d:\d\d")
IMAGE = "<img src=x onerror=pwned()>.arrow"
RUN_URL = "http://127.0.0.1:4200/runs/flow-run/7f3c1f0e-0000-4000-8000-000000000000"
SCRIPT = '"><script>pwned()<'  # a file name has no slash


class DashboardProcess:
    """One `scan-bridge-health dashboard`."""

    def __init__(self, config_path: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._process = process.start([COMMAND, "dashboard", "--config", config_path], stdout=None)
        eventually(self._answers, "the dashboard answers")

    def _answers(self) -> bool:
        assert self._process.poll() is None, "the dashboard ended"
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Ask it to end; its exit status."""
        self._process.terminate()
        return self._process.wait(30)

    def close(self) -> None:
        """Kill it, if it runs."""
        process.kill(self._process)


class World:
    """A producer, a bridge and a dashboard, all of one test."""

    def __init__(self, folder: Path, target: Target, rules: dict[str, dict[str, Any]]) -> None:
        self.port = free_port()
        states = folder / "state", folder / "spare-state"
        for state in states:
            state.mkdir()
        health = {"scope": "remote", "state_dir": str(states[0]), "spare_state_dir": str(states[1])}
        sections = {f"health.rules.{name}": rule for name, rule in rules.items()}
        listen = {"listen": f"127.0.0.1:{self.port}"}
        hazelcast = {"call_timeout_s": 1.0, "connect_timeout_s": 2.0}
        self.bridge = BridgeProcess(
            folder / "bridge-1", target, hazelcast=hazelcast, health=health, **{"health.dashboard": listen}, **sections
        )
        self.bridge.start()
        self.dashboard = DashboardProcess(self.bridge.config_path, self.port)

    def land(self, name: str) -> str:
        """A new scan."""
        return land(self.bridge.root, f"{day()}/{name}")

    def health(self, *arguments: str) -> None:
        """Run a `scan-bridge-health` command of the operator's."""
        command = [COMMAND, *arguments, "--config", str(self.bridge.config_path)]
        process.run(command)

    def close(self) -> None:
        """End all."""
        self.dashboard.close()
        self.bridge.close()


NewWorld = Callable[..., World]


@pytest.fixture
def new_world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NewWorld]:
    made: list[World] = []

    def new(target: Target | None = None, **rules: dict[str, Any]) -> World:
        if target is None:
            member: Member = request.getfixturevalue("member")
            target = Target(member.address, member.cluster_name, request.getfixturevalue("map_name"))
        made.append(World(tmp_path, target, rules))
        return made[-1]

    if "own_member" not in request.fixturenames:
        request.getfixturevalue("map_name")  # bridges must be gone before the map is
    yield new
    for world in made:
        world.close()


@pytest.fixture
def new_bridge(tmp_path: Path) -> Iterator[Callable[[World, str], BridgeProcess]]:
    """Makes one more bridge for the same scans, as another host has it; not started yet."""
    made: list[BridgeProcess] = []

    def new(world: World, name: str) -> BridgeProcess:
        made.append(BridgeProcess(tmp_path / name, world.bridge.target, root=world.bridge.root))
        return made[-1]

    yield new
    for bridge in made:
        bridge.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The running browser."""
    if not (CHROMIUM.exists() and CHROMEDRIVER.exists()):
        pytest.fail("no browser; run: apt-get install chromium chromium-driver", pytrace=False)
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        browser = Browser(Path(folder))
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Browser]:
    """The browser. After the test: nothing was asked of another server, and the console is silent.

    A script that came in by a name would call pwned(), which is not there: an error in the console.
    """
    yield chromium
    origin = chromium.run("return location.origin")
    foreign = [url for url in chromium.requests() if not url.startswith(f"{origin}/") and url != "about:blank"]
    assert not foreign
    gone = "net::ERR_"  # the browser's own words for a server that does not answer
    assert not [line for line in chromium.console() if gone not in line]


def test_healthy_it_says_so_and_shows_the_newest_scan(new_world: NewWorld, page: Browser) -> None:
    world = new_world()
    path = world.land("first.arrow")
    page.open(world.dashboard.url)
    page.wait_text("#verdict-word", "Healthy")
    page.wait_text("#scan-path", path)
    since = page.wait_text("#verdict-since", "since")  # "at least since …", if it was so at the server's first look
    assert SINCE.search(since.replace("at least ", ""))
    assert page.run("return document.getElementById('verdict-shape').getAttribute('href')") == "#shape-ok"
    assert "Healthy" in page.driver.title
    assert "ok\tHazelcast" in page.text("#sources")
    eventually(lambda: re.fullmatch(r"[\d.,]+ m?s", page.text("#lag")), lambda: f"a lag, not {page.text('#lag')}")
    later = world.land("second.arrow")
    page.wait_text("#scan-path", later)
    page.wait_text("#rate", "2")
    assert world.dashboard.end() == 0


def test_all_bridges_are_shown_each_of_the_host_with_its_page_and_one_that_is_away_is_not_called_well(
    new_world: NewWorld, new_bridge: Callable[[World, str], BridgeProcess], page: Browser, tmp_path: Path
) -> None:
    world = new_world()
    world.dashboard.end()
    elsewhere = new_bridge(world, "bridge-3").start()
    second = world.bridge.config_path.read_text().replace('"bridge-1"', '"bridge-2"')
    for folder in ("state", "spare-state"):  # two bridges share none
        assert f'"{tmp_path}/{folder}"' in second
        second = second.replace(f'"{tmp_path}/{folder}"', f'"{tmp_path}/{folder}-2"')
    world.bridge.config_path.with_name("second.toml").write_text(second)
    world.dashboard = DashboardProcess(world.bridge.config_path, world.port)
    world.land("scan.arrow")
    page.open(world.dashboard.url)
    page.wait_text("#bridges", "alive, active; watched by its own host")
    assert [row.split("\t")[1] for row in page.texts("#bridges tr")] == ["bridge-1", "bridge-2", "bridge-3"]
    assert page.texts("#bridges a") == ["bridge-2"], "the page of the other one of this host"

    elsewhere.kill()
    row = page.wait_text("#bridges tr:last-child", "silent: it is dead, frozen, or its host is away")
    assert row.startswith("unknown")
    page.run("document.querySelector('#bridges a').click()")
    page.wait_text("#instance", "bridge-2")
    page.wait_text("#verdict-word", "Critical")  # it was never started


def test_the_age_counts_while_no_scan_comes(new_world: NewWorld, page: Browser) -> None:
    world = new_world()
    path = world.land("only.arrow")
    page.open(world.dashboard.url)
    page.wait_text("#scan-path", path)
    first = int(page.wait_text("#age", " s").split()[0])
    eventually(lambda: int(page.text("#age").split()[0]) >= first + 3, "the age counts")


def test_stale_it_names_the_cause_and_what_to_do(new_world: NewWorld, page: Browser) -> None:
    world = new_world(stale_data={"warning_s": 1.0, "critical_s": 2.0})
    world.land("last.arrow")
    page.open(world.dashboard.url)
    page.wait_text("#verdict-word", "Critical")
    page.wait_text("#verdict-why", "producer stopped")
    assert page.run("return document.getElementById('verdict-shape').getAttribute('href')") == "#shape-critical"
    row = page.text("#findings tr")
    assert "critical" in row
    assert "stale_data" in row
    assert "Next: " in row
    assert page.text("#alerts") == "None known."  # no check has ever run
    world.health("check", "--act")
    card = page.wait_text("#alerts", "stale_data (producer stopped)")
    assert SINCE.search(card)
    assert "Next: " in card
    assert page.text("#alerts-count") == "(1)"


def test_hazelcast_away_it_is_unknown_since_then(own_member: Member, new_world: NewWorld, page: Browser) -> None:
    target = Target(own_member.address, own_member.cluster_name, "scan_bridge")
    world = new_world(target, high_lag={"warning_s": "off"})
    path = world.land("scan.arrow")
    page.open(world.dashboard.url)
    page.wait_text("#verdict-word", "Healthy")
    page.wait_text("#scan-path", path)
    own_member.kill()
    page.wait_text("#age", "unknown")
    assert page.text("#verdict-word") in ("Unknown", "Critical")  # never an old green
    assert SINCE.search(page.text("#age-note"))
    assert page.text("#lag") == page.text("#rate") == page.text("#up") == "unknown"
    assert re.search(r"unknown\tHazelcast\tunknown since \d\d:\d\d:\d\d", page.text("#sources"))
    page.wait_text("#verdict-why", "Hazelcast away")
    assert page.text("#verdict-word") == "Critical"
    own_member.start()
    path = world.land("later.arrow")
    page.wait_text("#scan-path", path)
    page.wait_text("#verdict-word", "Healthy")


def test_a_killed_bridge_is_silent(new_world: NewWorld, page: Browser) -> None:
    world = new_world(hazelcast={"heartbeat_max_s": 2.0})
    world.land("scan.arrow")
    page.open(world.dashboard.url)
    page.wait_text("#verdict-word", "Healthy")
    world.bridge.kill()
    page.wait_text("#up", "silent")
    page.wait_text("#verdict-word", "Critical")
    assert "bridge silent" in page.text("#verdict-why")
    assert re.search(r"bad\tBridge\tsilent since \d\d:\d\d:\d\d", page.text("#sources"))


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP], ids=["gone", "frozen"])
def test_without_its_server_the_page_knows_nothing(new_world: NewWorld, page: Browser, by: signal.Signals) -> None:
    world = new_world()
    world.land("scan.arrow")
    page.open(world.dashboard.url)
    page.wait_text("#verdict-word", "Healthy")
    world.dashboard.send(by)
    page.wait_text("#verdict-word", "Unknown")
    assert SINCE.search(page.text("#verdict-since"))
    assert SINCE.search(page.text("#live-words"))
    assert page.text("#age") == page.text("#lag") == page.text("#rate") == page.text("#up") == "unknown"
    assert "Unknown" in page.driver.title
    if by is signal.SIGSTOP:
        world.dashboard.send(signal.SIGCONT)
    else:
        world.dashboard = DashboardProcess(world.bridge.config_path, world.port)
    page.wait_text("#verdict-word", "Healthy")
    page.wait_text("#live-words", "live")


@pytest.mark.parametrize("name", [IMAGE, f"{SCRIPT}.arrow"], ids=["image", "script"])
def test_a_file_name_is_text(new_world: NewWorld, page: Browser, name: str) -> None:
    world = new_world(stale_data={"warning_s": 0.1, "critical_s": 0.2})
    path = world.land(name)
    page.open(world.dashboard.url)
    page.wait_text("#scan-path", path)
    page.wait_text("#findings", name)
    world.health("mute", "10m", "--why", f"{IMAGE}{SCRIPT}")
    world.health("check", "--act")
    page.wait_text("#alerts", name)
    page.wait_text("#mute", IMAGE)
    assert page.run("return document.querySelectorAll('main img, main script, main [onerror]').length") == 0


@pytest.fixture
def foreign_page() -> Iterator[str]:
    """The address of a page whose every source speaks markup, and at great length."""
    now = datetime.now(UTC)
    text = f"{IMAGE} {SCRIPT} " + "x" * 400
    lines = tuple(JournalLine(now, priority, text) for priority in (4, 3, 2))
    alert = Alert("stale_data", now, Severity.CRITICAL, text, (text, text), text, ("stale_data",), now)
    past = replace(alert, resolved_at=now, done=(text,))
    overview = Overview(
        warnings=Heard(lines, now, None),
        state=Heard(State(alerts=(alert,), past=(past,), completed_at=now, completed_by=text), now, None),
        in_map=Heard(problem=text),
        run=Heard(PrefectRun(RUN_URL, text, text, ""), now, None),
    )
    config = HealthConfig(source=Source(root=Path("/data")), health=Health())
    history = {"start_s": 0, "step_s": 15, "age_s": [1.0, None, 2.0], "lag_ms": [105.0] * 3, "per_min": [6.0] * 3}
    server = Server(
        Dashboard(listen=f"127.0.0.1:{free_port()}"),
        lambda _: page_document.document(overview, history, config, now, datetime.now(UTC)),
    )
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_journal_lines_and_alerts_are_text(foreign_page: str, page: Browser) -> None:
    page.open(foreign_page)
    assert page.wait_text("#journal", IMAGE).count(SCRIPT) == 3
    assert IMAGE in page.text("#alerts")
    assert IMAGE in page.text("#past")
    assert SCRIPT in page.text("#sources")
    assert IMAGE in page.text("#prefect")
    assert page.run("return document.getElementById('prefect').href") == RUN_URL
    assert page.run("return document.querySelectorAll('main img, main script, main [onerror]').length") == 0


def test_markup_would_be_refused_even_if_the_page_made_some(foreign_page: str, page: Browser) -> None:
    page.open(foreign_page)
    page.wait_text("#journal", IMAGE)
    refused = page.run("try { document.body.innerHTML = 'x'; return 'taken' } catch (error) { return error.name }")
    assert refused == "TypeError"
    assert any("TrustedHTML" in line for line in page.console())


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_needs_sideways_scrolling(foreign_page: str, page: Browser, width: int) -> None:
    page.open(foreign_page, width=width)
    page.wait_text("#journal", IMAGE)
    assert page.run("return document.documentElement.scrollWidth") <= width
    wide = "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert page.run(wide) == 0
    cut_off = (
        "return [...document.querySelectorAll('.plot text')].filter((text) => {"
        " const [a, b] = [text, text.ownerSVGElement].map((e) => e.getBoundingClientRect());"
        " return a.left < b.left || a.right > b.right }).map((text) => text.textContent)"
    )
    assert page.run(cut_off) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_background(foreign_page: str, page: Browser, dark: bool) -> None:
    page.open(foreign_page, dark=dark)
    page.wait_text("#journal", IMAGE)
    is_dark = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((c) => c < 64)"
    assert page.run(is_dark) is dark
    contrasts = page.run(CONTRASTS)
    assert len(contrasts) > 50
    assert [item for item in contrasts if item[1] < item[2]] == []


def test_the_keyboard_reaches_everything_in_the_order_of_reading(foreign_page: str, page: Browser) -> None:
    page.open(foreign_page)
    page.wait_text("#journal", IMAGE)
    expected = page.run(
        "return [...document.querySelectorAll('a[href], button, summary, [tabindex=\"0\"]')]"
        ".filter((e) => e.checkVisibility()).map((e) => e.getAttribute('aria-labelledby') ?? e.textContent)"
    )
    reached = []
    for _ in expected:
        page.tab()
        reached.append(
            page.run("const e = document.activeElement; return e.getAttribute('aria-labelledby') ?? e.textContent")
        )
        assert page.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert reached == expected
    assert len(reached) == 6


def test_a_screen_reader_finds_its_way(foreign_page: str, page: Browser) -> None:
    page.open(foreign_page)
    page.wait_text("#journal", IMAGE)
    assert page.run("return document.querySelectorAll('[aria-live]').length") == 1
    assert page.run("return document.querySelector('[aria-live=polite]').innerText").startswith("Unknown")
    assert page.run("return ['header', 'main', 'footer'].every((n) => document.querySelectorAll(n).length === 1)")
    assert page.run("return [...document.querySelectorAll('table')].every((t) => t.caption?.textContent)")
    assert page.run("return [...document.querySelectorAll('section')].every((s) => s.querySelector('h2'))")
    labels = page.run("return [...document.querySelectorAll('svg[role=img]')].map((s) => s.getAttribute('aria-label'))")
    assert [label.split(":")[0] for label in labels] == [
        "Age of the newest scan",
        "Lag from file to Hazelcast",
        "Scans per minute",
    ]
    assert "last 2 s, highest 2 s at 00:00, unknown for 15 s" in labels[0]


def test_drawing_anew_leaves_the_rest_of_the_page_alone(foreign_page: str, page: Browser) -> None:
    page.open(foreign_page)
    page.wait_text("#journal", IMAGE)
    page.run(
        "document.querySelector('#journal tr').dataset.kept = 'yes'; globalThis.height = document.body.offsetHeight"
    )
    before = page.text("#live-words")
    eventually(lambda: page.text("#live-words") != before, "a later answer")
    assert page.run("return document.querySelector('#journal tr').dataset.kept") == "yes"
    assert page.run("return document.body.offsetHeight === globalThis.height")
