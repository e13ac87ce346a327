"""`scan-bridge-health notify-test`, as an operator runs it: through a real Prefect server, to a real HTTP server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.prefect_blocks import TOKEN, custom
from support.prefect_server import PrefectServer, Webhook, quick_client_environment

pytestmark = pytest.mark.prefect

GROUPS = """
[health]
state_dir = "{folder}"
spare_urls_file = "{folder}/spare-urls"
[health.groups.ops]
blocks = ["custom-webhook/notify-test"]
[health.groups.trading]
blocks = ["custom-webhook/notify-test", "slack-webhook/never-made"]
[health.groups.night]
blocks = []
"""


def notify_test(folder: Path, groups: str = GROUPS) -> subprocess.CompletedProcess[str]:
    """Run the command with this config, and with nothing of Prefect in its environment."""
    config = folder / "config.toml"
    config.write_text('[source]\nroot = "/scans"\n[status]\ninstance = "bridge-1"\n' + groups.format(folder=folder))
    environment = {**quick_client_environment(None, folder / "unused"), "HOME": str(folder)}
    del environment["PREFECT_HOME"]
    command = [sys.executable, "-m", "healthcheck", "notify-test", "--config", str(config)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


def spare_urls(folder: Path, lines: str) -> None:
    file = folder / "spare-urls"
    file.write_text(lines)
    file.chmod(0o600)


@pytest.fixture
def folder(prefect: PrefectServer, tmp_path: Path) -> Path:
    """A folder for the config, with the environment file of the unit that serves."""
    (tmp_path / "healthcheck.env").write_text(f'# where Prefect is\nPREFECT_API_URL="{prefect.api_url}"\n')
    return tmp_path


def test_every_recipient_is_sent_a_message_by_each_way_and_it_is_said_what_arrived(
    folder: Path, webhook: Webhook
) -> None:
    custom(webhook, "notify-test")
    spare_urls(folder, f"custom-webhook/notify-test json://user:{TOKEN}@{webhook.address}/\n")
    result = notify_test(folder)
    assert result.stdout.splitlines() == [
        "ops, trading: custom-webhook/notify-test by Prefect: the service took it",
        "ops, trading: custom-webhook/notify-test by the spare URL: the service took it",
        "trading: slack-webhook/never-made by Prefect: NOT DELIVERED: ValueError: Unable to find block document"
        " named never-made for block type slack-webhook",
        f"trading: slack-webhook/never-made by the spare URL: NOT DELIVERED: no spare URL: {folder}/spare-urls has no"
        " line for it",
        "night: nobody: health.groups.night has no block",
    ]
    assert result.returncode == 1, result.stderr
    assert len(webhook.received) == 2
    assert all("TEST: a message to ops, trading" in body for body in webhook.received)
    assert TOKEN not in result.stdout + result.stderr
    assert not (folder / ".prefect").exists(), "nothing is left in the operator's home"


def test_it_succeeds_once_everybody_is_reached_by_every_way(folder: Path, webhook: Webhook) -> None:
    custom(webhook, "notify-test")
    spare_urls(folder, f"custom-webhook/notify-test json://{webhook.address}/\n")
    result = notify_test(folder, GROUPS.replace(', "slack-webhook/never-made"', ""))
    assert result.returncode == 0, result.stdout + result.stderr


def test_without_a_server_the_spare_urls_are_tried_all_the_same(folder: Path, webhook: Webhook) -> None:
    (folder / "healthcheck.env").write_text("PREFECT_API_URL=http://127.0.0.1:9/api\n")
    spare_urls(folder, f"custom-webhook/notify-test json://{webhook.address}/\n")
    result = notify_test(folder, GROUPS.replace(', "slack-webhook/never-made"', ""))
    first, second = result.stdout.splitlines()[:2]
    assert first.startswith("ops, trading: custom-webhook/notify-test by Prefect: NOT DELIVERED: ConnectError")
    assert second.endswith("by the spare URL: the service took it")
    assert result.returncode == 1
    assert len(webhook.received) == 1


def test_with_nobody_to_tell_it_fails(tmp_path: Path) -> None:
    result = notify_test(tmp_path, "")
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "ops: nobody: health.groups.ops has no block",
        "trading: nobody: health.groups.trading has no block",
    ]
    assert os.listdir(tmp_path) == ["config.toml"]
