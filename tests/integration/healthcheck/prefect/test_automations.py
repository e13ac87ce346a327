"""The shipped Automations, on a real Prefect server that carries them out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from support.prefect_blocks import custom
from support.prefect_server import PrefectServer, Webhook, eventually

from bridge.config import Source
from healthcheck.config.settings import Health, HealthConfig, Recipients
from healthcheck.prefect import automations
from healthcheck.prefect.blocks import find_blocks
from healthcheck.prefect.run_view import ALERT_LABEL

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("prefect")]


def config(*blocks: str) -> HealthConfig:
    return HealthConfig(source=Source(root=Path("/scans")), health=Health(groups={"ops": Recipients(blocks=blocks)}))


def id_of(block: str) -> UUID:
    return find_blocks([block])[0][block]


def on_server() -> list[Automation]:
    with get_client(sync_client=True) as client:
        return sorted(client.read_automations(), key=lambda automation: automation.name)


def emit(name: str, title: str = "stale_data", **labels: str) -> None:
    resource = {"prefect.resource.id": f"scan-bridge.{config().status.instance}", **labels}
    emit_event(f"scan-bridge.{name}", resource, payload={"title": title, "words": "nothing for 65 s"})
    EventsWorker.instance().wait_until_empty()


@pytest.fixture(autouse=True)
def _no_automations(prefect: PrefectServer) -> Iterator[None]:
    yield
    for automation in on_server():
        Automation(**automation.model_dump()).delete()


def test_they_are_created_once_however_often_ensured() -> None:
    assert len(automations.ensure(config()).changed) == 2
    first = on_server()
    assert automations.ensure(config()).changed == ()
    assert on_server() == first
    assert [[action.type for action in automation.actions] for automation in first] == [["do-nothing"]] * 2


def test_they_follow_the_config(webhook: Webhook) -> None:
    automations.ensure(config())
    before = on_server()
    block = custom(webhook, "follows")
    assert len(automations.ensure(config(block)).changed) == 2
    after = on_server()
    assert [automation.id for automation in after] == [automation.id for automation in before]
    for automation in after:
        assert [action.block_document_id for action in automation.actions] == [id_of(block)]
    assert automations.ensure(config(block)).changed == ()


def test_one_that_was_switched_off_stays_off(webhook: Webhook) -> None:
    automations.ensure(config())
    Automation(**on_server()[0].model_dump()).disable()
    automations.ensure(config(custom(webhook, "stays-off")))
    assert [automation.enabled for automation in on_server()] == [False, True]


def test_each_check_has_its_own_and_hears_of_no_others_events(webhook: Webhook) -> None:
    """`emit` speaks for this host's instance."""
    block = id_of(custom(webhook, "of-another"))
    for automation in automations.shipped("another", (block,)):
        automation.create()
    automations.ensure(config(custom(webhook, "own")))
    assert len(on_server()) == 4

    def told() -> list[str]:
        emit("critical", **{ALERT_LABEL: "nobody"})
        return webhook.received

    eventually(told, 60, "the server did not call the webhook")
    assert not any("scan bridge another" in body for body in webhook.received)
    automations.remove("another")
    assert not any("another" in automation.name for automation in on_server())


def test_a_block_that_does_not_exist_is_left_out(webhook: Webhook) -> None:
    block = custom(webhook, "exists")
    made = config("slack-webhook/never-made", block)
    ensured = automations.ensure(made)
    assert ensured.untold == {"slack-webhook/never-made": "Prefect has no such block"}
    assert automations.untold_words(ensured, made) == (
        "the Automations cannot tell slack-webhook/never-made (Prefect has no such block)"
    )
    for automation in on_server():
        assert [action.block_document_id for action in automation.actions] == [id_of(block)]


def test_without_any_block_that_exists_they_do_nothing_and_say_so(webhook: Webhook) -> None:
    automations.ensure(config(custom(webhook, "deleted")))
    with get_client(sync_client=True) as client:
        client.delete_block_document(id_of("custom-webhook/deleted"))
    assert list(automations.ensure(config("custom-webhook/deleted")).untold) == ["custom-webhook/deleted"]
    for automation in on_server():
        assert [action.type for action in automation.actions] == ["do-nothing"]
        assert "TELLS NOBODY" in automation.description
    custom(webhook, "deleted")
    assert automations.ensure(config("custom-webhook/deleted")).untold == {}
    for automation in on_server():
        assert [action.type for action in automation.actions] == ["send-notification"]
        assert "TELLS NOBODY" not in automation.description


def test_a_critical_finding_nobody_was_told_of_is_told_by_the_server_and_no_other(webhook: Webhook) -> None:
    automations.ensure(config(custom(webhook, "untold")))

    def told() -> list[str]:
        # Again and again: an event that comes before the server has loaded a new Automation is not matched with it.
        for fate in ("delivered", "muted", "undelivered", "nobody"):
            emit("critical", fate, **{ALERT_LABEL: fate})
        return webhook.received if len(webhook.received) >= 2 else []

    bodies = eventually(told, 60, "the server did not call the webhook")
    assert all("undelivered: nothing for 65 s" in body or "nobody: nothing for 65 s" in body for body in bodies)


def test_silence_of_the_health_check_is_told_once_and_only_once_it_is_silent(webhook: Webhook) -> None:
    block = id_of(custom(webhook, "silence"))
    within = timedelta(seconds=10)  # the shortest the server takes
    automations.shipped(config().status.instance, (block,), within)[0].create()
    ends = time.monotonic() + 1.1 * within.total_seconds()
    while time.monotonic() < ends:
        emit("checked")
        assert not webhook.received, "told although checks complete"
        time.sleep(1)
    eventually(lambda: webhook.received, 60, "silence was not told")
    assert f"No health check of {config().status.instance} has completed" in webhook.received[0]
    time.sleep(1.1 * within.total_seconds())
    assert len(webhook.received) == 1
