"""A session's wait: ended by its time, by the loss of the connection, and by the consumer's end."""

from __future__ import annotations

import asyncio

import pytest
from hazelcast.config import Config

from bridge.cluster.hazelcast_client import Client
from bridge.consumer.session import Away, Session


def new_session() -> Session:
    return Session(Client(Config(), connect_timeout_s=1.0, cleaning_s=1.0), call_timeout_s=1.0)


def test_the_time_ends_it_without_a_word() -> None:
    async def test() -> None:
        await new_session().wait(0.01)
        await new_session().wait(-1.0)

    asyncio.run(test())


def test_the_loss_of_the_connection_ends_it() -> None:
    async def test() -> None:
        session = new_session()
        waiting = asyncio.create_task(session.wait(3600.0))
        await asyncio.sleep(0.01)
        session.lose()
        with pytest.raises(Away, match="the connection was lost"):
            await waiting
        with pytest.raises(Away):
            await session.wait(3600.0)

    asyncio.run(test())


def test_the_end_is_not_forgotten_when_the_connection_is_lost_at_that_moment() -> None:
    async def test() -> None:
        session = new_session()
        waiting = asyncio.create_task(session.wait(3600.0))
        await asyncio.sleep(0.01)
        session.lose()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(test())
