"""Fixtures for every test: a real Hazelcast member, shared or of one's own.

A test that needs Hazelcast on a machine without it fails with one line. What else a machine lacks keeps the tests of
that mark from running (scripts/debian.sh knows it); in CI that is a failure. Nothing is skipped in silence.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hazelcast
import pytest
from support.hazelcast_member import Member, MemberError
from support.leftovers import Watchman, keep_mounts_private
from support.shared_member import shared_member
from support.unmet import unmet

pytest_plugins = ["support.prefect_server"]
TESTS = Path(__file__).parent
# Before them what one worker must do; after them the long ones of the rest, then the quick ones.
LONGEST_FIRST = {"system": 1, "e2e": 2, "integration": 3}
MADE_ONCE = {"prefect_server", "chromium"}
WATCHMAN = pytest.StashKey[Watchman]()


def pytest_configure(config: pytest.Config) -> None:
    os.umask(0o022)  # whatever it was where the tests were started
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"  # where root's programs are; `su` leaves them out
    if not hasattr(config, "workerinput"):  # the workers of pytest-xdist are part of this run
        config.stash[WATCHMAN] = Watchman()
        keep_mounts_private()
    gc.disable()
    atexit.register(gc.freeze)  # nor is anything looked through once more at the end


def _running(start: Callable[[], Member]) -> Member:
    try:
        return start()
    except MemberError as error:
        problem = f"no Hazelcast member: {error}"
    pytest.fail(problem, pytrace=False)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What a command sets up in this process is gone afterwards, with the stream of the test that it writes to."""
    root, client = logging.getLogger(), logging.getLogger("hazelcast")
    before = root.handlers[:], root.level, client.handlers[:], client.propagate
    yield
    root.handlers[:], level, client.handlers[:], client.propagate = before
    root.setLevel(level)


@pytest.fixture(scope="session")
def member() -> Iterator[Member]:
    """One running member, shared by all tests of all workers: use only your own map (`map_name`), never stop it."""
    member = _running(shared_member)
    yield member
    member.close()


@pytest.fixture(scope="session")
def spare_members() -> Iterator[list[Member]]:
    """Members that tests had for their own, and that run still: to start one takes a second."""
    spare: list[Member] = []
    yield spare
    for member in spare:
        member.close()


@pytest.fixture
def own_member(spare_members: list[Member]) -> Iterator[Member]:
    """A running member for one test, empty, to stop, kill or freeze."""
    # Cleared now, not when it was given back: what wrote into it may have outlived it by a moment, or it itself died.
    spare = spare_members.pop() if spare_members else None
    member = spare if spare and spare.clear() else _running(Member().start)
    yield member
    if member.rest():
        spare_members.append(member)
    else:
        member.close()


@pytest.fixture(scope="session")
def client(member: Member) -> hazelcast.HazelcastClient:
    """A plain client of the shared member."""
    return member.client()


@pytest.fixture
def map_name(request: pytest.FixtureRequest, client: hazelcast.HazelcastClient) -> Iterator[str]:
    """Name of a map on the shared member that no other test uses; destroyed afterwards."""
    name = re.sub(r"\W+", "_", request.node.nodeid)
    yield name
    for made in (name, f"{name}_status"):
        client.get_map(made).blocking().destroy()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For pytest-xdist: what is costly to make is made by one worker, and the quick tests fill up the end.

    What this machine has not the means for is skipped, by its mark.
    """
    for item in items:
        for fixture in MADE_ONCE & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(fixture))

    def rank(item: pytest.Item) -> tuple[int, str]:
        of_the_rest = 4 if item.get_closest_marker("exhaustive") else 5
        by_folder = LONGEST_FIRST.get(item.path.relative_to(TESTS).parts[0], of_the_rest)
        groups = "_".join(mark.args[0] for mark in item.iter_markers("xdist_group"))
        return (0, groups) if groups else (by_folder, "")

    items.sort(key=rank)
    for mark, reason in unmet():
        for item in items:
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    gc.freeze()  # what was collected stays: to look through it for garbage takes a second each time
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"{item.nodeid}: skipped, but in CI everything must run"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    watchman = session.config.stash.get(WATCHMAN, None)
    left = watchman.sweep() if watchman else ""
    if left and reporter:
        reporter.write_line(f"\nthe tests left processes behind; they are ended now:\n{left}", red=True)
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    # pytest-xdist adds its group to a test's name, with which --last-failed finds it only half the way.
    cache = getattr(session.config, "cache", None)
    if cache and (failed := cache.get("cache/lastfailed", {})):
        cache.set("cache/lastfailed", failed | {re.sub(r"@[\w ]+$", "", name): True for name in failed})
