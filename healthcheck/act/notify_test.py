"""A test message to every recipient, by each way there is to reach it, and what became of it.

Says that a service took the message, never more: whether somebody reads it, only that somebody can say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from healthcheck.act.deliver import NotDelivered
from healthcheck.config.settings import HealthConfig
from healthcheck.model.finding import Block, Group

Send = Callable[[Block, str, str], None]  # block, subject, body; raises NotDelivered


@dataclass(frozen=True, slots=True)
class Attempt:
    """One message by one way; `problem` is None where a service took it."""

    groups: tuple[Group, ...]
    block: Block
    way: str
    problem: str | None


def send_all(config: HealthConfig, ways: Mapping[str, Send], asked_by: str) -> tuple[Attempt, ...]:
    """Send to each block once, whatever number of groups it belongs to, by each of these ways."""
    members: dict[Block, list[Group]] = {}
    for group, blocks in sorted(config.health.addresses.items()):
        for block in blocks:
            members.setdefault(block, []).append(group)
    return tuple(
        Attempt(tuple(groups), block, way, _send(config.status.instance, groups, block, way, send, asked_by))
        for block, groups in members.items()
        for way, send in ways.items()
    )


def lines(attempts: tuple[Attempt, ...], config: HealthConfig) -> list[str]:
    """A line for each attempt, and one for each group without a recipient."""
    shown = [
        f"{', '.join(one.groups)}: {one.block} by {one.way}: "
        + ("the service took it" if one.problem is None else f"NOT DELIVERED: {one.problem}")
        for one in attempts
    ]
    empty = [group for group, blocks in sorted(config.health.addresses.items()) if not blocks]
    return [*shown, *(f"{group}: nobody: health.groups.{group} has no block" for group in empty)]


def _send(instance: str, groups: list[Group], block: Block, way: str, send: Send, asked_by: str) -> str | None:
    subject = f"[scan-bridge {instance}] TEST: a message to {', '.join(groups)}"
    body = (
        f"This is a test, asked for by {asked_by}; nothing is wrong.\n"
        f"It came by {way} of {block}. Alerts to {', '.join(groups)} come the same way."
    )
    try:
        send(block, subject, body)
    except NotDelivered as error:
        return str(error)
    return None
