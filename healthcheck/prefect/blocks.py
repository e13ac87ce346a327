"""Delivers alerts through Prefect's notification blocks: Slack, Teams, PagerDuty, mail, webhooks and more.

A delivery that failed must raise, and must not take longer than its deadline. What is raised may be logged, so it
must never carry an address or a token. Where a block cannot be used, its spare URL is.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from typing import Any
from uuid import UUID

import httpx
from prefect.blocks.abstract import NotificationBlock, NotificationError
from prefect.blocks.core import Block as PrefectBlock
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, Secret, SecretStr

from healthcheck.act.apprise_urls import SpareNotifier
from healthcheck.act.deliver import NotDelivered
from healthcheck.config.settings import Health
from healthcheck.model.condition import Unusable
from healthcheck.model.finding import Block
from healthcheck.text import foreign

# Apprise logs addresses, tokens and all. The block listens to it to say why a delivery failed; nobody else may.
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())

log = logging.getLogger(__name__)

NO_SUCH_BLOCK = "Prefect has no such block"
_SHORTEST_SECRET = 4  # characters; blanking shorter ones would only garble the reason


class BlockNotifier:
    """Delivers messages to the blocks on the Prefect server this process talks to, else to their spare URLs."""

    def __init__(self, health: Health) -> None:
        self._send_timeout_s = health.alerts.send_timeout_s
        self._spare = SpareNotifier(health)

    def send(self, block: Block, subject: str, body: str) -> None:
        """Deliver to the block of this name, "type/name", or to its spare URL, each within `alerts.send_timeout_s`.

        Raises:
            NotDelivered: neither took the message in time.
        """
        try:
            send_by_block(block, subject, body, self._send_timeout_s)
        except NotDelivered as error:
            try:
                self._spare.send(block, subject, body)
            except NotDelivered as spare_error:
                raise NotDelivered(f"{error}; {spare_error}") from error
            log.warning("%s was told by its spare URL, for Prefect's block failed: %s", block, error)

    def unusable(self, blocks: Iterable[Block]) -> dict[Block, Unusable]:
        """Which of these blocks cannot be used, and what happens instead. One small request each; never raises."""
        wanted = tuple(blocks)
        asking = _Job("blocks", lambda: find_blocks(wanted)[1])
        failed = asking.result(self._send_timeout_s)
        problems: dict[Block, str] = dict.fromkeys(wanted, failed) if failed else asking.value or {}
        return {block: self._unusable(block, problem) for block, problem in problems.items()}

    def _unusable(self, block: Block, problem: str) -> Unusable:
        no_spare = self._spare.problem(block)
        return Unusable(f"{problem}; {no_spare or 'its spare URL is used'}", has_spare=no_spare is None)


def send_by_block(block: Block, subject: str, body: str, deadline_s: float) -> None:
    """Deliver to the notification block of this name and to nothing else.

    Raises:
        NotDelivered: there is no such block, or the service did not take the message in time.
    """
    if problem := _Job(block, lambda: _deliver(block, subject, body)).result(deadline_s):
        raise NotDelivered(problem)


def find_blocks(names: Iterable[Block]) -> tuple[dict[Block, UUID], dict[Block, str]]:
    """The ids of those notification blocks that there are; and why the others cannot be used.

    Raises:
        Exception: the Prefect server is away or refuses.
    """
    ids, problems = {}, {}
    with get_client(sync_client=True) as client:
        for name in names:
            kind, _, own_name = name.partition("/")
            try:
                document = client.read_block_document_by_name(own_name, kind, include_secrets=False)
            except ObjectNotFound:
                problems[name] = NO_SUCH_BLOCK
                continue
            if document.block_schema and "notify" not in document.block_schema.capabilities:
                problems[name] = "it is no notification block"
            else:
                ids[name] = document.id
    return ids, problems


class _Job(threading.Thread):
    """Something to be done by Prefect within a deadline. A daemon: one that hangs does not outlive the check."""

    def __init__(self, name: str, job: Callable[[], Any]) -> None:
        super().__init__(name=name, daemon=True)
        self.value: Any = None
        self._job = job
        self._problem: str | None = "no answer in time"
        self._context = copy_context()  # where Prefect keeps its settings and the run

    def result(self, deadline_s: float) -> str | None:
        """Do it; None once it is done, with its `value`, else why it is not, without any secret."""
        self.start()
        self.join(deadline_s)
        return self._problem

    def run(self) -> None:
        try:
            self.value = self._context.run(self._job)
            self._problem = None
        except Exception as error:  # noqa: BLE001  # whatever it is, it was not done
            self._problem = str(error) if isinstance(error, NotDelivered) else _without(set(), _reason(error))


def _deliver(name: Block, subject: str, body: str) -> None:
    secrets: set[str] = set()
    try:
        block = PrefectBlock.load(name)
        if not isinstance(block, NotificationBlock):
            raise NotDelivered(f"a {type(block).__name__} block cannot notify")
        secrets.update(_secrets(block))  # now, because a webhook adds the message to its secrets
        with block.raise_on_failure():
            sent = block.notify(body, subject)
            if asyncio.iscoroutine(sent):  # Prefect's own blocks have sent it by now, others may only speak async
                asyncio.run(sent)
    except Exception as error:  # a block may raise anything; whatever it is, it was not delivered
        raise NotDelivered(_without(secrets, _reason(error))) from error


def _reason(error: Exception) -> str:
    match error:
        case NotDelivered():
            return str(error)
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
