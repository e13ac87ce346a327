"""Tells each recipient what it has not been told, between two writes of the state: begun, and done.

No delivery begins before the state says so, and nothing counts as told that the notifier did not take.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from healthcheck.alert.alerts import Alerting
from healthcheck.alert.message import Writer
from healthcheck.config.settings import HealthConfig
from healthcheck.keep.state import State
from healthcheck.model.alert import Change, Delivery, Message
from healthcheck.model.condition import Unusable
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

    def unusable(self, blocks: Iterable[Block]) -> Mapping[Block, Unusable] | None:
        """Which of these cannot be used as configured; None where that cannot be told from here.

        Asked at each check, so it is cheap; it never raises.
        """


@dataclass(frozen=True, slots=True)
class Outbox:
    """The way from what is untold to the recipients. `save` writes the state; what it raises ends the delivering."""

    notifier: Notifier
    save: Save
    alerting: Alerting
    config: HealthConfig

    def deliver(self, state: State, changes: Sequence[Change]) -> tuple[State, tuple[Delivery, ...]]:
        """Deliver everything untold, those that failed last time last. Returns the state as it was saved.

        Args:
            changes: what this check changed, to log what cannot be told only when it is new.
        """
        news = self.alerting.untold(state.alerts)
        state = replace(state, unreachable={block: why for block, why in state.unreachable.items() if block in news})
        deadline = time.monotonic() + MOST_DELIVERY_TIMEOUTS * self.config.health.alerts.send_timeout_s
        writer = Writer(self.config.status.instance, self.alerting.now, self.config.health.scan_bridge_health)
        deliveries = []
        for block in sorted(news, key=lambda block: (block in state.unreachable, block)):
            message = writer.compose(block, news[block], state.alerts, again=block in state.sending)
            before = state.unreachable.get(block)
            error: str | None = "not tried: other recipients took too long"
            if time.monotonic() < deadline:
                state = self.save(replace(state, sending={**state.sending, block: self.alerting.now}))
                error = _send(self.notifier, message)
                state = self.save(self._after(state, message, error))
            if error:
                _complain(message, error, changes, before)
            deliveries.append(Delivery(message, error))
        return state, tuple(deliveries)

    def _after(self, state: State, message: Message, error: str | None) -> State:
        """The state once the notifier has answered."""
        block = message.block
        unreachable = {other: why for other, why in state.unreachable.items() if other != block}
        sending = {other: at for other, at in state.sending.items() if other != block}
        if error:
            return replace(state, sending=sending, unreachable={**unreachable, block: error})
        told = self.alerting.mark_told(state.alerts, block, message.changes)
        return replace(state, sending=sending, unreachable=unreachable, alerts=told)


def _send(notifier: Notifier, message: Message) -> str | None:
    """Why it was not delivered, or None."""
    try:
        notifier.send(message.block, message.subject, message.body)
    except NotDelivered as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever a notifier raises, it did not deliver
        return type(error).__name__  # its text may hold a secret
    return None


def _complain(message: Message, error: str, changes: Sequence[Change], before: str | None) -> None:
    """What could not be told goes to the log once, not at every attempt; so does a new reason."""
    new = {change.alert_id for change in changes} & {change.alert_id for change in message.changes}
    if new:
        log.critical("%s could not be told: %s\n%s\n%s", message.block, error, message.subject, message.body)
    elif error != before:
        log.warning("%s could not be told: %s; every check tries again", message.block, error)
