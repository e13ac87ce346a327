"""What stands in Prefect of this and of other hosts' checks: claims of instances, and what is left of bridges gone.

Each call asks the server, and raises whatever the server or the way to it had against it.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import anyio.to_thread
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectNotFound

from healthcheck.prefect import automations, claims
from healthcheck.prefect.claims import Claim
from healthcheck.prefect.flow import FLOW_NAME
from healthcheck.prefect.outcome import last_ended


async def claims_of(client: PrefectClient, instance: str, host: str) -> list[Claim]:
    """Who claims this instance. When a run ended last is asked of other hosts' only."""
    found = []
    for deployment in await _tagged(client, claims.instance_tag(instance)):
        by = claims.host_of(deployment.tags)
        run = None if by == host else await last_ended(client, deployment.id)
        ended = run.state.timestamp if run and run.state else None
        found.append(Claim(claims.name_of(deployment.name) or "", by, ended))
    return found


async def is_ours(client: PrefectClient, deployment: UUID, host: str) -> bool:
    """Whether the deployment is there still, and nobody else has made it his since."""
    try:
        return claims.host_of((await client.read_deployment(deployment)).tags) == host
    except ObjectNotFound:
        return False


async def retire(client: PrefectClient, host: str, names: Collection[str]) -> list[str]:
    """Remove what this host has there under other names than these: of bridges that it has no more. What was removed.

    What version 1.0 had for all hosts together goes too; a host that still runs it makes it anew for itself.
    """
    removed = []
    # The deployment last: as long as it is there, what could not be removed is tried again.
    for deployment in await _tagged(client, claims.host_tag(host)):
        name = claims.name_of(deployment.name)
        if name is not None and name not in names:
            await anyio.to_thread.run_sync(automations.remove, name, abandon_on_cancel=True)
            await client.delete_deployment(deployment.id)
            removed.append(name)
    try:
        old = await client.read_deployment_by_name(f"{FLOW_NAME}/{claims.OLD_DEPLOYMENT}")
    except ObjectNotFound:
        return removed
    if old.work_pool_name is None:  # else somebody carries it out in a pool of his own
        await anyio.to_thread.run_sync(automations.remove_old, abandon_on_cancel=True)
        await client.delete_deployment(old.id)
    return removed


async def _tagged(client: PrefectClient, tag: str) -> list[DeploymentResponse]:
    tags = DeploymentFilterTags(all_=[claims.TAG, tag])
    return await client.read_deployments(deployment_filter=DeploymentFilter(tags=tags), limit=200)
