"""SQLite, locked by another program."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator

from sqlalchemy.engine import make_url

from tests.support.node import eventually


@contextlib.asynccontextmanager
async def locked(url: str) -> AsyncIterator[None]:
    """The database at ``url`` takes no writes until the block ends."""
    other = sqlite3.connect(str(make_url(url).database), isolation_level=None, timeout=0)
    await eventually(lambda: _locks(other), what="the write lock")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def _locks(connection: sqlite3.Connection) -> bool:
    """Whether this connection has the write lock now. It never waits: the server that holds it shares our loop."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True
