"""The Automations that come with the deployment: they watch the watcher, from inside the Prefect server.

`ensure` may run any number of times: it creates what is missing, brings what differs in line with the config, and
leaves the rest alone. An Automation that somebody switched off stays off.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import Automation, DoNothing, EventTrigger, Posture, SendNotification
from prefect.client.orchestration import get_client
from prefect.events.schemas.automations import AutomationCore

from healthcheck.config.settings import HealthConfig
from healthcheck.model.finding import Block
from healthcheck.prefect.blocks import find_blocks
from healthcheck.prefect.run_view import ALERT_LABEL, EVENT_PREFIX

SILENT, UNTOLD = "no health check completed", "critical finding, nobody told"
OLD_NAMES = (f"scan-bridge: {SILENT}", f"scan-bridge: {UNTOLD}")  # of version 1.0: one pair for all bridges
GROUP = "ops"  # told by both
SILENT_FOR = timedelta(minutes=5)
LOOK_FURTHER = "systemctl status 'dolphin-scan-bridge*'"
KEPT = "Kept up to date by `scan-bridge-health serve`: changes made here are undone, but for switching it off."


@dataclass(frozen=True, slots=True)
class Ensured:
    """What `ensure` did: the names of the Automations it changed, and whom they cannot tell, and why."""

    changed: tuple[str, ...]
    untold: dict[Block, str]


def shipped(
    name: str, blocks: tuple[UUID, ...], silent_for: timedelta = SILENT_FOR, look_further: str = LOOK_FURTHER
) -> tuple[Automation, ...]:
    """The Automations as they should be.

    Args:
        name: of the check that they watch: its bridge's instance, or the name that it has aside.
        blocks: ids of the notification blocks they tell. Without any they do nothing but leave their own
            `prefect.automation.triggered` event, and say so.
        silent_for: how long no check may complete.
        look_further: the command to run on its host then.
    """
    note = KEPT if blocks else f"{KEPT} TELLS NOBODY: health.groups.{GROUP} has no block that Prefect has."
    of_bridge = {"prefect.resource.id": f"{EVENT_PREFIX}{name}"}
    checked = {f"{EVENT_PREFIX}checked"}
    return (
        Automation(
            name=f"scan-bridge {name}: {SILENT}",
            description=f"The health check of scan bridge {name} has been silent for too long. {note}",
            # `after` and `expect` the same: once a check was seen, another must follow. Fires once per silence.
            trigger=EventTrigger(
                after=checked,
                expect=checked,
                match=of_bridge,
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=silent_for,
            ),
            actions=_tell(
                blocks,
                f"scan bridge {name}: the health check is silent",
                f"No health check of {name} has completed for {silent_for / timedelta(minutes=1):g} min.\n"
                f"Whether the bridge is well is not known here. Look on its host: {look_further}",
            ),
        ),
        Automation(
            name=f"scan-bridge {name}: {UNTOLD}",
            description="The health check found something critical and could not deliver its alert; the server tries "
            "its own way. Alerts that were delivered are not repeated. " + note,
            trigger=EventTrigger(
                expect={f"{EVENT_PREFIX}critical"},
                match={**of_bridge, ALERT_LABEL: ["undelivered", "nobody"]},
                posture=Posture.Reactive,
                threshold=1,
                within=timedelta(0),
            ),
            actions=_tell(
                blocks,
                f"scan bridge {name}: " + "{{ event.payload.title }}",
                "{{ event.payload.title }}: {{ event.payload.words }}\n"
                "The health check itself could not deliver this alert.",
            ),
        ),
    )


def ensure(config: HealthConfig, name: str | None = None) -> Ensured:
    """Create or update the shipped Automations of one check; `name` is that of its instance unless another is given.

    Raises:
        Exception: the server is away or refuses.
    """
    ids, untold = find_blocks(config.health.addresses[GROUP])
    changed = []
    look_further = f"{config.health.systemctl} status dolphin-scan-bridge-healthcheck {config.health.unit}"
    every = shipped(name or config.status.instance, tuple(ids.values()), look_further=look_further)
    for old, wanted in zip(OLD_NAMES, every, strict=True):
        with get_client(sync_client=True) as client:
            found = client.read_automations_by_name(wanted.name)
            before = [] if found else client.read_automations_by_name(old)
        if not found:
            wanted.enabled = all(automation.enabled for automation in before)
            wanted.create()
        elif _content(found[0]) != _content(wanted):
            wanted.id, wanted.enabled = found[0].id, found[0].enabled
            wanted.update()
        else:
            continue
        changed.append(wanted.name)
    return Ensured(tuple(changed), untold)


def remove(name: str) -> None:
    """Remove the Automations of a check that is no more. Raises what `ensure` does."""
    _delete(automation.name for automation in shipped(name, ()))


def remove_old() -> None:
    """Remove those of version 1.0, which the ones of each bridge replace. Raises what `ensure` does."""
    _delete(OLD_NAMES)


def _delete(names: Iterable[str]) -> None:
    with get_client(sync_client=True) as client:
        for name in names:
            for automation in client.read_automations_by_name(name):
                client.delete_automation(automation.id)


def untold_words(ensured: Ensured, config: HealthConfig) -> str:
    """Whom the Automations cannot tell, in words; empty if they can tell everybody they should."""
    if not config.health.addresses[GROUP]:
        return f"the Automations tell nobody: health.groups.{GROUP} has no block"
    reasons = ", ".join(f"{block} ({why})" for block, why in ensured.untold.items())
    return f"the Automations cannot tell {reasons}" if reasons else ""


def _tell(blocks: tuple[UUID, ...], subject: str, body: str) -> list[DoNothing | SendNotification]:
    tell = [SendNotification(block_document_id=block, subject=subject, body=body) for block in blocks]
    return [*tell] or [DoNothing()]


def _content(automation: AutomationCore) -> dict[str, Any]:
    return automation.model_dump(mode="json", exclude={"id", "enabled", "owner_resource"})
