"""Delivers alerts by Apprise to spare URLs from a credential file: where Prefect, or a block of it, cannot be used.

Keyed by the names of Prefect's blocks, so that what was told here is not told again by Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from healthcheck.act.deliver import NotDelivered
from healthcheck.config.settings import Health
from healthcheck.keep import secret
from healthcheck.keep.secret import SecretError
from healthcheck.model.finding import Block


class SpareNotifier:
    """Delivers to those blocks that have a line in `spare_urls_file`; the others are told once Prefect is back."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def send(self, block: Block, subject: str, body: str) -> None:
        """Deliver the message.

        Raises:
            NotDelivered: the block has no usable spare URL, Apprise is not installed, or the service did not take it.
        """
        url = self._url(block)
        try:
            apprise: Any = import_module("apprise")
        except ImportError as error:
            raise NotDelivered("its spare URL cannot be used: the package apprise is not installed") from error
        with _silence("apprise"):  # its log lines carry URLs
            service = apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False, app_id="scan-bridge"))
            if not service.add(self._with_timeout(url)):
                raise NotDelivered("its spare URL is none that Apprise knows")
            if not service.notify(title=subject, body=body):
                raise NotDelivered("the service behind its spare URL did not take it")

    def problem(self, block: Block) -> str | None:
        """Why the block's spare URL cannot be used, in one line without the URL; None where there is one."""
        try:
            self._url(block)
        except NotDelivered as error:
            return str(error)
        return None

    def unusable(self, blocks: Iterable[Block]) -> None:
        """Prefect is not asked here, so nothing is known of its blocks."""

    def _url(self, block: Block) -> str:
        if self._health.spare_urls_file is None:
            raise NotDelivered("no spare URL: health.spare_urls_file is not set")
        try:
            urls = parse_urls(secret.read(self._health.spare_urls_file))
        except SecretError as error:
            raise NotDelivered(f"no spare URL: {error}") from error
        if not urls.get(block):
            raise NotDelivered(f"no spare URL: {self._health.spare_urls_file} has no line for it")
        return urls[block]

    def _with_timeout(self, url: str) -> str:
        """Apprise takes its timeouts in the URL."""
        each_s = self._health.alerts.send_timeout_s / 2
        return f"{url}{'&' if '?' in url else '?'}cto={each_s:g}&rto={each_s:g}"


@contextmanager
def _silence(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def parse_urls(text: str) -> dict[Block, str]:
    """`NAME URL` lines; empty ones and those that begin with # are skipped."""
    urls = {}
    for line in text.splitlines():
        name, _, url = line.strip().partition(" ")
        if name and not name.startswith("#"):
            urls[name] = url.strip()
    return urls
