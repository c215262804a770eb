"""A backup of a server's database, and putting it back, as README.md says it is done."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.support.postgres import PostgresServer

PutBack = Callable[[], None]
"""Puts the database back; nothing may be using it."""


def of_sqlite(url: str, folder: Path) -> PutBack:
    """A copy that is whole, while the server runs."""
    path, copy = Path(str(make_url(url).database)), folder / "copy.db"
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)

    def put_back() -> None:
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.write_bytes(copy.read_bytes())

    return put_back


def of_postgres(url: str, cluster: PostgresServer) -> PutBack:
    """A dump, while the server runs."""
    dump = cluster.dump(url)
    return lambda: cluster.restore(url, dump)
