"""Databases for tests: each test has one of its own, with its tables, copied from one that the migrations have made."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.migrate import migrate
from tests.support import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL of this test process (of each worker's, under xdist)."""
    with postgres.throwaway() as server:
        yield server


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that every SQLite database begins as."""
    file = tmp_path_factory.mktemp("template") / "deployx.db"
    asyncio.run(migrate(f"sqlite+aiosqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: postgres.PostgresServer) -> str:
    """The name of the database that every PostgreSQL database begins as."""
    url = postgres_server.create_database()
    asyncio.run(migrate(url))
    return url.rpartition("/")[2]


@pytest.fixture
def postgres_url(postgres_server: postgres.PostgresServer, _postgres_template: str) -> Iterator[str]:
    """A new PostgreSQL database."""
    url = postgres_server.create_database(template=_postgres_template)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_template: Path) -> str:
    """A new SQLite database file."""
    file = shutil.copyfile(_sqlite_template, tmp_path / "deployx.db")
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture
def empty_postgres_url(postgres_server: postgres.PostgresServer) -> Iterator[str]:
    """A new PostgreSQL database without tables."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def empty_sqlite_url(tmp_path: Path) -> str:
    """Where a SQLite database file may be made."""
    return f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a database runs on both kinds, or on those that it is marked with."""
    marked = metafunc.definition.get_closest_marker("databases")
    for fixture in {"database_url", "empty_database_url"} & set(metafunc.fixturenames):
        metafunc.parametrize(fixture, marked.args if marked else ("sqlite", "postgresql"), indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """A new database of the kind that this run of the test is for."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The same without tables, for what is about the making of them."""
    url: str = request.getfixturevalue("empty_sqlite_url" if request.param == "sqlite" else "empty_postgres_url")
    return url
