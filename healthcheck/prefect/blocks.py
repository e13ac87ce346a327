"""Delivers alerts through Prefect's notification blocks: Slack, Teams, PagerDuty, mail, webhooks and more.

A delivery that failed must raise, and must not take longer than its deadline. What is raised may be logged, so it
must never carry an address or a token.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import httpx
from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect.blocks.core import Block as PrefectBlock
from pydantic import BaseModel, Secret, SecretStr

from healthcheck.act.deliver import NotDelivered
from healthcheck.config.settings import Health
from healthcheck.model.finding import Block
from healthcheck.text import foreign

# Apprise logs addresses, tokens and all. The block listens to it to say why a delivery failed; nobody else may.
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())

_SHORTEST_SECRET = 4  # characters; blanking shorter ones would only garble the reason


class BlockNotifier:
    """Delivers messages to the blocks on the Prefect server this process talks to."""

    def __init__(self, health: Health) -> None:
        self._send_timeout_s = health.alerts.send_timeout_s

    def send(self, block: Block, subject: str, body: str) -> None:
        """Deliver to the block of this name, "type/name", within `health.alerts.send_timeout_s`.

        Raises:
            NotDelivered: there is no such block, or the service did not take the message in time.
        """
        delivery = _Delivery(block, subject, body)
        delivery.start()
        delivery.join(self._send_timeout_s)
        if delivery.reason is not None:
            raise NotDelivered(delivery.reason)


class _Delivery(threading.Thread):
    """One message to one block. A daemon, so that one that hangs does not outlive the check."""

    def __init__(self, block: Block, subject: str, body: str) -> None:
        super().__init__(name=block, daemon=True)
        self.reason: str | None = "no answer in time"
        self._subject = subject
        self._body = body
        self._context = copy_context()  # where Prefect keeps its settings and the run

    def run(self) -> None:
        self._context.run(self._deliver)

    def _deliver(self) -> None:
        secrets: set[str] = set()
        try:
            block = load_block(self.name)
            secrets.update(_secrets(block))  # now, because a webhook adds the message to its secrets
            with block.raise_on_failure():
                sent = block.notify(self._body, self._subject)
                if asyncio.iscoroutine(sent):  # Prefect's own blocks have sent it by now, others may only speak async
                    asyncio.run(sent)
            self.reason = None
        except Exception as error:  # noqa: BLE001  # a block may raise anything; whatever it is, it was not delivered
            self.reason = _without(secrets, _reason(error))


def load_block(name: Block) -> NotificationBlock:
    """Load a notification block by its "type/name".

    Raises:
        ValueError: there is no such block, or it is none that notifies.
        Exception: the Prefect server is away or refuses.
    """
    block = PrefectBlock.load(name)
    if not isinstance(block, NotificationBlock):
        raise ValueError(f"a {type(block).__name__} block cannot notify")
    return block


def _reason(error: Exception) -> str:
    match error:
        case NotificationError():
            return error.log or "the service did not take it"
        case httpx.HTTPStatusError():
            return f"HTTP status {error.response.status_code}"
        case _:
            return f"{type(error).__name__}: {error}"


def _without(secrets: set[str], reason: str) -> str:
    """The reason on one line, without any of the secrets and without any URL."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            reason = reason.replace(secret, "…")
    reason = re.sub(r"\w+://\S+", "…", reason)
    return foreign(" ".join(reason.split()))


def _secrets(value: Any) -> Iterator[str]:
    """Every secret text held by a block, or by what it holds."""
    match value:
        case SecretStr() | Secret():
            yield from _texts(value.get_secret_value())
        case BaseModel():
            for name in type(value).model_fields:
                yield from _secrets(getattr(value, name))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for part in value.values():
                yield from _texts(part)
