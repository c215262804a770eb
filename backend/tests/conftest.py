"""What the server's tests share: settings that owe nothing to the environment, and a migrated database of each kind."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest import mock

import pytest

from app.db import Database
from app.migrate import migrate
from app.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests see none of the ``DEPLOYX_*`` variables of whoever runs them."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    with mock.patch.dict(os.environ, clean, clear=True):
        yield


@pytest.fixture
async def migrated_url(database_url: str) -> str:
    """A database that has its tables."""
    await migrate(database_url)
    return database_url


@pytest.fixture
async def db(migrated_url: str) -> AsyncIterator[Database]:
    """An open database that has its tables."""
    database = Database(migrated_url)
    yield database
    await database.close()


@pytest.fixture
def settings(migrated_url: str, tmp_path: Path) -> Settings:
    """Settings for that database."""
    return Settings(data_dir=tmp_path, database_url=migrated_url)
