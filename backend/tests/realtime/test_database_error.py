"""The specification's "Database Error": logged, answered as one that can pass, no connection ended, nothing lost."""

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy.engine import make_url

from deployx_protocol.codes import Code
from tests.support.machines import MakeAgent
from tests.support.node import Lines, Serve, eventually
from tests.support.postgres import PostgresServer


@contextlib.contextmanager
def away(url: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """The database takes no writes: PostgreSQL is stopped, SQLite locked by another program."""
    if url.startswith("postgresql"):
        server: PostgresServer = request.getfixturevalue("postgres_server")
        server.stop(immediate=False)
        try:
            yield
        finally:
            server.start()
        return
    other = sqlite3.connect(str(make_url(url).database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_a_database_error_is_logged_and_answered_as_one_that_can_pass(
    serve: Serve, agent: MakeAgent, lines: Lines, database_url: str, request: pytest.FixtureRequest
) -> None:
    node = await serve(enrollment="approval")
    known, stranger = agent(node), agent(node)
    await known.start()
    with away(database_url, request):
        refusal = await stranger.refused()
        assert (refusal["code"], refusal["retryable"]) == (Code.SERVER_UNAVAILABLE, True)
        assert refusal["agent_id"] == stranger.machine.agent_id
        assert refusal["retry_after_s"] > 0
        await eventually(
            lambda: any("[ERROR] database.unavailable" in line for line in lines()), what="the error's line"
        )
        assert known.open
    name, success = await stranger.register()
    for _ in range(10):  # what queued behind the lock may still be refused as retryable, and an agent tries again
        if name == "registration_success":
            break
        assert success["retryable"] is True
        name, success = await stranger.register()
    assert (name, success["agent_id"]) == ("registration_success", stranger.machine.agent_id)
    await node.status(known.machine.agent_id, "online")
    assert [row.status for row in await node.devices()] == ["online", "online"]
