"""Brings a database to the tables of this version.

Invariant: an upgrade is one transaction, and one at a time. Of two servers that start together the second waits (an
advisory lock on PostgreSQL, ``BEGIN IMMEDIATE`` on SQLite), then finds nothing left to do. A failure leaves everything
as it was.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

_FOLDERS = (Path(__file__).parent / "migrations", Path(__file__).parents[1] / "migrations")  # wheel, checkout
_LOCK_KEY = 0x6465706C6F7978  # "deployx"
_WAIT_S = 120
_CONNECT_S = 10

log = structlog.get_logger()


class NewerDatabase(Exception):
    """The database has revisions that this version does not know."""


async def migrate(database_url: str) -> None:
    """Upgrade to the newest revision. Raises NewerDatabase, and what the driver raises when the database is away."""
    await in_one_transaction(database_url, _upgrade)


async def in_one_transaction(database_url: str, work: Callable[[sa.Connection], None]) -> None:
    """Do ``work`` in a transaction that no other migration runs beside."""
    url = make_url(database_url)
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite and url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    timeout: dict[str, Any] = {"timeout": _WAIT_S if is_sqlite else _CONNECT_S}
    engine = create_async_engine(url, poolclass=sa.pool.NullPool, connect_args=timeout)
    if is_sqlite:
        event.listen(engine.sync_engine, "connect", _leave_transactions_to_us)
        event.listen(engine.sync_engine, "begin", _begin_immediate)
    try:
        async with engine.begin() as connection:
            if not is_sqlite:
                await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_KEY)))
            await connection.run_sync(work)
    finally:
        await engine.dispose()


def config() -> Config:
    """Alembic's configuration, without an ini file."""
    folder = next(folder for folder in _FOLDERS if (folder / "env.py").exists())
    found = Config()
    found.set_main_option("script_location", str(folder).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    return found


def _upgrade(connection: sa.Connection) -> None:
    alembic = config()
    newest = ScriptDirectory.from_config(alembic).get_current_head()
    present = MigrationContext.configure(connection).get_current_revision()
    if present == newest:
        return
    alembic.attributes["connection"] = connection
    try:
        command.upgrade(alembic, "head")
    except CommandError as error:
        raise NewerDatabase(
            f"The database is at revision {present}, unknown to this version: install the version that made it."
        ) from error
    log.info("database.migrated", before=present or "empty", now=newest)


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
