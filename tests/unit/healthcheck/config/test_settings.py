"""The health check's settings: the shipped defaults are the design's tables, and nonsense is refused by name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.health_cases import config

from bridge.config import Config, ConfigError
from bridge.config import load as load_bridge
from healthcheck.config.settings import Health, Window, load
from healthcheck.judge import expected_hours

SOURCE = '[source]\nroot = "/data/scans"\n'


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_the_shipped_rules_are_the_two_tables_of_the_design(write: Path) -> None:
    write.write_text(SOURCE)
    rules = load(write).health.rules
    stale, cpu, memory, files = rules.stale_data, rules.cpu, rules.memory, rules.few_files
    assert (stale.warning_s, stale.critical_s) == (30, 60)
    assert (stale.warning_action, stale.critical_action) == ("alert", "restart_bridge")
    assert stale.critical_notify == ("ops", "trading")
    assert (cpu.warning_percent, cpu.critical_percent, cpu.critical_action) == (50, 80, "alert")
    assert (memory.warning_mb, memory.critical_mb, memory.critical_action) == (100, 500, "restart_bridge")
    assert (rules.hazelcast.severity, rules.hazelcast.action) == ("critical", "restart_bridge")
    assert (files.warning_under_per_min, files.critical_under_per_5min, files.critical_action) == (1, 1, "alert")
    assert (rules.high_lag.warning_s, rules.high_lag.warning_action) == (10, "log_only")
    assert rules.high_lag.warning_notify == ("ops",)
    assert (rules.process_crash.severity, rules.process_crash.action) == ("critical", "auto_restart")
    assert rules.process_crash.notify == ("ops",)


def test_one_threshold_can_be_changed_by_file_and_by_environment(write: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write.write_text(SOURCE + "[health.rules.stale_data]\nwarning_s = 5\n")
    monkeypatch.setenv("SCAN_BRIDGE_HEALTH__RULES__STALE_DATA__CRITICAL_S", "7.5")
    monkeypatch.setenv("SCAN_BRIDGE_HEALTH__RULES__CPU__ENABLED", "false")
    rules = load(write).health.rules
    assert (rules.stale_data.warning_s, rules.stale_data.critical_s) == (5, 7.5)
    assert rules.stale_data.critical_action == "restart_bridge"
    assert not rules.cpu.enabled


def test_the_bridge_itself_takes_a_file_with_a_health_section(write: Path) -> None:
    write.write_text(SOURCE + "[health.rules.stale_data]\nwarning_s = 5\n")
    assert load_bridge(write, Config).source.root == Path("/data/scans")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[health.rules.stale_data]\nwarning_s = -1\n", "health.rules.stale_data.warning_s"),
        ('[health.rules.stale_data]\nwarning_s = "soon"\n', "health.rules.stale_data.warning_s"),
        ("[health.rules.stale_data]\nwarnings = 1\n", "health.rules.stale_data.warnings"),
        ('[health.rules.cpu]\ncritical_action = "panic"\n', "health.rules.cpu.critical_action"),
        ('[health.rules.cpu]\ncritical_notify = ["opps"]\n', "opps"),
        ('[health]\nunit = "-evil.service; rm"\n', "health.unit"),
        ('[health.groups.ops]\nblocks = ["Slack"]\n', "health.groups.ops.blocks"),
        ('[[health.expected]]\nfrom = "09:00"\nto = "17:00"\ntime_zone = "Mars/Base"\n', "time_zone"),
        ('[[health.expected]]\nfrom = "9 o\'clock"\nto = "17:00"\n', "health.expected.0.from"),
        ('[[health.expected]]\ndays = ["friday"]\nfrom = "09:00"\nto = "17:00"\n', "health.expected.0.days"),
        ("[health.restarts]\nmax = -1\n", "health.restarts.max"),
        ("[health.alerts]\nrepeat_s = inf\n", "health.alerts.repeat_s"),
    ],
)
def test_nonsense_is_refused_with_the_key_that_holds_it(write: Path, text: str, key: str) -> None:
    write.write_text(SOURCE + text)
    with pytest.raises(ConfigError) as error:
        load(write)
    assert key in str(error.value)


def test_ops_and_trading_always_exist_and_others_can_be_added() -> None:
    health = config(groups={"night": {"blocks": ["pagerduty/night"]}}, rules={"cpu": {"critical_notify": ["night"]}})
    assert health.health.addresses == {"ops": (), "trading": (), "night": ("pagerduty/night",)}


# --- Expected hours ---------------------------------------------------------------------------------------------


def window(**given: object) -> Window:
    return Window.model_validate(given)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_without_windows_scans_are_always_expected() -> None:
    assert expected_hours.expected_for_s((), at("2026-03-24T03:00")) == float("inf")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-24T08:59:59", None),  # a Tuesday
        ("2026-03-24T09:00:00", 0),
        ("2026-03-24T16:59:59", 28_799),
        ("2026-03-24T17:00:00", None),
        ("2026-03-28T12:00:00", None),  # a Saturday
    ],
)
def test_a_window_is_open_from_its_first_moment_to_before_its_last(now: str, expected: float | None) -> None:
    weekdays = window(**{"from": "09:00", "to": "17:00", "days": ["mon", "tue", "wed", "thu", "fri"]})
    assert expected_hours.expected_for_s([weekdays], at(now)) == expected


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    night = window(**{"from": "22:00", "to": "02:00", "days": ["fri"]})
    assert expected_hours.expected_for_s([night], at("2026-03-28T01:00")) == 3 * 3600
    assert expected_hours.expected_for_s([night], at("2026-03-27T01:00")) is None


def test_windows_that_follow_one_another_are_one() -> None:
    parts = [window(**{"from": "09:00", "to": "12:00"}), window(**{"from": "12:00", "to": "17:00"})]
    assert expected_hours.expected_for_s(parts, at("2026-03-24T13:00")) == 4 * 3600
    always = window(**{"from": "00:00", "to": "00:00"})
    assert (expected_hours.expected_for_s([always], at("2026-03-24T13:00")) or 0) > 20 * 86_400


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-27T08:30", 1800),  # winter: 09:00 in Zurich is 08:00 UTC
        ("2026-03-30T07:30", 1800),  # summer: 07:00 UTC
        ("2026-03-30T06:59", None),
    ],
)
def test_hours_follow_the_zone_through_a_change_to_summer_time(now: str, expected: float | None) -> None:
    day = window(**{"from": "09:00", "to": "17:00", "time_zone": "Europe/Zurich"})
    assert expected_hours.expected_for_s([day], at(now)) == expected


def test_a_window_over_the_night_in_which_the_clock_is_turned_back_is_an_hour_longer() -> None:
    night = window(**{"from": "22:00", "to": "06:00", "time_zone": "Europe/Zurich"})
    assert expected_hours.expected_for_s([night], at("2026-10-25T04:59")) == 9 * 3600 - 60


def test_the_shipped_example_shows_the_health_checks_defaults(tmp_path: Path) -> None:
    example = Path(__file__).parents[4] / "docs" / "config.example.toml"
    shown = tmp_path / "config.toml"
    shown.write_text(re.sub(r"^#([a-z_]+ = )", r"\1", example.read_text(), flags=re.MULTILINE))
    assert load(shown).health == load(example).health == Health()


def test_the_shipped_example_shows_values_that_can_be_used(tmp_path: Path) -> None:
    example = (Path(__file__).parents[4] / "docs" / "config.example.toml").read_text()
    health = example.partition("# ---- health check: see below\n")[2]
    shown = tmp_path / "config.toml"
    shown.write_text('[source]\nroot = "/data"\n' + re.sub(r"^#   (.*)", r"\1", health, flags=re.MULTILINE))
    loaded = load(shown).health
    assert loaded.groups["trading"].blocks == ("slack-webhook/scan-trading", "pager-duty-webhook/scan-trading")
    assert loaded.expected[0].time_zone == "Europe/Zurich"
