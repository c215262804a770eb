"""The throwaway PostgreSQL itself: databases are separate, and an outage keeps port and data."""

import asyncpg

from tests.support.postgres import PostgresServer


def plain(url: str) -> str:
    return url.replace("+asyncpg", "")


async def test_an_outage_keeps_port_and_data(postgres_server: PostgresServer) -> None:
    url = plain(postgres_server.create_database())
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (id int)")
    await connection.execute("CHECKPOINT")
    await connection.close()

    postgres_server.stop()
    with_error: Exception | None = None
    try:
        await asyncpg.connect(url)
    except OSError as error:
        with_error = error
    assert with_error is not None

    postgres_server.start()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    await connection.close()
    postgres_server.drop_database(url)


async def test_each_test_has_a_database_of_its_own(database_url: str) -> None:
    assert database_url.startswith(("sqlite+aiosqlite:///", "postgresql+asyncpg://"))
