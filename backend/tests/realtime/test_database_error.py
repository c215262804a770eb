"""The specification's "Database Error": logged, answered as one that can pass, no connection ended, nothing lost."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.engine import make_url

from app.db import Database
from app.errors import Unavailable
from deployx_protocol import events
from deployx_protocol.codes import Code
from tests.support.machines import Machine, MakeAgent
from tests.support.node import Lines, Serve, eventually
from tests.support.postgres import PostgresServer
from tests.support.rawlink import RawLink
from tests.support.sqlite_lock import locked


@contextlib.asynccontextmanager
async def away(url: str, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """The database takes no writes: PostgreSQL is stopped, SQLite locked by another program."""
    if url.startswith("postgresql"):
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.stop(immediate=False)
        try:
            yield
        finally:
            server.start()
        return
    async with locked(url):
        yield


async def test_a_database_error_is_logged_and_answered_as_one_that_can_pass(
    serve: Serve, agent: MakeAgent, lines: Lines, database_url: str, request: pytest.FixtureRequest
) -> None:
    node = await serve(enrollment="approval")
    known, stranger = agent(node), agent(node)
    await known.start()
    async with away(database_url, request):
        refusal = await stranger.refused()
        assert (refusal["code"], refusal["retryable"]) == (Code.SERVER_UNAVAILABLE, True)
        assert refusal["agent_id"] == stranger.machine.agent_id
        assert refusal["retry_after_s"] > 0
        await eventually(
            lambda: any("[ERROR] database.unavailable" in line for line in lines()), what="the error's line"
        )
        assert known.open
    name, success = await stranger.register()
    assert (name, success["agent_id"]) == ("registration_success", stranger.machine.agent_id)
    await node.status(known.machine.agent_id, "online")
    assert [row.status for row in await node.devices()] == ["online", "online"]


@pytest.mark.databases("sqlite")
async def test_a_pong_that_waits_behind_a_registration_is_not_missed(serve: Serve, database_url: str) -> None:
    node = await serve(enrollment="approval", ping_interval=0.2, ping_timeout=1.5)
    machine = Machine()
    async with RawLink.connected(node.url) as link:
        async with locked(database_url):
            await link.emit(events.AGENT_REGISTER, machine.register(node.url, link.sid, "0" * 32))
            await link.pinged()
            await link.pong()
            await link.pinged()  # the server has not come to read that, and asks again instead of closing
        await link.event(events.REGISTRATION_SUCCESS)


@pytest.mark.parametrize("wrong", ["/no_such_database", "nobody@"])
async def test_a_database_that_is_not_there_or_lets_nobody_in_can_pass(postgres_url: str, wrong: str) -> None:
    url = make_url(postgres_url)
    other = url.set(database=wrong[1:]) if wrong.startswith("/") else url.set(username=wrong[:-1])
    db = Database(other.render_as_string(hide_password=False))
    try:
        with pytest.raises(Unavailable):
            async with db.read() as session:
                await session.connection()
        with pytest.raises(Unavailable):
            async with db.write() as session:
                await session.connection()
    finally:
        await db.close()
