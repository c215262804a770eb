"""The fixtures that every test folder may use; the root `conftest.py` loads them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import chromium, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL of this test process (of each worker's, under xdist)."""
    with postgres.throwaway() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: postgres.PostgresServer) -> Iterator[str]:
    """A new, empty PostgreSQL database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A new SQLite database file."""
    return f"sqlite+aiosqlite:///{tmp_path / 'deployx.db'}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes a database runs on both kinds, or on those that it is marked with."""
    if "database_url" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("databases")
        metafunc.parametrize("database_url", marked.args if marked else ("sqlite", "postgresql"), indirect=True)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """A new database of the kind that this run of the test is for."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser for Playwright's `executable_path`."""
    return chromium.executable()
