"""A database that may be on several machines: each has its own time to answer."""

import socket

import pytest
from sqlalchemy.engine import make_url

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
