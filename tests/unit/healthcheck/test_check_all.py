"""`check --all`: each bridge of the host, a line each, the worst exit code; and which bridges those are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.health_cases import earlier, evaluate, snapshot

from bridge import config_file
from bridge.config import ConfigError
from healthcheck import check_all, cli
from healthcheck.config.settings import HealthConfig
from healthcheck.keep.state import StateError
from healthcheck.model.report import Report
from healthcheck.observe import bridges

MB = 10**6


def report(**answers: object) -> Report:
    now = snapshot(**answers)
    return Report(now, evaluate(now, earlier()), 0.1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three configurations, of which systemd here knows no unit: it has nothing against them."""
    monkeypatch.setattr(config_file, "CONFIG_DIR", tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("SCAN_BRIDGE_CONFIG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no systemctl
    for name in ("config", "b", "c"):
        (tmp_path / f"{name}.toml").write_text(f'source.root = "/data/{name}"\n')
    (tmp_path / "config.toml.bak").write_text("")
    (tmp_path / "b c.toml").write_text("")
    return tmp_path


def test_it_prints_a_line_each_and_exits_with_the_worst(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uses_mb = {"/data/config": 50, "/data/b": 600, "/data/c": 200}

    def look(config: HealthConfig) -> Report:
        return report(memory_bytes=uses_mb[str(config.source.root)] * MB)

    assert check_all.check_all(look, acts=False, as_json=False) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == [
        "config: SCAN-BRIDGE OK",
        "b: SCAN-BRIDGE CRITICAL",
        "c: SCAN-BRIDGE WARNING",
    ]
    assert check_all.check_all(look, acts=False, as_json=True) == 2
    document = json.loads(capsys.readouterr().out)
    assert [(one["bridge"], one["severity"]) for one in document] == [
        *(("config", "ok"), ("b", "critical"), ("c", "warning")),
    ]


@pytest.mark.parametrize(
    ("error", "looks", "acts"),
    [(ConfigError("b.toml: x"), 3, 4), (StateError("nowhere"), 3, 4), (ValueError("a bug"), 70, 70)],
)
def test_one_that_cannot_be_checked_costs_its_own_line_only(
    folder: Path, capsys: pytest.CaptureFixture[str], error: Exception, looks: int, acts: int
) -> None:
    def look(config: HealthConfig) -> Report | None:
        if str(config.source.root) == "/data/b":
            raise error
        return report() if str(config.source.root) == "/data/c" else None

    assert check_all.check_all(look, acts=False, as_json=False) == looks
    assert check_all.check_all(look, acts=True, as_json=False) == acts
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["b", "c"] * 2
    assert str(error) in lines[0]


def test_a_file_that_is_not_valid_is_one_of_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.toml").write_text("nonsense = 1\n")
    assert check_all.check_all(lambda _: report(), acts=False, as_json=False) == 3
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["config", "b", "c"]
    assert "b.toml: nonsense: unknown key" in lines[1]


def test_what_serve_refuses_it_refuses_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.toml").write_text('source.root = "/data/b"\nhealth.state_dir = "/shared"\n')
    (folder / "c.toml").write_text('source.root = "/data/c"\nhealth.state_dir = "/shared"\n')
    assert check_all.check_all(lambda _: report(), acts=True, as_json=False) == 4
    lines = capsys.readouterr().out.splitlines()
    assert f"health.state_dir: /shared is that of {folder / 'b.toml'} too" in lines[2]


@pytest.mark.parametrize("named", [["--config", "x.toml"], []])
def test_all_goes_with_no_choice_of_one(named: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = [] if named else ["--instance", "b"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*before, "check", "--all", *named])
    assert ended.value.code == 64
    assert "--all means every bridge of this host" in capsys.readouterr().err


def test_what_is_enabled_runs_or_has_failed_is_watched_and_what_is_unknown_too() -> None:
    assert bridges.watched((Path("b.toml"),), [{"UnitFileState": "masked", "ActiveState": "inactive"}])
    shown = "UnitFileState=enabled\nActiveState=inactive\n\nUnitFileState=disabled\nActiveState={}\n"
    files = (Path("config.toml"), Path("b.toml"))
    for state, watched in (("inactive", files[:1]), ("active", files), ("failed", files), ("activating", files)):
        assert bridges.watched(files, bridges.parse(shown.format(state))) == watched
    assert bridges.watched(files, bridges.parse("")) == files


def test_where_there_is_but_config_toml_it_is_watched_whatever_its_unit_does(folder: Path) -> None:
    for name in ("b", "c"):
        (folder / f"{name}.toml").unlink()
    assert bridges.here(folder) == (folder / "config.toml",)
    (folder / "config.toml").unlink()
    assert bridges.here(folder) == (folder / "config.toml",), "that it is missing must be told"
