"""Tells each recipient what it has not been told, between two writes of the state: begun, and done.

No delivery begins before the state says so, and nothing counts as told that the notifier did not take.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from healthcheck.alert import alerts
from healthcheck.alert.message import compose
from healthcheck.config.settings import HealthConfig
from healthcheck.keep.state import State
from healthcheck.model.alert import Change, Delivery, Message
from healthcheck.model.finding import Block

log = logging.getLogger(__name__)

# A few deliveries that hang must not use up the time until the next check; what is left over is told then.
MOST_DELIVERY_TIMEOUTS = 3

Save = Callable[[State], State]


class NotDelivered(Exception):
    """A message did not reach its block. Says why, without any address or secret in it."""


class Notifier(Protocol):
    """Delivers a message to one recipient. Recipients are the blocks named in `health.groups`, each by itself.

    (By block, not by group: where one block of a group fails, the others must not be told again with it; and a
    block that belongs to two groups gets one message.)
    """

    def send(self, block: Block, subject: str, body: str) -> None:
        """Deliver to the block of this name, "type/name", within `health.alerts.send_timeout_s`.

        Raises:
            NotDelivered: not delivered; the next check tries again.
        """


def tell(
    state: State, save: Save, notifier: Notifier, config: HealthConfig, changes: Sequence[Change], now: datetime
) -> tuple[State, tuple[Delivery, ...]]:
    """Deliver everything untold, those that failed last time last. Returns the state as it was saved.

    Args:
        save: writes the state; what it raises ends the telling.
        changes: what this check changed, to log what cannot be told only when it is new.
    """
    health = config.health
    news = alerts.untold(state.alerts, health.addresses, now, health.alerts)
    state = replace(state, unreachable={block: why for block, why in state.unreachable.items() if block in news})
    deadline = time.monotonic() + MOST_DELIVERY_TIMEOUTS * health.alerts.send_timeout_s
    deliveries = []
    for block in sorted(news, key=lambda block: (block in state.unreachable, block)):
        again = block in state.sending
        message = compose(block, news[block], state.alerts, now, config.status.instance, again=again)
        before = state.unreachable.get(block)
        error: str | None = "not tried: other recipients took too long"
        if time.monotonic() < deadline:
            state = save(replace(state, sending={**state.sending, block: now}))
            error = _send(notifier, message)
            state = save(_after(state, message, error, config, now))
        if error:
            _complain(message, error, changes, before)
        deliveries.append(Delivery(message, error))
    return state, tuple(deliveries)


def _send(notifier: Notifier, message: Message) -> str | None:
    """Why it was not delivered, or None."""
    try:
        notifier.send(message.block, message.subject, message.body)
    except NotDelivered as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever a notifier raises, it did not deliver
        return type(error).__name__  # its text may hold a secret
    return None


def _after(state: State, message: Message, error: str | None, config: HealthConfig, now: datetime) -> State:
    """The state once the notifier has answered."""
    block = message.block
    unreachable = {other: why for other, why in state.unreachable.items() if other != block}
    sending = {other: at for other, at in state.sending.items() if other != block}
    if error:
        return replace(state, sending=sending, unreachable={**unreachable, block: error})
    told = alerts.tell(state.alerts, config.health.addresses, block, message.changes, now)
    return replace(state, sending=sending, unreachable=unreachable, alerts=told)


def _complain(message: Message, error: str, changes: Sequence[Change], before: str | None) -> None:
    """What could not be told goes to the log once, not at every attempt; so does a new reason."""
    new = {change.alert_id for change in changes} & {change.alert_id for change in message.changes}
    if new:
        log.critical("%s could not be told: %s\n%s\n%s", message.block, error, message.subject, message.body)
    elif error != before:
        log.warning("%s could not be told: %s; every check tries again", message.block, error)
