"""What the check leaves for Prometheus: the verdict of each rule in a file that is replaced whole, for all to read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.health_cases import NOW, clock, config, snapshot, status

from bridge.config import ConfigError
from healthcheck.act.restart import Decision
from healthcheck.check import Effects, run_check
from healthcheck.config.settings import Health, HealthConfig, load
from healthcheck.keep import mute
from healthcheck.keep.mute import Mute
from healthcheck.model.observation import Snapshot, Unknown
from healthcheck.model.report import ActionTaken, Report
from healthcheck.observe.probes import Observed


@dataclass
class Checks:
    """Checks a minute apart, with real state and a real file."""

    folder: Path
    after_s: float = 0.0

    @property
    def file(self) -> Path:
        return self.folder / "scan_bridge_health.prom"

    def config(self, **health: Any) -> HealthConfig:
        quiet = {name: {"enabled": False} for name in ("stale_data", "few_files", "high_lag", "clock")}
        places = {"state_dir": self.folder, "spare_state_dir": self.folder}
        return config(**{"textfile": self.file, "rules": quiet, **places, **health})

    def check(self, settings: HealthConfig | None = None, **answers: Any) -> Report:
        self.after_s += 60

        def observe(*_: Any) -> Observed:
            alive = {"clock": clock(self.after_s), "status": status(1 - self.after_s)}
            return Observed(snapshot(**{**alive, **answers}), None)

        def perform(decision: Decision, _snapshot: Snapshot, _config: HealthConfig) -> ActionTaken:
            return ActionTaken(decision.rule, "restart_bridge", "restarted", True)

        return run_check(settings or self.config(), self, by="test", effects=Effects(observe, perform))

    def send(self, block: str, subject: str, body: str) -> None:
        """Every recipient hears."""

    def unusable(self, blocks: object) -> None:
        """Nothing is known of any block."""

    def values(self) -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(self.file.read_text())
        return {
            (
                sample.name.removeprefix("scan_bridge_health_"),
                *(value for label, value in sample.labels.items() if label != "bridge"),
            ): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path)


def test_a_healthy_check_says_so_of_each_rule(checks: Checks) -> None:
    report = checks.check()

    values = checks.values()
    verdicts = {name[1]: value for name, value in values.items() if name[0] == "rule_severity"}
    assert verdicts == {finding.rule: 0.0 for finding in report.findings}
    assert len(verdicts) > 5
    assert values["last_check_timestamp_seconds",] == (NOW + timedelta(seconds=60)).timestamp()
    assert values["check_duration_seconds",] == report.duration_s
    assert values["open_alerts", "warning"] == values["open_alerts", "critical"] == 0
    assert values["restarts",] == values["muted",] == 0


def test_verdicts_alerts_and_restarts_are_numbers(checks: Checks) -> None:
    checks.check(memory_bytes=600_000_000, cpu=Unknown("broken", "test"))

    values = checks.values()
    assert values["rule_severity", "memory"] == 2
    assert values["rule_severity", "cpu"] == 3
    assert values["rule_severity", "hazelcast"] == 0
    assert values["open_alerts", "critical"] == 1
    assert values["restarts",] == 1

    checks.check(memory_bytes=200_000_000)
    assert checks.values()["rule_severity", "memory"] == 1


def test_a_rule_switched_off_has_no_verdict(checks: Checks) -> None:
    checks.check()
    assert ("rule_severity", "high_lag") not in checks.values()


def test_a_mute_is_shown(checks: Checks) -> None:
    settings = checks.config()
    mute.write(settings.health.state_dir, Mute(NOW + timedelta(hours=1), "maintenance", "operator", NOW))

    checks.check(settings)

    assert checks.values()["muted",] == 1


def test_everyone_may_read_it_whatever_the_umask(checks: Checks) -> None:
    before = os.umask(0o077)
    try:
        checks.check()
    finally:
        os.umask(before)

    assert stat.S_IMODE(checks.file.stat().st_mode) == 0o644


def test_it_is_replaced_never_rewritten(checks: Checks) -> None:
    checks.check()
    with checks.file.open() as reader:
        first = checks.file.read_text()
        checks.check()
        assert reader.read() == first
    assert checks.file.read_text() != first
    assert [path.name for path in checks.folder.iterdir() if ".prom" in path.name] == [checks.file.name]


def test_what_a_killed_check_left_half_done_does_not_matter(checks: Checks) -> None:
    checks.file.with_name(f".{checks.file.name}.new").write_text("half")

    assert checks.check().notes == ()
    assert checks.values()


def test_a_file_that_cannot_be_written_costs_a_note_not_the_check(
    checks: Checks, caplog: pytest.LogCaptureFixture
) -> None:
    missing = checks.folder / "missing" / "scan_bridge.prom"

    report = checks.check(checks.config(textfile=missing))

    assert report.headline == "Healthy"
    assert report.notes == (f"{missing}: No such file or directory; no metrics of this check",)
    assert report.notes[0] in caplog.text


def test_it_is_off_by_default(checks: Checks) -> None:
    assert Health().textfile is None

    checks.check(checks.config(textfile=None))

    assert not list(checks.folder.glob("*.prom"))


@pytest.mark.parametrize("path", ["metrics.prom", "/var/lib/metrics.txt"])
def test_a_file_that_would_not_be_collected_is_refused(tmp_path: Path, path: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[source]\nroot = "/data/scans"\n[health]\ntextfile = "{path}"\n')

    with pytest.raises(ConfigError, match=r"health\.textfile: must be an absolute path that ends in \.prom"):
        load(file)
