"""A database that may be on several machines: each has its own time to answer."""

import asyncio
import socket

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.engine import make_url

from app import postgres
from app.db import Database
from app.postgres import Addresses
from app.settings import Settings
from tests.support.postgres import PostgresServer, free_port

HOST = "127.0.0.1"


async def test_fault_04_a_machine_that_hangs_does_not_keep_anyone_from_asking_the_next(
    postgres_server: PostgresServer,
) -> None:
    with socket.create_server((HOST, 0)) as hanging:
        hanging.setblocking(False)
        places = {"host": [HOST, HOST], "port": [hanging.getsockname()[1], postgres_server.port]}
        options = {"user": "postgres", "database": "postgres", "timeout": 0.5}
        addresses = Addresses()
        await (await addresses.connect(**places, **options)).close()
        hanging.accept()[0].close()
        await (await addresses.connect(**places, **options)).close()
        with pytest.raises(BlockingIOError):  # where it was found is asked first
            hanging.accept()
        with pytest.raises(TimeoutError):
            await Addresses().connect(**places | {"port": [free_port(), hanging.getsockname()[1]]}, **options)


@pytest.mark.parametrize(
    ("written", "hosts", "ports"),
    [
        ("postgresql://a:b@h1:1,h2/c", ["h1", "h2"], [1, 5432]),
        ("postgres://a:b@[::1]:5,h2:6/c?ssl=require", ["::1", "h2"], [5, 6]),
        ("postgresql+asyncpg://a:b@/c?host=h1:1&host=h2:2", ["h1", "h2"], [1, 2]),
    ],
)
def test_several_hosts_are_written_as_libpq_has_them(written: str, hosts: list[str], ports: list[int]) -> None:
    with_driver = Settings(database_url=written).database_url
    url = make_url(with_driver)
    options = url.get_dialect()().create_connect_args(url)[1]
    assert (options["host"], options["port"]) == (hosts, ports)
    assert (options["user"], options["password"], options["database"]) == ("a", "b", "c")


async def test_fault_04_a_connection_that_postgresql_has_closed_is_replaced_unseen(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.create_database()
    db, another = Database(url), Database(url)
    asked = 0

    def ping(_connection: object) -> None:
        nonlocal asked
        asked += 1

    monkeypatch.setattr(AsyncAdapt_asyncpg_connection, "ping", ping)

    async def backend() -> int:
        async with db.write() as session:
            return int(await session.scalar(sa.text("SELECT pg_backend_pid()")) or 0)

    try:
        first = await backend()
        assert await backend() == first
        assert asked == 0  # it had just been used
        monkeypatch.setattr(postgres, "FRESH_S", 0.0)
        assert await backend() == first
        assert asked == 1
        monkeypatch.undo()
        async with another.write() as session:
            await session.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": first})
        await asyncio.sleep(0.1)
        assert await backend() != first
    finally:
        await db.close()
        await another.close()
