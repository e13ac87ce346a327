"""Notification blocks of the tests' Prefect server."""

from __future__ import annotations

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from support.prefect_server import Webhook

TOKEN = "token-that-nobody-may-see"


def custom(webhook: Webhook, name: str) -> str:
    block = CustomWebhookNotificationBlock(
        name=name,
        url=f"http://{webhook.address}/services/{{{{token}}}}",
        json_data={"subject": "{{subject}}", "text": "{{body}}", "token": "{{token}}"},
        secrets={"token": TOKEN},
    )
    block.save(name, overwrite=True)
    return f"custom-webhook/{name}"
