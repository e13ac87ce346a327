"""`make demo FAULT=…`: what is broken and how it is mended, step by step, and whether the health check told it right.

A story is a generator: at each `yield` the screen is drawn anew. Where the demo stands in for systemd or an operator,
it says so on the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from health import GROUPS, HealthCheck, Inbox
from pieces import DemoError
from stage import Demo

from healthcheck.model.finding import Severity

Steps = Iterator[None]

CALM_S = 4.0  # time to read what is on the screen
STEP_S = 90.0  # deadline of each step; ten seconds is usual
CHECKS_AFTER = 2  # checks after the end that must not tell anything again

# systemd/dolphin-scan-bridge.service and its retry timer; the demo does the same.
RESTART_S = 0.1  # RestartSec
START_LIMIT = 5  # StartLimitBurst, within StartLimitIntervalSec=20


@dataclass(frozen=True)
class Fault:
    """Something to break, the alert it must raise, and what mends it."""

    title: str  # of the alert
    break_it: Callable[[Demo], Steps]
    mend_it: Callable[[Demo], Steps]


def stop_producer(demo: Demo) -> Steps:
    """No more scans."""
    demo.say("BREAK: the producer stops. The bridge is well, but the data grows old.")
    demo.end(demo.producer)
    yield


def resume_producer(demo: Demo) -> Steps:
    """As whoever runs the producer would."""
    demo.say("Restarting the bridge could not help here, so the check asked for none: people were told.")
    demo.say("MEND: the demo, as the producer's operator would, starts the producer again.")
    demo.start_producer()
    yield


def freeze_bridge(demo: Demo) -> Steps:
    """A process that is there but does nothing."""
    demo.say("BREAK: the bridge is frozen (kill -STOP), as in a deadlock. Its process is still there.")
    demo.bridge.freeze()
    yield


def restart_bridge(demo: Demo) -> Steps:
    """As systemd would."""
    demo.say("Installed, the check would now have systemd restart the bridge, or systemd's own watchdog would.")
    demo.say("MEND: there is no systemd unit here, so the demo kills the frozen bridge and starts it again.")
    demo.end(demo.bridge, kill=True)
    demo.start_bridge()
    yield


def kill_member(demo: Demo) -> Steps:
    """The cluster is gone, and all it held with it."""
    demo.say("BREAK: Hazelcast is killed (kill -9). All that its map held is gone.")
    demo.end(demo.member, kill=True)
    yield


def restart_member(demo: Demo) -> Steps:
    """As whoever runs Hazelcast would."""
    demo.say("Restarting the bridge could not help here, so the check asked for none: people were told.")
    demo.say("MEND: the demo, as Hazelcast's operator would, starts it again, empty. The bridge comes back by itself.")
    demo.start_member()
    yield


def crash_bridge(demo: Demo) -> Steps:
    """Killed as often as systemd's start limit takes to give up."""
    demo.say(
        f"BREAK: the bridge is killed (kill -9) each time it starts. The demo plays systemd: {RESTART_S:g} s later"
    )
    demo.say(f"it starts it again, {START_LIMIT} times; then, as systemd's start limit has it, no more.")
    demo.end(demo.bridge, kill=True)
    for _ in range(START_LIMIT):
        yield from pause(RESTART_S)
        demo.start_bridge()
        yield from pause(RESTART_S)
        demo.end(demo.bridge, kill=True)
    demo.say(f"The bridge was killed {START_LIMIT + 1} times and is left alone now.")
    yield


def retry_bridge(demo: Demo) -> Steps:
    """As the retry timer would."""
    demo.say("Installed, the check would also see each crash in systemd, and name it: process_crash. Here it only")
    demo.say("misses the bridge. The unit's retry timer, or the check, would start it again after half a minute.")
    demo.say("MEND: the demo does so now.")
    demo.start_bridge()
    yield


FAULTS = {
    "stall": Fault("hazelcast (bridge silent)", freeze_bridge, restart_bridge),
    "producer": Fault("stale_data (producer stopped)", stop_producer, resume_producer),
    "hazelcast": Fault("hazelcast (Hazelcast away)", kill_member, restart_member),
    "crash": Fault("hazelcast (bridge silent)", crash_bridge, retry_bridge),
}


def pause(seconds: float) -> Steps:
    """Let the screen go on for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield


def until(condition: Callable[[], bool], problem: str) -> Steps:
    """Let the screen go on until `condition` holds.

    Raises:
        DemoError: `problem`, after STEP_S.
    """
    deadline = time.monotonic() + STEP_S
    while not condition():
        if time.monotonic() > deadline:
            raise DemoError(f"{problem} after {STEP_S:g} s")
        yield


def tell(demo: Demo, fault: Fault) -> Steps:
    """Healthy, broken, told, mended, told so.

    Raises:
        DemoError: a step did not come in time.
    """
    health, inbox = demo.health, demo.inbox
    demo.say("All is well: the health check looks every 2 s, and nobody is told anything.")
    yield from until(lambda: is_healthy(health), "the health check did not find everything healthy")
    yield from pause(CALM_S)
    yield from fault.break_it(demo)
    told = "not everybody was told of it"
    yield from until(lambda: all(any(m.is_first for m in inbox.to(group)) for group in GROUPS), told)
    demo.say("The health check noticed, and told operations and trading.")
    yield from pause(CALM_S)
    yield from fault.mend_it(demo)
    told = "not everybody was told that it is over"
    yield from until(lambda: all(any(m.is_end for m in inbox.to(group)) for group in GROUPS), told)
    demo.say("The health check saw it mended, and told them so. Now nothing more may come.")
    done = health.completed
    yield from until(lambda: health.completed >= done + CHECKS_AFTER, "the health check did not go on")
    yield from until(lambda: is_healthy(health), "the health check did not find everything healthy again")


def is_healthy(health: HealthCheck) -> bool:
    """Whether the last check found nothing wrong, and nothing it could not tell."""
    return health.report is not None and health.report.severity is Severity.OK


def wrong(inbox: Inbox, fault: Fault) -> str | None:
    """What was wrong with what people were told; None if each group heard of this fault once, and of its end once."""
    for group in GROUPS:
        messages = inbox.to(group)
        first = [message for message in messages if message.is_first]
        ends = [message for message in messages if message.is_end]
        if (len(first), len(ends)) != (1, 1):
            return f"{group} got {len(first)} alerts and {len(ends)} all-clears instead of one each"
        if not first[0].headline.endswith(f": {fault.title}"):
            return f"{group} was told {first[0].headline!r} instead of {fault.title!r}"
        rule = fault.title.partition(" ")[
            0
        ]  # at the end the cause may be another: Hazelcast is back, the bridge not yet
        if not ends[0].headline.startswith(f"RESOLVED: {rule} "):
            return f"{group} was told {ends[0].headline!r} instead of the end of {fault.title!r}"
    return None
