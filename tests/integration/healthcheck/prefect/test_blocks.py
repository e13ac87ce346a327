"""Alerts through real notification blocks of a real Prefect server, to a real HTTP server."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr
from support.prefect_blocks import TOKEN, custom
from support.prefect_server import Webhook

from healthcheck.act.deliver import NotDelivered
from healthcheck.config.settings import Health
from healthcheck.model.condition import Unusable
from healthcheck.prefect.blocks import NO_SUCH_BLOCK, BlockNotifier, find_blocks, send_by_block

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect")]

MakeBlock = Callable[[Webhook, str], str]


def send(block: str, send_timeout_s: float = 20.0) -> None:
    send_by_block(block, "CRITICAL: stale_data", "nothing for 65 s\nlook: scan-bridge status", send_timeout_s)


def apprise(webhook: Webhook, name: str) -> str:
    SlackWebhook(url=f"json://user:{TOKEN}@{webhook.address}/").save(name, overwrite=True)
    return f"slack-webhook/{name}"


@pytest.fixture
def root_log() -> Iterator[io.StringIO]:
    """What reaches the console and the journal, with Apprise telling all it can."""
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    logging.getLogger().addHandler(handler)
    yield handler.stream
    logging.getLogger().removeHandler(handler)
    logging.getLogger("apprise").setLevel(logging.NOTSET)


class AsyncOnly(NotificationBlock):
    """A block of somebody's own, that cannot be used but asynchronously."""

    address: str

    async def notify(self, body: str, subject: str | None = None) -> None:
        async with httpx.AsyncClient() as client:
            await client.post(f"http://{self.address}/", content=f"{subject}: {body}")


def async_only(webhook: Webhook, name: str) -> str:
    AsyncOnly(address=webhook.address).save(name, overwrite=True)
    return f"asynconly/{name}"


EVERY_KIND = pytest.mark.parametrize("make", [custom, apprise, async_only])
SHIPPED_KINDS = pytest.mark.parametrize("make", [custom, apprise])


@EVERY_KIND
def test_the_message_arrives_whole(webhook: Webhook, make: MakeBlock) -> None:
    send(make(webhook, "whole"))
    assert len(webhook.received) == 1
    assert "CRITICAL: stale_data" in webhook.received[0]
    assert "nothing for 65 s" in webhook.received[0]
    assert "look: scan-bridge status" in webhook.received[0]


@SHIPPED_KINDS
def test_a_service_that_answers_with_an_error_is_not_delivered(webhook: Webhook, make: MakeBlock) -> None:
    webhook.status = 500
    with pytest.raises(NotDelivered, match="500"):
        send(make(webhook, "failing"))


@SHIPPED_KINDS
def test_a_failure_never_shows_an_address_or_a_token(webhook: Webhook, make: MakeBlock, root_log: io.StringIO) -> None:
    webhook.status = 403
    block = make(webhook, "leaky")
    with pytest.raises(NotDelivered, match="403") as failure:
        send(block)
    shown = str(failure.value) + "".join(line for line in root_log.getvalue().splitlines() if "apprise" in line)
    assert TOKEN not in shown
    assert webhook.address not in shown


class Telltale(NotificationBlock):
    """A block that tells all it knows when it fails."""

    token: SecretStr
    address: str

    def notify(self, body: str, subject: str | None = None) -> None:
        raise OSError(f"{self.token.get_secret_value()} was refused by {self.address}")


@pytest.mark.parametrize("address", ["https://example.com/services/path", "example.com"])
def test_what_a_block_tells_of_its_secrets_is_not_passed_on(address: str) -> None:
    Telltale(token=TOKEN, address=address).save("telltale", overwrite=True)
    with pytest.raises(NotDelivered) as failure:
        send("telltale/telltale")
    shown = address if address == "example.com" else "…"
    assert str(failure.value) == f"OSError: … was refused by {shown}"


@EVERY_KIND
def test_a_service_nobody_can_reach_is_not_delivered(webhook: Webhook, make: MakeBlock) -> None:
    block = make(webhook, "gone")
    webhook.close()
    with pytest.raises(NotDelivered):
        send(block)


@EVERY_KIND
def test_a_service_that_hangs_is_given_up_at_the_deadline(webhook: Webhook, make: MakeBlock) -> None:
    webhook.delay_s = 60.0
    with pytest.raises(NotDelivered, match="no answer in time"):
        send(make(webhook, "hangs"), send_timeout_s=1.0)
    assert not webhook.received


def test_a_block_that_does_not_exist_is_not_delivered() -> None:
    with pytest.raises(NotDelivered, match="Unable to find block"):
        send("slack-webhook/never-made")


def test_blocks_are_verified_without_being_used(webhook: Webhook) -> None:
    Secret(value="x").save("no-notifier", overwrite=True)
    names = (custom(webhook, "verified"), apprise(webhook, "verified"), "slack-webhook/never-made", "no-type/x")
    ids, problems = find_blocks((*names, "secret/no-notifier"))
    assert tuple(ids) == names[:2]
    assert problems == {
        "slack-webhook/never-made": NO_SUCH_BLOCK,
        "no-type/x": NO_SUCH_BLOCK,
        "secret/no-notifier": "it is no notification block",
    }
    assert webhook.received == []


@pytest.fixture
def spare(webhook: Webhook, tmp_path: Path) -> Health:
    """Settings with spare URLs, which lead to the webhook, for the blocks `spare`, never made, and `failing`."""
    urls = tmp_path / "urls"
    urls.write_text("".join(f"slack-webhook/{name} json://{webhook.address}/\n" for name in ("spare", "failing")))
    urls.chmod(0o600)
    return Health(spare_urls_file=urls)


def test_a_block_that_is_missing_is_said_to_be_and_told_by_its_spare_url(webhook: Webhook, spare: Health) -> None:
    found = BlockNotifier(spare).unusable(["slack-webhook/spare", "slack-webhook/other"])
    assert found["slack-webhook/spare"] == Unusable(f"{NO_SUCH_BLOCK}; its spare URL is used", has_spare=True)
    assert not found["slack-webhook/other"].has_spare
    assert "has no line for it" in found["slack-webhook/other"].why
    BlockNotifier(spare).send("slack-webhook/spare", "CRITICAL: stale_data", "nothing for 65 s")
    assert len(webhook.received) == 1
    with pytest.raises(NotDelivered, match="has no line for it"):
        BlockNotifier(spare).send("slack-webhook/other", "CRITICAL: stale_data", "nothing for 65 s")


def test_a_block_whose_service_fails_is_told_by_its_spare_url(webhook: Webhook, spare: Health) -> None:
    failing = Webhook()
    failing.status = 500
    SlackWebhook(url=f"json://{failing.address}/").save("failing", overwrite=True)
    assert BlockNotifier(spare).unusable(["slack-webhook/failing"]) == {}
    BlockNotifier(spare).send("slack-webhook/failing", "CRITICAL: stale_data", "nothing for 65 s")
    failing.close()
    assert (len(failing.received), len(webhook.received)) == (1, 1)


def test_without_the_server_every_block_is_unusable_and_the_spare_url_is_used(webhook: Webhook, spare: Health) -> None:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        found = BlockNotifier(spare).unusable(["slack-webhook/spare"])
        assert "ConnectError" in found["slack-webhook/spare"].why
        BlockNotifier(spare).send("slack-webhook/spare", "CRITICAL: stale_data", "nothing for 65 s")
    assert len(webhook.received) == 1


def test_a_url_that_apprise_does_not_know_is_not_delivered() -> None:
    SlackWebhook(url="no-such-service").save("unknown-service", overwrite=True)
    with pytest.raises(NotDelivered):
        send("slack-webhook/unknown-service")


def test_a_block_that_cannot_notify_is_not_delivered() -> None:
    Secret(value="x").save("no-notifier", overwrite=True)
    with pytest.raises(NotDelivered, match="cannot notify"):
        send("secret/no-notifier")


def test_without_the_server_nothing_counts_as_delivered(webhook: Webhook) -> None:
    block = custom(webhook, "unreachable")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(NotDelivered):
        send(block, send_timeout_s=5.0)
    assert not webhook.received
