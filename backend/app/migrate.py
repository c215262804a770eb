"""Brings a database to the tables of this version.

Invariant: an upgrade is one transaction, and one at a time. Of two servers that start together the second waits (an
advisory lock on PostgreSQL, ``BEGIN IMMEDIATE`` on SQLite), then finds nothing left to do. A failure leaves everything
as it was. Alembic is loaded only where there is something to do.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.loading import loading
from app.postgres import Addresses

if TYPE_CHECKING:
    from alembic.config import Config

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
    options: dict[str, Any] = {"timeout": _WAIT_S if is_sqlite else _CONNECT_S}
    if not is_sqlite:
        options["async_creator_fn"] = Addresses().connect
    engine = create_async_engine(url, poolclass=sa.pool.NullPool, connect_args=options)
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


def config() -> "Config":
    """Alembic's configuration, without an ini file."""
    with loading():
        from alembic.config import Config

    found = Config()
    found.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    return found


def newest() -> str:
    """The revision of this version, by the names of the files: each begins with its revision, and they are in order."""
    return max(path.name.partition("_")[0] for path in (_folder() / "versions").glob("[0-9]*_*.py"))


def _folder() -> Path:
    return next(folder for folder in _FOLDERS if (folder / "env.py").exists())


def _upgrade(connection: sa.Connection) -> None:
    present = _present(connection)
    if present == newest():
        return
    with loading():
        from alembic import command
        from alembic.util.exc import CommandError

    alembic = config()
    alembic.attributes["connection"] = connection
    try:
        command.upgrade(alembic, "head")
    except CommandError as error:
        raise NewerDatabase(
            f"The database is at revision {present}, unknown to this version: install the version that made it."
        ) from error
    log.info("database.migrated", before=present or "empty", now=newest())


def _present(connection: sa.Connection) -> str | None:
    """The revision of the database; None for one that has none yet."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return found


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
