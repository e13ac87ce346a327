"""One run of all measurements, in order, on one member that stays up (but for the outage, which has its own)."""

from __future__ import annotations

import contextlib
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from hazelcast import HazelcastClient
from rich.console import Console
from support.hazelcast_member import Member

from bench import archive, burst, consumers, history, idle, memory, recovery, starts, twenty, watching
from bench.lag import LagMeter, Lags, entry_times_ms
from bench.lag_rows import lag_rows
from bench.plan import KB, MB, Plan, Series
from bench.processes import KEY, Bridge, Floor, Measured, PollingLoop
from bench.quantiles import quantiles
from bench.scans import Template, number_in
from bench.sightings import Sightings
from bench.tables import GOALS
from bridge.service.memory_need import AT_REST_BYTES, COPIES

SIZE, USUAL_HZ = 100 * KB, 10.0  # of a usual scan; the goals are about it
CLOSE_PAUSE_S = 0.05
# Room for the largest values flat out. The member is asked for its own times of updates, kept only if told so.
MEMBER_OPTIONS = ("-Xmx2g", "-Dhz.map.default.per-entry-stats-enabled=true")

Row = dict[str, Any]


class Session:
    """Use as a context manager."""

    def __init__(self, plan: Plan, place: Path, console: Console) -> None:
        """`place` is an empty folder for scans."""
        self._plan = plan
        self._place = place
        self._console = console
        self._numbers = count(1)
        self._member = Member(java_options=MEMBER_OPTIONS)
        self.lags: list[Lags] = []
        self.failed: list[str] = []  # parts
        self._tables: defaultdict[str, list[Row]] = defaultdict(list)

    def __enter__(self) -> Self:
        self._member.start()
        self._client = self._member.client()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._member.close()

    def measure(self, only: Sequence[str] = ()) -> dict[str, Any]:
        """All of it, or only the parts named so: the rows of each table, and the figures in short.

        A part that fails is told and left out: the others took an hour.
        """
        summary: dict[str, float] = {}
        parts = self._parts()
        self.failed += [name for name in only if name not in parts]
        for name, measure in parts.items():
            if only and name not in only:
                continue
            self._say(name)
            try:
                summary |= measure()
            except Exception:  # whatever it is, it is shown whole
                self.failed.append(name)
                self._console.print(traceback.format_exc(), markup=False)
        rows = lag_rows(self.lags)
        for row in rows:
            if (row["process"], row["rate_hz"]) == ("bridge", USUAL_HZ) and abs(row["size"] - SIZE) < SIZE / 10:
                summary |= {f"lag_{name}": row[name] for name in ("p50_over_floor", "p99_over_floor")}
        return {
            "lag": rows,
            "tables": self._tables,
            "summary": {name: summary[name] for name in GOALS if name in summary},
        }

    def _parts(self) -> dict[str, Callable[[], dict[str, float]]]:
        """What this plan measures, in order."""
        plan = self._plan
        return {
            "lag": self._measure_lags,
            "bridge": self._measure_one_bridge,
            "peaks": self._measure_peaks,
            "consumers": self._measure_consumers,
            **({"polling": self._measure_polling} if plan.polling_s else {}),
            "outage": self._measure_outage,
            "history": self._measure_history,
            "starts": self._measure_starts,
            "watching": self._measure_watching,
            **({"twenty": self._measure_twenty} if plan.twenty_s else {}),
            **({"recovery": self._measure_recovery} if plan.kills else {}),
        }

    def _measure_lags(self) -> dict[str, float]:
        for size in sorted({series.size for series in self._plan.lag}):
            self._say(f"lag of {size / KB:g} kB")
            self._measure_lag(size, [series for series in self._plan.lag if series.size == size])
        return {}

    def _measure_lag(self, size: int, all_series: list[Series]) -> None:
        template = Template(size)
        place = self._new_place(f"lag-{size}")
        bridge = Bridge(self._member, place)
        processes: list[Measured] = [
            Floor(self._member, place, size),
            Floor(self._member, place, size, swaps=True),
            bridge,
            PollingLoop(self._member, place, 0.1),
            PollingLoop(self._member, place, 1.0),
        ]
        with Sightings(self._member, *(process.map for process in processes)) as sightings, _running(processes):
            meter = LagMeter(sightings, self._numbers, seed=size)
            meter.warm_up(processes, template, self._plan.warm_up_scans)
            for series in all_series:
                self.lags += meter.measure(series, processes, template)
            if size == SIZE and self._plan.closed_scans:
                self.lags.append(meter.measure_closes(bridge, template, self._plan.closed_scans, CLOSE_PAUSE_S))
            if size == SIZE and self._plan.entry_time_scans:
                self._measure_entry_times(bridge, sightings, template)

    def _measure_entry_times(self, bridge: Bridge, sightings: Sightings, template: Template) -> None:
        scans, entry = self._plan.entry_time_scans, self._client.get_map(bridge.map)
        published_ms, updated_ms = entry_times_ms(bridge, sightings, template, self._numbers, scans, entry)
        self._tables["the entry's own times, since the rename (ms)"] = [
            {"time": "scan_bridge.published_ns: it is read, and to be validated", **asdict(quantiles(published_ms))},
            {"time": "the member's time of the last update: whole seconds", **asdict(quantiles(updated_ms))},
        ]

    def _measure_one_bridge(self) -> dict[str, float]:
        """One bridge all along: after the start, idle, bursts, many scans."""
        plan, template = self._plan, Template(SIZE)
        bridge = Bridge(self._member, self._new_place("one"), name="one")
        with Sightings(self._member, bridge.map) as sightings, _running([bridge]):
            LagMeter(sightings, self._numbers, seed=0).warm_up([bridge], template, 1)
            after_start_mb = bridge.rss_mb()
            percent = idle.cpu_percent(bridge, plan.idle_s)
            self._tables["idle"] += [{"watching by": "inotify", "s": plan.idle_s, "CPU % of a core": percent}]
            found = burst.catch_up(bridge, sightings, template, self._numbers, plan.bursts, plan.burst_rounds)
            self._tables["bursts: from the last rename to the newest scan seen (median ms)"] = [
                {
                    "scans": bursts.length,
                    "n": len(bursts.catch_up_ms),
                    "landing": median(bursts.landing_ms),
                    "catch-up": median(bursts.catch_up_ms),
                    "longest": max(bursts.catch_up_ms),
                }
                for bursts in found
            ]
            samples = memory.along_scans(bridge, template, self._numbers, plan.memory_scans, plan.memory_rate_hz)
        self._tables["resident memory"] += [{"after": "start, first scan", "MB": after_start_mb}] + [
            {"after": f"{scans} scans", "MB": mb} for scans, mb in samples[:: memory.SAMPLES // 4]
        ]
        return {"rss_mb": round(samples[-1][1], 1), "idle_cpu_pct": round(percent, 3)}

    def _measure_peaks(self) -> dict[str, float]:
        """Floor and bridge, each with large scans in a row, against what the bridge promises."""
        rows: list[Row] = []
        for size in self._plan.peaks:
            place, template = self._new_place(f"peak-{size}"), Template(size)
            source = f"max_scan_bytes = {2 * size}"
            processes = [Floor(self._member, place, size), Bridge(self._member, place, name="peak", source=source)]
            with Sightings(self._member, *(process.map for process in processes)) as sightings, _running(processes):
                LagMeter(sightings, self._numbers, seed=0).warm_up(processes, template, 1)
                for process in processes:
                    memory.land_one_by_one(process, template, self._numbers, sightings)
                floor_mb, bridge_mb = (process.peak_mb() for process in processes)
            promised_mb = (AT_REST_BYTES + COPIES * size) / 1e6
            rows.append({"scan MB": size / MB, "floor": floor_mb, "bridge": bridge_mb, "promised": promised_mb})
            self._client.get_map(processes[1].map).destroy()
        self._tables["memory at its peak (MB)"] = rows
        return {"peak_over_floor": round(rows[-1]["bridge"] / rows[-1]["floor"], 3)}

    def _measure_consumers(self) -> dict[str, float]:
        found = consumers.lags_ms(self._member, self._client, Template(SIZE), self._plan.consumer_scans)
        rows = {kind: quantiles(lags_ms) for kind, lags_ms in found.items()}
        title = "from a value's set to the strategy's code (ms)"
        self._tables[title] = [{"reader": kind, **asdict(row)} for kind, row in rows.items()]
        bare, consumer = (rows[kind] for kind in consumers.KINDS)
        return {"consumer_p50_over_bare": round(consumer.p50 / bare.p50, 3)}

    def _measure_history(self) -> dict[str, float]:
        plan = self._plan
        place = self._new_place("history")
        found = history.measure(place, plan.history_backlog, plan.history_s, plan.history_rounds)
        title = f"lag of the newest scan beside a history that lacks {plan.history_backlog} (ms)"
        self._tables[title] = found.rows()
        return found.summary()

    def _measure_watching(self) -> dict[str, float]:
        bridge = Bridge(self._member, self._new_place("watching"), name="watched")
        with Sightings(self._member, bridge.map) as sightings, _running([bridge]):
            LagMeter(sightings, self._numbers, seed=0).warm_up([bridge], Template(SIZE), 1)
            self._tables["watching"] = costs = list(watching.costs(bridge, self._plan))
        return {"check_cpu_s": costs[0]["value"]}

    def _measure_twenty(self) -> dict[str, float]:
        self._tables |= twenty.tables(self._member, self._new_place("twenty"), self._plan.twenty_s)
        return {}

    def _measure_polling(self) -> dict[str, float]:
        place = self._new_place("polling")
        bridge = Bridge(self._member, place, name="polling", source='watch_mode = "polling"\npoll_s = 1.0')
        template = Template(SIZE)
        archive.make(bridge.folder.root, self._plan.polling_files, template.numbered(0))
        with Sightings(self._member, bridge.map) as sightings, _running([bridge]):
            meter = LagMeter(sightings, self._numbers, seed=0)
            meter.warm_up([bridge], template, 1)
            still = idle.cpu_percent(bridge, self._plan.polling_s)
            (busy,) = meter.measure(Series(SIZE, 1.0, self._plan.polling_s, 1, mixed=True), [bridge], template)
            busy_percent = busy.cpu_ns / 1e7 / busy.landing_s
        what = f"polling {self._plan.polling_files} files in {archive.DAYS} folders once a second"
        self._tables["idle"] += [
            {"watching by": what, "s": self._plan.polling_s, "CPU % of a core": still},
            {"watching by": f"{what}, a scan a second", "s": busy.landing_s, "CPU % of a core": busy_percent},
        ]
        archive.remove(place)
        return {}

    def _measure_outage(self) -> dict[str, float]:
        plan, template = self._plan, Template(SIZE)
        member = Member()
        member.start()
        bridge = Bridge(member, self._new_place("outage"), name="outage")
        with contextlib.closing(member), _running([bridge]):
            with Sightings(member, bridge.map) as sightings:
                LagMeter(sightings, self._numbers, seed=0).warm_up([bridge], template, 1)
            clients: list[HazelcastClient] = []

            def is_published(number: int) -> bool:
                if not clients:
                    clients.append(member.client())
                return number_in(clients[0].get_map(bridge.map).get(KEY).result()) >= number

            samples, back_s = memory.along_outage(
                bridge, member, template, self._numbers, plan.outage_s, plan.outage_rate_hz, is_published
            )
        self._tables["resident memory"] += [
            {"after": f"{scans} scans without Hazelcast", "MB": mb} for scans, mb in samples[: -1 : memory.SAMPLES // 4]
        ] + [{"after": "the outage, published again", "MB": samples[-1][1]}]
        self._tables["after the outage"] = [
            {"lasted s": plan.outage_s, "s from the member's return to the newest scan published": back_s}
        ]
        return {}

    def _measure_starts(self) -> dict[str, float]:
        plan, template = self._plan, Template(SIZE)
        place = self._new_place("archives")
        bridges: dict[str, Bridge] = {}
        for files in plan.archives:
            bridges[f"{files} in {archive.DAYS} folders"] = self._archived(place, files, archive.DAYS, template)
        if plan.full_day_files:
            bridges[f"{plan.full_day_files} in 1 folder"] = self._archived(place, plan.full_day_files, 1, template)

        def forget(bridge: Bridge) -> None:
            self._client.get_map(bridge.map).delete(KEY).result()

        with Sightings(self._member, *(bridge.map for bridge in bridges.values())) as sightings:
            found = starts.first_publish_ms(bridges, sightings, template, self._numbers, plan.starts, forget)
        self._tables["process start to first publish (ms)"] = [
            {"files": name, "n": len(ms), "p50": median(ms), "min": min(ms), "max": max(ms)}
            for name, ms in found.items()
        ]
        archive.remove(place)
        medians = [median(ms) for ms in found.values()][: len(plan.archives)]
        return {"start_ms": round(medians[0], 1), "archive_ratio": round(medians[-1] / medians[0], 3)}

    def _measure_recovery(self) -> dict[str, float]:
        template, kills, title = Template(SIZE), self._plan.kills, "kill -9 to published again (ms)"
        found = {
            "a shell loop": recovery.under_a_loop(self._member, self._new_place("loop"), template, self._numbers, kills)
        }
        systemd = recovery.under_systemd(self._member, self._new_place("systemd"), template, self._numbers, kills)
        if isinstance(systemd, str):
            self._console.print(f"not under systemd: {systemd}")
        else:
            found["systemd, the unit as it ships"] = systemd
        self._tables[title] = [{"under": name, **asdict(quantiles(ms))} for name, ms in found.items()]
        return {}

    def _archived(self, place: Path, files: int, days: int, template: Template) -> Bridge:
        bridge = Bridge(self._member, place, name=f"archive-{files}-{days}")
        archive.make(bridge.folder.root, files, template.numbered(0), days)
        return bridge

    def _new_place(self, name: str) -> Path:
        place = self._place / name
        place.mkdir()
        return place

    def _say(self, text: str) -> None:
        self._console.print(f"measuring: {text} …")


@contextlib.contextmanager
def _running(processes: list[Measured]) -> Any:
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            process.stop()
