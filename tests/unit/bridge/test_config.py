"""The configuration: every rule, every refusal in words an operator can act on, and no secret told."""

from __future__ import annotations

import json
import os
import re
import socket
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bridge import cli
from bridge.config import Config, ConfigError, load
from bridge.config_file import DEFAULT_CONFIG_PATH, config_path
from bridge.config_types import Section

EXAMPLE = Path(__file__).parents[3] / "docs" / "config.example.toml"
# From here on the example belongs to the health check.
MARKER = "# ---- health check: see below\n"
MINIMAL = '[source]\nroot = "/data/scans"\n'
HAZELCAST = MINIMAL + "[hazelcast]\n"
TLS = MINIMAL + "[hazelcast.tls]\nenabled = true\n"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("SCAN_BRIDGE_") or variable == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(variable)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def loaded(file: Path, text: str = MINIMAL) -> Config:
    file.write_text(text)
    return load(file, Config)


def refusal(file: Path, text: str = MINIMAL) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(file, text)
    return str(caught.value)


def assert_says(said: str, expected: str) -> None:
    """`…` stands for pydantic's words, which are not ours to fix."""
    pattern = ".*".join(re.escape(part) for part in expected.split("…"))
    assert re.fullmatch(pattern, said), f"{said!r} is not {expected!r}"


# ---- what is accepted


def test_root_is_all_it_needs(file: Path) -> None:
    config = loaded(file)
    assert config.source.root == Path("/data/scans")
    assert config.source.watch_mode == "auto"
    assert config.hazelcast.members == ("127.0.0.1:5701",)
    assert config.hazelcast.map == "scan_bridge"
    assert config.hazelcast.scan_key == "latest_eigen_scan"
    assert config.hazelcast.status_key == "bridge_status"
    assert config.hazelcast.call_timeout_s == 2
    assert config.status.heartbeat_s == 5
    assert config.status.instance == socket.gethostname()
    assert not config.hazelcast.tls.enabled


def test_what_is_written_is_what_counts(file: Path) -> None:
    config = loaded(
        file,
        MINIMAL
        + 'watch_mode = "polling"\nscan_days = 3\nsettle_s = 10\n'
        + '[hazelcast]\nmembers = ["10.0.0.5:5701", "[::1]:5702"]\ncluster_name = "prod"\n'
        + '[status]\ninstance = "bridge-2.example"\n[log]\nlevel = "debug"\n[metrics]\nlisten = ""\n',
    )
    assert config.source.watch_mode == "polling"
    assert config.source.scan_days == 3
    assert config.source.settle_s == 10.0
    assert config.hazelcast.members == ("10.0.0.5:5701", "[::1]:5702")
    assert config.hazelcast.cluster_name == "prod"
    assert config.status.instance == "bridge-2.example"
    assert config.log.level == "debug"
    assert config.metrics.listen == ""


def test_the_health_section_is_not_the_bridges_business(file: Path) -> None:
    assert loaded(file, MINIMAL + "[health]\nanything = [1, 2]\n").health == {"anything": [1, 2]}


def test_a_loaded_config_cannot_be_changed(file: Path) -> None:
    config = loaded(file)
    with pytest.raises(ValueError, match="frozen"):
        config.source.poll_s = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        config.log = config.log  # type: ignore[misc]


# ---- what is refused, and how that is said

REFUSED = [
    ("", "source: missing"),
    ("[source]\n", "source.root: missing"),
    ('[source]\nroot = "scans"\n', "source.root: must be an absolute path (given: 'scans')"),
    ("[source]\nroot = 5\n", "source.root: …valid path… (given: 5)"),
    ("source = 5\n", "source: …dictionary… (given: 5)"),
    (MINIMAL + "[nonsense]\n", "nonsense: unknown key"),
    ("nonsense = 1\n" + MINIMAL, "nonsense: unknown key"),
    ("_cli_parse_args = true\n" + MINIMAL, "_cli_parse_args: unknown key"),
    ("_env_prefix = 'X'\n" + MINIMAL, "_env_prefix: unknown key"),
    *(
        (f"{MINIMAL}{line}\n", f"source.{said}")
        for line, said in [
            ("pol_s = 1", "pol_s: unknown key"),
            ("watch_mode = 'fanotify'", "watch_mode: …'auto', 'inotify' or 'polling' (given: 'fanotify')"),
            ("poll_s = '0.5 s'", "poll_s: …valid number… (given: '0.5 s')"),
            ("poll_s = [1]", "poll_s: …valid number… (given: [1])"),
            ("scan_days = 0", "scan_days: …greater than or equal to 1 (given: 0)"),
            ("scan_days = 32", "scan_days: …less than or equal to 31 (given: 32)"),
            ("scan_days = 1.5", "scan_days: …valid integer… (given: 1.5)"),
            ("max_scan_bytes = 0", "max_scan_bytes: …greater than 0 (given: 0)"),
            ("max_decoded_bytes = '64 MB'", "max_decoded_bytes: …valid integer… (given: '64 MB')"),
        ]
    ),
    *(
        (f"{MINIMAL}{key} = {value}\n", f"source.{key}: …{reason} (given: {value})")
        for key in ("rescan_s", "poll_s", "settle_s", "max_future_s")
        for value, reason in [
            ("0", "greater than 0"),
            ("-1.5", "greater than 0"),
            ("86401", "less than or equal to 86400"),
            ("inf", "finite number"),
            ("nan", "finite number"),
        ]
    ),
    *(
        (f"{HAZELCAST}{line}\n", f"hazelcast{said}")
        for line, said in [
            ("members = []", ".members: …at least 1 item… (given: [])"),
            ("members = 'a:1'", ".members: …valid tuple (given: 'a:1')"),
            ("username = 'x'", ": username and password_file go together (given: {'username': 'x'})"),
            ("password_file = 'x'", ": username and password_file go together (given: {'password_file': 'x'})"),
            ("scan_key = 'bridge_status'", ": scan_key and status_key must differ (given: …)"),
            ("call_timeout_s = 0", ".call_timeout_s: …greater than 0 (given: 0)"),
            ("connect_timeout_s = 0", ".connect_timeout_s: …greater than 0 (given: 0)"),
            ("heartbeat_timeout_s = 0", ".heartbeat_timeout_s: …greater than 0 (given: 0)"),
        ]
    ),
    *(
        (f"{HAZELCAST}members = ['good:5701', '{bad}']\n", f"hazelcast.members: '{bad}' is not host:port (given: …)")
        for bad in ("", "host", ":5701", "host:", "host:port", "host:0", "host:65536", "host:-1")
    ),
    *(
        (f'{HAZELCAST}{key} = ""\n', f"hazelcast.{key}: …at least 1 character (given: '')")
        for key in ("cluster_name", "map", "scan_key", "status_key")
    ),
    *(
        (
            f'{HAZELCAST}tls = {{ {key} = "/x" }}\n',
            "hazelcast.tls: ca_file, cert_file and key_file have no effect unless enabled = true (given: …)",
        )
        for key in ("ca_file", "cert_file", "key_file")
    ),
    (TLS + 'key_file = "/x"\n', "hazelcast.tls: key_file needs cert_file (given: …)"),
    (TLS + "check_hostname = 2\n", "hazelcast.tls.check_hostname: …valid boolean… (given: 2)"),
    (MINIMAL + "[status]\nheartbeat_s = 0\n", "status.heartbeat_s: …greater than 0 (given: 0)"),
    *(
        (f'{MINIMAL}[status]\ninstance = "{bad}"\n', f"status.instance: …pattern… (given: '{bad}')")
        for bad in ("", "a b", "a/b", "x" * 129)
    ),
    (MINIMAL + '[log]\nlevel = "trace"\n', "log.level: …'debug', 'info', 'warning' or 'error' (given: 'trace')"),
    (MINIMAL + '[metrics]\nlisten = "9464"\n', "metrics.listen: '9464' is not host:port (given: '9464')"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_a_mistake_is_refused_with_file_key_reason_and_value(file: Path, text: str, said: str) -> None:
    assert_says(refusal(file, text), f"{file}: {said}")


def test_every_mistake_has_a_line(file: Path) -> None:
    text = MINIMAL + 'poll_s = 0\nnonsense = 1\n[log]\nlevel = "loud"\n'
    assert sorted(line.split(": ")[1] for line in refusal(file, text).splitlines()) == [
        "log.level",
        "source.nonsense",
        "source.poll_s",
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file or directory; give another with --config"):
        load(tmp_path / "none.toml", Config)


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path, Config)


@pytest.mark.parametrize("content", [b"[source", b"root == 1", b"\xff\xfe", b'[source]\nroot = "/a"\nroot = "/b"\n'])
def test_what_is_no_toml_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(f"{file}: not valid TOML: ")):
        load(file, Config)


# ---- the environment


def test_the_environment_wins_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCAN_BRIDGE_SOURCE__ROOT", "/elsewhere")
    monkeypatch.setenv("SCAN_BRIDGE_SOURCE__POLL_S", "0.25")
    monkeypatch.setenv("SCAN_BRIDGE_HAZELCAST__MEMBERS", '["a:1", "b:2"]')
    monkeypatch.setenv("SCAN_BRIDGE_HAZELCAST__TLS__ENABLED", "true")
    monkeypatch.setenv("SCAN_BRIDGE_STATE_DIR", "/state")
    config = loaded(file, MINIMAL + 'settle_s = 7\n[hazelcast]\nmap = "m"\n[hazelcast.tls]\ncheck_hostname = false\n')
    assert (config.source.root, config.source.poll_s) == (Path("/elsewhere"), 0.25)
    assert config.hazelcast.members == ("a:1", "b:2")
    assert config.hazelcast.tls.enabled
    assert config.state_dir == Path("/state")
    # and leaves the rest of each section alone
    assert config.source.settle_s == 7
    assert config.hazelcast.map == "m"
    assert not config.hazelcast.tls.check_hostname


def test_the_environment_is_enough(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCAN_BRIDGE_SOURCE__ROOT", "/elsewhere")
    assert loaded(file, "").source.root == Path("/elsewhere")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SCAN_BRIDGE_SOURCE__POLL_S", "0", "source.poll_s: …greater than 0 (given: '0')"),
        ("SCAN_BRIDGE_SOURCE__POL_S", "1", "source.pol_s: unknown key"),
        ("SCAN_BRIDGE_HAZELCAST__TLS__ENABLD", "true", "hazelcast.tls.enabld: unknown key"),
        ("SCAN_BRIDGE_HAZELCAST__MEMBERS", '["a"]', "hazelcast.members: 'a' is not host:port (given: ['a'])"),
        ("SCAN_BRIDGE_HAZELCAST__MEMBERS", '["a:1", 1]', "hazelcast.members.1: …valid string (given: 1)"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    file: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert_says(refusal(file), f"environment variable {variable}: {said}")


def test_a_variable_nobody_reads_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCAN_BRIDGE_SORCE__ROOT", "/x")
    said = refusal(file)
    assert said.startswith("environment variable SCAN_BRIDGE_SORCE__ROOT: unknown; sections are ")
    assert "SOURCE" in said


def test_a_list_that_is_no_json_is_refused_with_an_example(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCAN_BRIDGE_HAZELCAST__MEMBERS", "10.0.0.5:5701")
    said = refusal(file)
    assert said.startswith("environment: ")
    assert "hazelcast" in said
    assert "SCAN_BRIDGE_HAZELCAST__MEMBERS='[\"10.0.0.5:5701\"]'" in said


def test_the_variable_that_names_the_file_and_others_are_no_settings(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCAN_BRIDGE_CONFIG", str(file))
    monkeypatch.setenv("SCAN_BRIDGER", "x")
    monkeypatch.setenv("SOURCE__ROOT", "/wrong")
    monkeypatch.setenv("SOURCE", "/wrong")
    assert loaded(file).source.root == Path("/data/scans")


# ---- credentials


def with_password(password_file: Path | str) -> str:
    return f'{HAZELCAST}username = "bridge"\npassword_file = "{password_file}"\n'


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_password_that_only_its_owner_or_group_reads_is_accepted(file: Path, tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    secret.chmod(mode)
    assert loaded(file, with_password(secret)).hazelcast.password_file == secret


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o666])
def test_a_password_that_everyone_reads_or_writes_is_refused(file: Path, tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    secret.chmod(mode)
    assert refusal(file, with_password(secret)) == (f"{file}: {secret}: readable by everyone; run: chmod 0600 {secret}")


def test_a_password_file_that_is_not_there_is_named(file: Path, tmp_path: Path) -> None:
    assert refusal(file, with_password(tmp_path / "none")) == f"{file}: {tmp_path}/none: No such file or directory"


def test_a_private_key_that_everyone_reads_is_refused(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----")
    key.chmod(0o644)
    said = refusal(file, f'{TLS}cert_file = "/cert.pem"\nkey_file = "{key}"\n')
    assert said == f"{file}: {key}: readable by everyone; run: chmod 0600 {key}"


def test_a_relative_password_file_is_looked_up_among_systemds_credentials(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("hunter2")
    (tmp_path / "password").chmod(0o400)
    assert refusal(file, with_password("password")).endswith("password: No such file or directory")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = loaded(file, with_password("password"))
    assert config.hazelcast.password_file == tmp_path / "password"


def test_an_absolute_password_file_is_not_looked_up_elsewhere(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("hunter2")
    (tmp_path / "password").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    config = loaded(file, with_password(tmp_path / "password"))
    assert config.hazelcast.password_file == tmp_path / "password"


def test_all_files_of_tls_may_lie_among_systemds_credentials(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ca.pem", "cert.pem", "key.pem"):
        (tmp_path / name).touch(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    tls = loaded(file, f'{TLS}ca_file = "ca.pem"\ncert_file = "cert.pem"\nkey_file = "key.pem"\n').hazelcast.tls
    assert (tls.ca_file, tls.cert_file, tls.key_file) == (
        tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem",
    )  # fmt: skip


def test_a_password_file_that_this_user_may_not_read_is_refused(
    file: Path, open_path: Path, without_root: Callable[[], AbstractContextManager[None]]
) -> None:
    password = open_path / "password"
    password.touch(0o000)
    config = open_path / "config.toml"
    config.write_text(with_password(password))
    load(config, Config)
    with without_root(), pytest.raises(ConfigError, match=f"^{config}: {password}: Permission denied$"):
        load(config, Config)


def test_a_password_in_the_config_itself_is_refused_and_not_repeated(file: Path) -> None:
    said = refusal(file, HAZELCAST + 'username = "bridge"\npassword = "hunter2"\n')
    assert said == f"{file}: hazelcast.password: unknown key"


# ---- check-config


def test_check_config_prints_what_is_in_force(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(MINIMAL + "settle_s = 7\n[health]\nx = 1\n")
    monkeypatch.setenv("SCAN_BRIDGE_SOURCE__POLL_S", "0.25")
    assert cli.main(["check-config", "--config", str(file)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["source"]["root"] == "/data/scans"
    assert shown["source"]["settle_s"] == 7
    assert shown["source"]["poll_s"] == 0.25
    assert shown["hazelcast"]["map"] == "scan_bridge"


def test_check_config_never_prints_a_secret(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("password", "key.pem", "cert.pem"):
        (tmp_path / name).write_text("hunter2")
        (tmp_path / name).chmod(0o600)
    file.write_text(
        with_password(tmp_path / "password")
        + f'[hazelcast.tls]\nenabled = true\ncert_file = "{tmp_path}/cert.pem"\nkey_file = "{tmp_path}/key.pem"\n'
        + '[health]\nheartbeat_url = "https://example.org/hunter2"\n'
    )
    assert cli.main(["check-config", "--config", str(file)]) == 0
    output = capsys.readouterr()
    assert str(tmp_path / "password") in output.out
    assert "hunter2" not in output.out + output.err


def test_check_config_says_every_mistake_on_stderr_and_exits_78(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("nonsense = 1\n")
    assert cli.main(["check-config", "--config", str(file)]) == 78
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        f"scan-bridge: {file}: source: missing",
        f"scan-bridge: {file}: nonsense: unknown key",
    ]


def test_the_file_may_be_named_by_the_environment(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(MINIMAL)
    monkeypatch.setenv("SCAN_BRIDGE_CONFIG", str(file))
    assert cli.main(["check-config"]) == 0
    assert "/data/scans" in capsys.readouterr().out


# ---- the shipped example


def example() -> str:
    """The bridge's part of it."""
    return EXAMPLE.read_text().partition(MARKER)[0]


def uncommented(text: str, pattern: str = r"^#([a-z_]+ = )") -> str:
    return re.sub(pattern, r"\1", text, flags=re.MULTILINE)


def with_examples(text: str) -> str:
    return uncommented(text, r"^#   ([a-z_]+ = )")


def keys(document: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for name, value in document.items():
        found |= keys(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name}
    return found


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Key and description of all that the bridge reads."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from fields(kind, f"{prefix}{name}.")
        elif name != "health":
            assert field.description, name
            yield prefix + name, field.description


def test_the_example_has_the_marker_behind_which_the_health_check_goes_on() -> None:
    assert EXAMPLE.read_text().count(MARKER) == 1


def test_the_example_loads_as_it_is() -> None:
    config = load(EXAMPLE, Config)
    assert keys(tomllib.loads(example())) == {"source.root", "hazelcast.members", "hazelcast.cluster_name"}
    assert config.source.root.is_absolute()


def test_the_defaults_in_the_example_are_the_defaults(file: Path) -> None:
    root = tomllib.loads(example())["source"]["root"]
    assert loaded(file, uncommented(example())) == loaded(file, f'[source]\nroot = "{root}"\n')


def test_the_example_shows_every_key_once_and_no_other() -> None:
    lines = re.findall(r"^(?:#|#   )?([a-z_]+) = ", example(), flags=re.MULTILINE)
    shown = keys(tomllib.loads(with_examples(uncommented(example()))))
    assert len(lines) == len(shown)
    assert shown == {key for key, _ in fields(Config)}


def test_the_example_explains_every_key_in_the_words_of_the_model() -> None:
    comments = " ".join(re.sub(r"^# ?", "", line) for line in example().splitlines() if line.startswith("# "))
    for key, description in fields(Config):
        assert description in comments, key


def test_examples_are_given_for_exactly_what_has_no_default_and_they_load(file: Path, tmp_path: Path) -> None:
    text = with_examples(example())
    without_default = keys(tomllib.loads(text)) - keys(tomllib.loads(example()))
    assert without_default == {
        "hazelcast.username",
        "hazelcast.password_file",
        "hazelcast.tls.ca_file",
        "hazelcast.tls.cert_file",
        "hazelcast.tls.key_file",
        "status.instance",
    }
    for credential in ("hazelcast-password", "client.key", "client.pem", "ca.pem"):
        (tmp_path / credential).touch(mode=0o600)
    text = text.replace("/etc/scan-bridge/", f"{tmp_path}/").replace("#enabled = false", "enabled = true")
    config = loaded(file, text)
    assert config.hazelcast.username
    assert config.hazelcast.tls.key_file == tmp_path / "client.key"


def test_the_config_is_the_named_one_else_the_users_own_else_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCAN_BRIDGE_CONFIG", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_path() == DEFAULT_CONFIG_PATH
    own = tmp_path / ".config/scan-bridge/config.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert config_path() == own
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "elsewhere"))
    assert config_path() == DEFAULT_CONFIG_PATH
    monkeypatch.setenv("SCAN_BRIDGE_CONFIG", "/etc/other.toml")
    assert config_path() == Path("/etc/other.toml")
