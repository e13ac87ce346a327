"""The Automations that come with the deployment: they watch the watcher, from inside the Prefect server.

`ensure` may run any number of times: it creates what is missing, brings what differs in line with the config, and
leaves the rest alone. An Automation that somebody switched off stays off.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import Automation, DoNothing, EventTrigger, Posture, SendNotification
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore

from healthcheck.config.settings import HealthConfig
from healthcheck.prefect.blocks import load_block
from healthcheck.prefect.run_view import ALERT_LABEL, EVENT_PREFIX

log = logging.getLogger(__name__)

GROUP = "ops"  # told by both
SILENT_FOR = timedelta(minutes=5)


def shipped(blocks: tuple[UUID, ...], silent_for: timedelta = SILENT_FOR) -> tuple[Automation, ...]:
    """The Automations as they should be.

    Args:
        blocks: ids of the notification blocks they tell. Without any they do nothing but leave their own
            `prefect.automation.triggered` event.
        silent_for: how long no check may complete.
    """
    every_bridge = {"prefect.resource.id": f"{EVENT_PREFIX}*"}
    checked = {f"{EVENT_PREFIX}checked"}
    return (
        Automation(
            name="scan-bridge: no health check completed",
            description="The scan bridge's health check has been silent for too long. Kept up to date by "
            "`scan-bridge-health serve`: changes made here are undone, but for switching it off.",
            # `after` and `expect` the same: once a check was seen, another must follow. Fires once per silence.
            trigger=EventTrigger(
                after=checked,
                expect=checked,
                match=every_bridge,
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=silent_for,
            ),
            actions=_tell(
                blocks,
                "scan bridge: the health check is silent",
                f"No health check of the scan bridge has completed for {silent_for / timedelta(minutes=1):g} min.\n"
                "Whether the bridge is well is not known here. Look on its host: "
                "systemctl status dolphin-scan-bridge-healthcheck dolphin-scan-bridge",
            ),
        ),
        Automation(
            name="scan-bridge: critical finding, nobody told",
            description="The health check found something critical and could not deliver its alert; the server tries "
            "its own way. Alerts that were delivered are not repeated. Kept up to date by `scan-bridge-health serve`: "
            "changes made here are undone, but for switching it off.",
            trigger=EventTrigger(
                expect={f"{EVENT_PREFIX}critical"},
                match={**every_bridge, ALERT_LABEL: ["undelivered", "nobody"]},
                posture=Posture.Reactive,
                threshold=1,
                within=timedelta(0),
            ),
            actions=_tell(
                blocks,
                "scan bridge: {{ event.payload.title }}",
                "{{ event.payload.title }}: {{ event.payload.words }}\n"
                "The health check itself could not deliver this alert.",
            ),
        ),
    )


def ensure(config: HealthConfig) -> list[str]:
    """Create or update the shipped Automations; returns the names of those that changed.

    Raises:
        Exception: the server is away or refuses.
    """
    changed = []
    for wanted in shipped(_block_ids(config)):
        with get_client(sync_client=True) as client:
            found = client.read_automations_by_name(wanted.name)
        if not found:
            wanted.create()
        elif _content(found[0]) != _content(wanted):
            wanted.id, wanted.enabled = found[0].id, found[0].enabled
            wanted.update()
        else:
            continue
        changed.append(wanted.name)
    return changed


def _tell(blocks: tuple[UUID, ...], subject: str, body: str) -> list[DoNothing | SendNotification]:
    tell = [SendNotification(block_document_id=block, subject=subject, body=body) for block in blocks]
    return [*tell] or [DoNothing()]


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(mode="json", exclude={"id", "enabled", "owner_resource"})


def _block_ids(config: HealthConfig) -> tuple[UUID, ...]:
    ids = []
    for name in config.health.addresses[GROUP]:
        try:
            ids.append(load_block(name)._block_document_id)
        except ValueError as error:
            log.error("block %s cannot be told by Automations: %s", name, error)
    return tuple(id_ for id_ in ids if id_)
