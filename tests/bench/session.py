"""One run of all measurements, in order, on one member that stays up (but for the outage, which has its own)."""

from __future__ import annotations

import contextlib
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
from bench.plan import KB, MB, Plan, Series
from bench.processes import KEY, Bridge, Floor, Measured, PollingLoop
from bench.quantiles import quantiles
from bench.scans import Template, number_in
from bench.sightings import Sightings
from bridge.service.memory_need import AT_REST_BYTES, COPIES

SIZE = 100 * KB  # of a usual scan; the goals are about it
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
        self._tables: dict[str, list[Row]] = {}

    def __enter__(self) -> Self:
        self._member.start()
        self._client = self._member.client()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._member.close()

    def measure(self) -> dict[str, Any]:
        """All of it: the rows of each table, and the figures in short."""
        for size in sorted({series.size for series in self._plan.lag}):
            self._say(f"lag, {size / KB:g} kB")
            self._measure_lag(size, [series for series in self._plan.lag if series.size == size])
        self._say("idle, memory, bursts")
        summary = self._measure_one_bridge()
        self._say("memory at its peak")
        summary |= self._measure_peaks()
        self._say("consumers")
        summary |= self._measure_consumers()
        if self._plan.polling_s:
            self._say("polling")
            self._measure_polling()
        self._say("outage of Hazelcast")
        self._measure_outage()
        self._say("history")
        summary |= self._measure_history()
        self._say("archives")
        summary |= self._measure_starts()
        self._say("watching")
        self._tables["watching"] = costs = self._measure_watching()
        summary["check_cpu_s"] = costs[0]["value"]
        if self._plan.twenty_s:
            self._say("twenty bridges")
            self._tables |= twenty.tables(self._member, self._new_place("twenty"), self._plan.twenty_s)
        if self._plan.kills:
            self._say("recovery")
            self._measure_recovery()
        rows = [self._lag_row(result) for result in self.lags]
        (usual,) = (row for row in rows if self._is_usual(row))
        ratios = {f"lag_{name}": usual[name] for name in ("p50_over_floor", "p99_over_floor")}
        order = (
            "rss_mb",
            "peak_over_floor",
            "consumer_p50_over_bare",
            "idle_cpu_pct",
            "start_ms",
            "archive_ratio",
            "check_cpu_s",
            "history_p50_ratio",
            "history_p99_ratio",
            "history_per_s",
        )
        return {
            "lag": rows,
            "tables": self._tables,
            "summary": ratios | {name: summary[name] for name in order},
        }

    def raw_lags(self) -> list[Row]:
        """Every lag that was measured."""
        return [asdict(result) | {"lags_ms": [round(lag, 4) for lag in result.lags_ms]} for result in self.lags]

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
            self._tables["idle"] = [{"watching by": "inotify", "s": plan.idle_s, "CPU % of a core": percent}]
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
        self._tables["resident memory"] = [{"after": "start, first scan", "MB": after_start_mb}] + [
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

    def _measure_watching(self) -> list[Row]:
        bridge = Bridge(self._member, self._new_place("watching"), name="watched")
        with Sightings(self._member, bridge.map) as sightings, _running([bridge]):
            LagMeter(sightings, self._numbers, seed=0).warm_up([bridge], Template(SIZE), 1)
            return list(watching.costs(bridge, self._plan))

    def _measure_polling(self) -> None:
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

    def _measure_outage(self) -> None:
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

    def _measure_recovery(self) -> None:
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

    def _archived(self, place: Path, files: int, days: int, template: Template) -> Bridge:
        bridge = Bridge(self._member, place, name=f"archive-{files}-{days}")
        archive.make(bridge.folder.root, files, template.numbered(0), days)
        return bridge

    def _lag_row(self, result: Lags) -> Row:
        found = quantiles(result.lags_ms)
        row = {"size": result.size, "rate_hz": result.rate_hz, "process": result.process, **asdict(found)}
        row |= {"seen": result.seen, "landed_per_s": round(result.landed / result.landing_s, 1)}
        row["cpu_ms_per_scan"] = round(result.cpu_ns / 1e6 / result.seen, 3) if result.cpu_ns else None
        for other in self.lags:
            if (other.process, other.size, other.rate_hz) == ("floor", result.size, result.rate_hz):
                floor = quantiles(other.lags_ms)
                row |= {
                    "p50_over_floor": round(found.p50 / floor.p50, 3),
                    "p99_over_floor": round(found.p99 / floor.p99, 3),
                }
        return row

    def _is_usual(self, row: Row) -> bool:
        return row["process"] == "bridge" and row["rate_hz"] == 10.0 and abs(row["size"] - SIZE) < SIZE / 10

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
