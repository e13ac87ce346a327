"""Several bridges on a host: a name is a file, a unit, a state folder and an instance; nothing of two collides."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bridge import config_file
from bridge.cli import parser
from bridge.command_line import EX_USAGE, parse
from bridge.config import Config, load
from bridge.config_file import config_path_of_all, files_in, name_of, path_of
from healthcheck.config import settings

SOURCE = '[source]\nroot = "/data/scans"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /etc/scan-bridge; nobody has a folder of their own."""
    monkeypatch.setattr(config_file, "CONFIG_DIR", tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("SCAN_BRIDGE_CONFIG", raising=False)
    return tmp_path


def written(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SOURCE + text)
    return path


@pytest.mark.parametrize("name", ["b", "gpu-2", "_", "eu.west_1", "Config", "8", "x" * 48])
def test_a_name_is_the_file_beside_config_toml(folder: Path, name: str) -> None:
    assert path_of(name) == folder / f"{name}.toml"
    assert name_of(path_of(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "-x", "a/b", "../x", "a b", "a@b", "a:b", r"a\x2d", "ä", "x" * 49, "b\n", "$(id)"],
)
def test_what_is_no_sane_name_for_a_unit_and_a_file_is_refused_in_one_line(folder: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"is no name for a bridge: letters, digits") as refused:
        path_of(name)
    assert "\n" not in str(refused.value)


def test_config_is_the_file_of_the_plain_one_and_no_name(folder: Path) -> None:
    with pytest.raises(ValueError, match="'config' is the file of the bridge without a name"):
        path_of("config")
    assert name_of(folder / "config.toml") == ""


def test_a_copy_of_the_plain_ones_file_is_no_further_bridge(folder: Path) -> None:
    for file in ("config.toml", "config.old.toml", "b.toml", "b.toml.bak", "b c.toml", ".b.toml.swp"):
        written(folder / file)
    assert files_in(folder) == (folder / "config.toml", folder / "b.toml")
    assert name_of(folder / "config.old.toml") == ""
    with pytest.raises(ValueError, match="the bridge without a name, as are copies of it"):
        path_of("config.old")


def test_a_file_elsewhere_has_no_name(folder: Path) -> None:
    """As in version 1.0: whatever is named by --config is the one bridge of the host."""
    for path in (
        folder / "deeper" / "b.toml",
        Path("b.toml"),
        folder / "b.conf",
        folder / "a b.toml",
        folder / ".toml",
    ):
        assert name_of(path) == ""


def test_the_users_own_file_comes_before_the_systems(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
    own = written(folder / "home" / "scan-bridge" / "b.toml")
    assert path_of("b") == own
    assert name_of(own) == "b"
    assert path_of("c") == folder / "c.toml"


def test_two_that_say_nothing_share_nothing(folder: Path) -> None:
    plain, further = (settings.load(written(folder / file)) for file in ("config.toml", "b.toml"))
    host = socket.gethostname()
    assert (plain.status.instance, further.status.instance) == (host, f"{host}-b")
    assert (plain.metrics.listen, further.metrics.listen) == ("127.0.0.1:9464", "")
    assert (str(plain.state_dir), str(further.state_dir)) == ("/var/lib/scan-bridge", "/var/lib/scan-bridge@b")
    assert plain.health.unit == "dolphin-scan-bridge.service"
    assert further.health.unit == "dolphin-scan-bridge@b.service"
    assert str(further.health.state_dir) == "/var/lib/scan-bridge-healthcheck/@b"
    assert str(further.health.spare_state_dir) == "/run/scan-bridge-healthcheck/@b"
    assert (str(plain.health.state_dir), str(plain.health.spare_state_dir)) == (
        *("/var/lib/scan-bridge-healthcheck", "/run/scan-bridge-healthcheck"),
    )


def test_the_users_own_are_of_the_users_manager_and_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(folder / name.lower()))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    own = folder / "config" / "scan-bridge"
    plain, further = (settings.load(written(own / file)).health for file in ("config.toml", "b.toml"))
    assert (plain.manager, plain.systemctl, plain.journalctl) == ("user", "systemctl --user", "journalctl --user")
    assert plain.state_dir == folder / "state/scan-bridge/healthcheck"
    assert plain.spare_state_dir == folder / "run/scan-bridge-healthcheck"
    assert (further.manager, further.unit) == ("user", "dolphin-scan-bridge@b.service")
    assert further.state_dir == plain.state_dir / "@b"
    assert further.spare_state_dir == plain.spare_state_dir / "@b"
    of_the_system = settings.load(written(folder / "config.toml")).health
    assert (of_the_system.manager, of_the_system.systemctl) == ("system", "systemctl")
    chosen = written(own / "config.toml", '[health]\nmanager = "system"\n')
    assert settings.load(chosen).health.manager == "system"


def test_for_a_service_of_the_system_its_folder_is_nobodys_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_CONFIG_HOME=%E in its unit makes them one."""
    etc = folder / "scan-bridge"
    monkeypatch.setattr(config_file, "CONFIG_DIR", etc)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    health = settings.load(written(etc / "b.toml")).health
    assert (health.manager, str(health.state_dir)) == ("system", "/var/lib/scan-bridge-healthcheck/@b")


def test_all_bridges_are_looked_for_in_the_users_own_folder_if_it_has_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder / "config.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
    assert config_path_of_all() == folder / "config.toml"
    written(folder / "home" / "scan-bridge" / "b.toml")
    assert config_path_of_all() == folder / "home" / "scan-bridge" / "config.toml"
    monkeypatch.setenv("SCAN_BRIDGE_CONFIG", "/elsewhere/one.toml")
    assert config_path_of_all() == Path("/elsewhere/one.toml")


def test_what_the_file_says_counts_and_the_environment_before_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[status]\nheartbeat_s = 1\n[metrics]\nlisten = "127.0.0.1:9465"\n[health]\nunit = "my-own.service"\n'
    path = written(folder / "b.toml", text)
    config = settings.load(path)
    assert (config.status.heartbeat_s, config.status.instance) == (1, f"{socket.gethostname()}-b")
    assert (config.metrics.listen, config.health.unit) == ("127.0.0.1:9465", "my-own.service")
    monkeypatch.setenv("SCAN_BRIDGE_STATUS__INSTANCE", "other")
    assert load(path, Config).status.instance == "other"


def test_instance_is_short_for_config(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(parser(), ["--instance", "b", "status"]).config == folder / "b.toml"
    assert parse(parser(), ["status"]).config == folder / "config.toml"
    assert parse(parser(), ["status", "--config", "x.toml"]).config == Path("x.toml")
    for wrong, says in (
        (["--instance", "b", "status", "--config", "x.toml"], "--instance is short for --config: give one of them"),
        (["--instance", "../b", "status"], "'../b' is no name for a bridge"),
        (["--instance", "b", "simulate", "/tmp"], "simulate reads no configuration"),
    ):
        with pytest.raises(SystemExit) as ended:
            parse(parser(), wrong)
        assert ended.value.code == EX_USAGE
        assert says in capsys.readouterr().err
