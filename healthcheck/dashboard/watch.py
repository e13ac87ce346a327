"""Keeps looking, for the dashboard: at the map every second, at everything else as a check does, every ten.
While nobody asks what was seen, only so often that the plots go on and the first page is not old.

Looks only: it sends nothing, restarts nothing and writes nothing. Each source keeps its last answer and when that was,
so that the page can say since when something is not known.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from bridge.cluster import status_map
from bridge.cluster.connection import Cluster, ClusterError
from bridge.system.host import host_id
from healthcheck.check import Inspector
from healthcheck.config.settings import HealthConfig
from healthcheck.dashboard.history import PlotHistory
from healthcheck.dashboard.last_run import TIMEOUT_S as PREFECT_S
from healthcheck.dashboard.last_run import PrefectError, PrefectRun, last_run
from healthcheck.dashboard.sources import NOT_YET, Heard, InMap, Overview, next_verdict, scan_age_s
from healthcheck.judge.own_bridge import Watched, own_status
from healthcheck.keep.state import StateError, Store
from healthcheck.model.observation import JournalLine, Known, value_of
from healthcheck.observe import journal
from healthcheck.observe.cluster import parse_entry
from healthcheck.observe.commands import CommandError

T = TypeVar("T")

log = logging.getLogger(__name__)

CLIENT_NAME = "scan-bridge-dashboard"
POLL_S = 1.0
LOOK_S = 10.0
# Nobody has the page open that has not asked for so long: it asks every two seconds.
UNASKED_S = 15.0
UNASKED_POLL_S = 5.0
UNASKED_LOOK_S = 25.0  # the page calls a look old after 30 s
MOST_PAUSE_S = 5.0  # between attempts to connect
JOURNAL_LINES = 20
COMMAND_S = 5.0
HANGS_S = 10.0  # beyond the sum of its deadlines, a thread that has not come round hangs


class Watch:
    """Two threads that look, and what they saw."""

    def __init__(self, config: HealthConfig) -> None:
        """Nothing is looked at before `start`."""
        self._config = config
        self.started_at = datetime.now(UTC)
        self._inspector = Inspector(config)
        self._overview = Overview()
        self._history = PlotHistory()
        self._lock = threading.Lock()
        self._look_now = threading.Event()
        self._ended = False
        hazelcast = config.hazelcast
        calls_s = hazelcast.connect_timeout_s * len(hazelcast.members) + 3 * hazelcast.call_timeout_s
        self._poll_hangs_s = calls_s + max(MOST_PAUSE_S, UNASKED_POLL_S) + HANGS_S
        self._look_hangs_s = config.health.probe_timeout_s + COMMAND_S + PREFECT_S + UNASKED_LOOK_S + HANGS_S
        self._polled_s = self._looked_s = self._asked_s = time.monotonic()

    def start(self) -> None:
        """Look from now on, until `stop` or the end of the process."""
        threading.Thread(target=lambda: asyncio.run(self._poll()), name="poll", daemon=True).start()
        threading.Thread(target=self._look, name="look", daemon=True).start()

    def stop(self) -> None:
        """Look no more, once what is under way has ended. Returns at once."""
        self._ended = True
        self._look_now.set()

    def overview(self) -> tuple[Overview, dict[str, Any]]:
        """What is known, and the history as a document. A source whose thread hangs is known no more."""
        was_asked, self._asked_s = self._is_asked, time.monotonic()
        if not was_asked:
            self._look_now.set()
        with self._lock:
            overview, history = self._overview, self._history.document()
        if (hangs_s := time.monotonic() - self._polled_s) > self._poll_hangs_s:
            overview = replace(
                overview, in_map=overview.in_map.failed(f"the look at the map has hung for {hangs_s:.0f} s")
            )
        if (hangs_s := time.monotonic() - self._looked_s) > self._look_hangs_s:
            problem = f"the look has hung for {hangs_s:.0f} s"
            overview = replace(
                overview,
                report=overview.report.failed(problem),
                state=overview.state.failed(problem),
                warnings=overview.warnings.failed(problem),
                run=overview.run.failed(problem),
            )
        return overview, history

    @property
    def hangs(self) -> bool:
        """Whether one of the threads makes no progress."""
        now_s = time.monotonic()
        return now_s - self._polled_s > self._poll_hangs_s or now_s - self._looked_s > self._look_hangs_s

    @property
    def _is_asked(self) -> bool:
        return time.monotonic() - self._asked_s < UNASKED_S

    # ---- the map

    async def _poll(self) -> None:
        settings = self._config.hazelcast
        cluster = Cluster(settings, CLIENT_NAME)
        failures = 0
        while not self._ended:
            try:
                if not cluster.connected:
                    await cluster.connect()
                statuses = Known(await status_map.read_all(cluster, settings), cluster.address)
                entry = parse_entry(await cluster.get(settings.scan_key), cluster.address)
                status = own_status(statuses, self._watched(), self._config)
                self._take(InMap(entry, status, statuses.value.bridges))
                failures = 0
                pause_s = POLL_S
            except Exception as error:  # noqa: BLE001  # whatever it is, it is shown, and tried again
                known = isinstance(error, ClusterError | OSError)
                self._lose(str(error) if known else f"{type(error).__name__}: {error}", cluster.address)
                failures += 1
                pause_s = min(MOST_PAUSE_S, POLL_S * 2 ** min(failures - 1, 8)) * random.uniform(0.7, 1.0)  # noqa: S311
            self._polled_s = time.monotonic()
            await asyncio.sleep(pause_s)
            while not (self._is_asked or self._ended) and time.monotonic() - self._polled_s < UNASKED_POLL_S:
                await asyncio.sleep(POLL_S)
        await cluster.close()

    def _watched(self) -> Watched:
        """Which bridge is watched, as the last look at the unit has it."""
        report = self._overview.report.value
        is_here = self._config.health.scope != "remote" if report is None else report.snapshot.scope.is_local
        unit = value_of(report.snapshot.unit) if report else None
        return Watched(socket.gethostname() if is_here else None, unit.main_pid if unit else 0, host_id())

    def _take(self, in_map: InMap) -> None:
        now = datetime.now(UTC)
        with self._lock:
            was_away = self._overview.in_map.problem is not None
            self._overview = replace(self._overview, in_map=self._overview.in_map.answered(in_map, now))
            status = in_map.status.value if isinstance(in_map.status, Known) else None
            published = status.published if status else None
            self._history.add(
                now.timestamp(),
                scan_age_s(in_map.entry, now),
                (f"{status.instance} {published.published_at}", published.lag_ms) if status and published else None,
                status.files_per_min_1m if status else None,
            )
        if was_away:
            log.info("Hazelcast reached")
            self._look_now.set()

    def _lose(self, problem: str, address: str) -> None:
        now = datetime.now(UTC)
        with self._lock:
            is_news = self._overview.in_map.problem in (None, NOT_YET)
            self._overview = replace(self._overview, in_map=self._overview.in_map.failed(f"{address}: {problem}"))
            self._history.add(now.timestamp(), None, None, None)
        if is_news:
            log.warning("Hazelcast away: %s: %s; trying again", address, problem)
            self._look_now.set()

    # ---- everything else

    def _look(self) -> None:
        while not self._ended:
            self._look_now.clear()
            self._looked_s = time.monotonic()
            state = self._ask(
                lambda overview: overview.state, lambda: Store(self._config.health).load(may_repair=False)
            )
            report = self._ask(lambda overview: overview.report, self._inspector.inspect)
            with self._lock:
                verdict = next_verdict(self._overview.verdict, report, state)
                self._overview = replace(self._overview, state=state, report=report, verdict=verdict)
            warnings = self._ask(lambda overview: overview.warnings, self._warnings)
            run = self._ask(lambda overview: overview.run, self._last_run)
            with self._lock:
                self._overview = replace(self._overview, warnings=warnings, run=run)
            self._look_now.wait(LOOK_S if self._is_asked else UNASKED_LOOK_S)

    def _ask(self, which: Callable[[Overview], Heard[T]], ask: Callable[[], T]) -> Heard[T]:
        before = which(self._overview)
        try:
            return before.answered(ask(), datetime.now(UTC))
        except (CommandError, StateError, PrefectError) as error:
            return before.failed(str(error))
        except Exception as error:  # noqa: BLE001  # one source must not cost the others
            return before.failed(f"{type(error).__name__}: {error}")

    def _warnings(self) -> tuple[JournalLine, ...]:
        """The unit's last warnings; none where the bridge runs elsewhere."""
        report = self._overview.report.value
        if report is not None and not report.snapshot.scope.is_local:
            return ()
        return journal.last(self._config.health, JOURNAL_LINES, COMMAND_S)

    def _last_run(self) -> PrefectRun | None:
        url = self._config.health.dashboard.prefect_url.rstrip("/")
        return last_run(url) if url else None
