"""The `scan-bridge-health` command: exit codes, output for Nagios and for programs, mutes, what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import process
from support.health_cases import MB, NOW, config, earlier, evaluate, judged, snapshot, status

from bridge import cli as bridge_cli
from bridge.command_line import EX_USAGE
from healthcheck import cli
from healthcheck.duration import LONGEST, parse_duration
from healthcheck.keep import mute
from healthcheck.keep.mute import Mute
from healthcheck.keep.state import State, Store
from healthcheck.model.finding import Severity
from healthcheck.model.observation import Unknown
from healthcheck.model.report import Report
from healthcheck.present import terminal


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """A configuration whose cluster is not there and whose unit no systemd knows."""
    file = tmp_path / "config.toml"
    file.write_text(
        f'[source]\nroot = "{tmp_path}/scans"\n[hazelcast]\nmembers = ["127.0.0.1:1"]\n'
        f'[health]\nunit = "no-such-unit-anywhere.service"\nstate_dir = "{tmp_path}/state"\n'
        f'spare_state_dir = "{tmp_path}/spare"\nprobe_timeout_s = 20\n'
        '[health.groups.ops]\nblocks = ["slack-webhook/ops"]\n'
    )
    (tmp_path / "state").mkdir()
    return file


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def report(**answers: object) -> Report:
    now = snapshot(**answers)
    return Report(now, evaluate(now, earlier()), 0.1)


@pytest.mark.parametrize(
    ("answers", "code", "word"),
    [
        ({}, 0, "OK - found nothing wrong"),
        ({"memory_bytes": 200 * MB}, 1, "WARNING - memory (over the limit): the bridge uses 200 MB of memory"),
        ({"memory_bytes": 600 * MB}, 2, "CRITICAL - memory (over the limit): the bridge uses 600 MB of memory"),
        ({"unit": Unknown("no answer", "x")}, 3, "UNKNOWN - process_crash: the unit's state is unknown"),
    ],
)
def test_nagios_gets_one_line_with_the_verdict_and_its_exit_code(
    answers: dict[str, object], code: int, word: str
) -> None:
    shown = report(**answers)
    assert shown.severity.nagios_code == code
    assert terminal.nagios(shown).startswith(f"SCAN-BRIDGE {word}")


def test_performance_data_has_units_and_limits_and_no_text_can_pass_for_it() -> None:
    evil = status(host="a|b=1")
    text = terminal.nagios(report(memory_bytes=200 * MB, status=evil))
    first, *others = text.splitlines()
    text, data = first.split(" | ")
    assert "|" not in text + "".join(others)
    assert "memory=2e+08B;1e+08;5e+08;0" in data.split()
    assert "data_age=1s;30;60;0" in data.split()
    assert "files_1m=60;1:;;0" in data.split()
    assert all(re.fullmatch(r"\w+=[-+.e\d]+(s|%|B)?;[\d.e+:]*;[\d.e+:]*;0", item) for item in data.split())


def test_a_file_name_with_control_characters_cannot_forge_a_line() -> None:
    evil = earlier().entry
    assert evil is not None
    shown = terminal.nagios(report(entry=replace(evil, source="2026-03-24/x\nSCAN-BRIDGE OK\x1b[2J.arrow")))
    assert "\x1b" not in shown
    assert "\nSCAN-BRIDGE OK" not in shown


def test_check_looks_only_and_says_that_it_sees_the_cluster_only(
    capsys: pytest.CaptureFixture[str], config_file: Path, tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "check", "--config", config_file)
    assert code == 2
    assert out.startswith("SCAN-BRIDGE CRITICAL - hazelcast (Hazelcast away)")
    assert "only Hazelcast was looked at" in out
    assert list((tmp_path / "state").iterdir()) == []


def test_check_as_json_is_the_whole_report(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    code, out, _ = run(capsys, "check", "--json", "--config", config_file)
    document = json.loads(out)
    assert code == 2
    assert document["severity"] == "critical"
    assert document["headline"] == "Critical: hazelcast (Hazelcast away)"
    assert {finding["rule"] for finding in document["findings"]} >= {"stale_data", "hazelcast"}
    assert all(finding["words"] for finding in document["findings"]), "as version 1.0 named it"


def test_check_act_keeps_the_alert_for_prefect_and_does_not_repeat_itself(
    capsys: pytest.CaptureFixture[str], config_file: Path, tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "check", "--act", "--config", config_file)
    assert code == 2
    assert "told slack-webhook/ops: no spare URL: health.spare_urls_file is not set" in out
    state = json.loads((tmp_path / "state/state.json").read_text())
    assert (state["completed_by"], state["alerts"][0]["told"]) == ("timer", {})
    code, out, _ = run(capsys, "check", "--act", "--unless-checked-within", "3m", "--config", config_file)
    assert (code, out) == (0, ""), "the journal is spared this every minute"
    code, out, _ = run(capsys, "check", "--act", "--exit-zero", "--config", config_file)
    assert (code, out.split(" - ")[0]) == (0, "SCAN-BRIDGE CRITICAL"), "for a unit, a verdict is no failure"


def test_a_check_that_completed_in_the_future_does_not_keep_another_from_running(
    capsys: pytest.CaptureFixture[str], config_file: Path, tmp_path: Path
) -> None:
    health = config(state_dir=tmp_path / "state", spare_state_dir=tmp_path / "spare").health
    Store(health).save(State(completed_at=datetime.now(UTC) + timedelta(hours=1)))
    code, _, _ = run(capsys, "check", "--act", "--unless-checked-within", "3m", "--config", config_file)
    assert code == 2


def test_check_act_without_a_place_for_its_state_says_so_and_does_nothing(
    capsys: pytest.CaptureFixture[str], config_file: Path, tmp_path: Path
) -> None:
    text = config_file.read_text().replace(f"{tmp_path}/state", "/proc/nowhere")
    config_file.write_text(text.replace(f"{tmp_path}/spare", "/proc/nor-here"))
    code, _, err = run(capsys, "check", "--act", "--config", config_file)
    assert code == 4
    assert "/proc/nowhere" in err


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["check"], 3), (["check-config"], 3), (["check", "--act"], 4), (["check", "--act", "--exit-zero"], 4)],
)
def test_a_configuration_that_is_not_there_is_unknown_to_nagios_and_a_failure_of_the_timer(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    code, _, err = run(capsys, *arguments, "--config", "/no/such/file")
    assert code == status
    assert "/no/such/file" in err


@pytest.mark.parametrize(
    "arguments", [[], ["mute"], ["mute", "30m"], ["check", "--x"], ["check", "--unless-checked-within", "3m"], ["x"]]
)
def test_wrong_usage_has_a_status_that_no_verdict_has(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        cli.main(arguments)
    assert exit.value.code == EX_USAGE
    assert "usage: scan-bridge-health" in capsys.readouterr().err


def test_a_crash_has_a_status_that_no_verdict_has_and_shows_where(tmp_path: Path, config_file: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "hazelcast.py").write_text("raise RuntimeError('a defect')\n")
    command = [sys.executable, "-m", "healthcheck", "check", "--config", str(config_file)]
    crashed = process.run(command, env={**os.environ, "PYTHONPATH": str(broken)})
    assert crashed.returncode == cli.EX_SOFTWARE
    assert "RuntimeError: a defect" in crashed.stderr


def test_a_mute_is_kept_shown_and_ended(
    capsys: pytest.CaptureFixture[str], config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "kim")
    code, out, _ = run(capsys, "mute", "30m", "--why", "new\nswitch", "--config", config_file)
    assert (code, out.startswith("muted until ")) == (0, True)
    _, out, _ = run(capsys, "check", "--config", config_file)
    assert r"by kim: new\nswitch" in out
    assert run(capsys, "unmute", "--config", config_file)[0] == 0
    assert "muted until" not in run(capsys, "check", "--config", config_file)[1]
    assert run(capsys, "unmute", "--config", config_file)[0] == 0, "there is none to end"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("7d", 604_800)]
)
def test_durations_are_read(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "m", "0m", "8d", "-5m", "1h 30m", "30 m", "1.5h", "99999999m"])
def test_durations_that_make_no_sense_are_refused(
    capsys: pytest.CaptureFixture[str], config_file: Path, text: str
) -> None:
    for command in (["mute", "--why", "x", "--", text], ["check", "--act", f"--unless-checked-within={text}"]):
        with pytest.raises(SystemExit) as exit:
            cli.main(command)
        assert exit.value.code == EX_USAGE
        err = capsys.readouterr().err
        assert ("argument --unless-checked-within: " in err) == ("check" in command), err
        assert ("a mute" in err) is False


def test_a_mute_needs_a_reason(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    code, _, err = run(capsys, "mute", "30m", "--why", " ", "--config", config_file)
    assert (code, "say why" in err) == (1, True)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"until": "for ever"}'])
def test_a_mute_that_cannot_be_read_mutes_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / mute.FILE_NAME).write_bytes(content)
    assert mute.read(tmp_path, NOW) is None


def test_a_mute_ends_at_its_time_and_a_stepped_clock_does_not_prolong_it(tmp_path: Path) -> None:
    mute.write(tmp_path, Mute(NOW + timedelta(minutes=30), "x", "kim", NOW))
    assert mute.read(tmp_path, NOW) is not None
    assert mute.read(tmp_path, NOW + timedelta(minutes=30)) is None
    assert mute.read(tmp_path, NOW - LONGEST) is None


def test_alerts_lists_what_stands_and_what_was(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    assert run(capsys, "alerts", "--config", config_file) == (0, "no alerts\n", "")
    run(capsys, "check", "--act", "--config", config_file)
    _, out, _ = run(capsys, "alerts", "--config", config_file)
    assert out.startswith("CRITICAL hazelcast (Hazelcast away): since ")
    assert "told: nobody; for: ops" in out
    assert json.loads(run(capsys, "alerts", "--json", "--config", config_file)[1])[0]["rule"] == "hazelcast"


def test_check_config_as_root_says_how_to_ask_as_the_services_user(
    capsys: pytest.CaptureFixture[str], config_file: Path
) -> None:
    for main, command, user in (
        (cli.main, "scan-bridge-health", "dolphin-healthcheck"),
        (bridge_cli.main, "scan-bridge", "dolphin"),
    ):
        assert main(["check-config", "--config", str(config_file)]) == 0
        how = f"runuser -u {user} -- {command} check-config --config {config_file}"
        assert (how in capsys.readouterr().err) == (os.geteuid() == 0)


def test_check_config_shows_the_health_section(capsys: pytest.CaptureFixture[str], config_file: Path) -> None:
    code, out, _ = run(capsys, "check-config", "--config", config_file)
    assert code == 0
    assert json.loads(out)["rules"]["stale_data"]["critical_s"] == 60


@pytest.mark.parametrize(
    "command", ["check", "mute", "unmute", "alerts", "check-config", "serve", "notify-test", "dashboard"]
)
def test_every_command_has_help_with_examples_and_exit_codes(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as exit:
        cli.main([command, "--help"])
    out = capsys.readouterr().out
    assert exit.value.code == 0
    assert f"scan-bridge-health {command}" in out.split("examples:")[1]
    assert "exit codes" in out


@pytest.mark.exhaustive
def test_check_needs_none_of_prefects_packages(config_file: Path) -> None:
    """A finder that refuses them stands for a machine without them."""
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('prefect', 'apprise', 'httpx'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from healthcheck.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *arguments, "--config", str(config_file)]
        return process.run(command)

    checked = call("check", "--act")
    assert (checked.returncode, checked.stdout.split(" - ")[0]) == (2, "SCAN-BRIDGE CRITICAL")
    served = call("serve")
    assert served.returncode == 1
    assert "serve needs Prefect, which is not installed" in served.stderr
    assert "Traceback" not in served.stderr


def test_the_verdict_is_the_worst_finding() -> None:
    assert report().headline == "Healthy"
    assert report(memory_bytes=200 * MB).headline == "Degraded"
    assert report(unit=Unknown("x", "y")).headline == "Unknown"
    assert Report(snapshot(), (), 0.0).severity is Severity.UNKNOWN
    assert judged(snapshot())["memory"].severity is Severity.OK
