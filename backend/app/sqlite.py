"""SQLite behind SQLAlchemy, with one trip to the database's thread for each statement.

The library makes four of each: for a cursor, its execution, its rows and its end, besides those for the beginning of a
transaction and for a rollback that has nothing to undo. A trip costs more than most of our statements do.

Invariant: a transaction begins with its first statement, in the same trip, as the engine was told to begin it; there is
none in which nothing was asked.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

import aiosqlite
import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection, AsyncAdapt_aiosqlite_cursor
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import EMPTY_DICT
from sqlalchemy.util.concurrency import await_

BUSY_TIMEOUT_S = 3
_PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"

Rows = Sequence[tuple[Any, ...]]


def engine(url: str, *, begin: str, pool_size: int, pool_timeout_s: float) -> AsyncEngine:
    """An engine whose transactions begin with ``begin``."""
    made = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout_s,
        poolclass=sa.pool.AsyncAdaptedQueuePool,
        json_deserializer=msgspec.json.decode,
        connect_args={"timeout": BUSY_TIMEOUT_S},
    )

    def connect(dialect: Any, _record: Any, args: Any, options: Any) -> "_Connection":
        opened: Any = await_(_opened(aiosqlite.connect(*args, **options)))
        connection = _Connection(dialect.loaded_dbapi, opened)
        connection.begin_with(begin)
        return connection

    event.listen(made.sync_engine, "do_connect", connect)
    return made


async def _opened(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    """The connection, open and prepared. One that nobody will get, because of an error or because whoever asked for it
    was cancelled, is closed again by the time that this ends, and so is its thread."""
    connection._thread.daemon = True
    try:
        await _to_its_end(_open(connection))
    except BaseException:
        await _to_its_end(connection.close())
        raise
    return connection


async def _open(connection: aiosqlite.Connection) -> None:
    await connection
    await connection._execute(_prepare, connection._conn)  # type: ignore[no-untyped-call]


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work also while this is cancelled, which is raised afterwards."""
    task, cancelled = asyncio.create_task(work), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled and not task.cancelled():
        task.exception()  # whoever was cancelled does not ask for it
        raise cancelled
    await task


def _prepare(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None  # what `_run` begins is the only transaction
    connection.executescript(_PRAGMAS)
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: Any) -> Any:
    """`lower` of every alphabet, as PostgreSQL has it; SQLite's own knows only A to Z."""
    return value.lower() if isinstance(value, str) else value


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """What one statement gave. There is no cursor in the database's thread that would have to be closed."""

    __slots__ = ("_description", "_lastrowid", "_rowcount")

    _awaitable_cursor_close = False

    _adapt_connection: "_Connection"

    def __init__(self, adapt_connection: Any) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._cursor = None  # type: ignore[assignment]
        self._rows = deque()
        self._rowcount = -1
        self._lastrowid: int | None = None
        self._description: Any = None
        self._soft_closed_memoized = EMPTY_DICT

    @property
    def description(self) -> Any:
        """The columns of the rows; None when the statement gives none."""
        return self._description

    @property
    def rowcount(self) -> int:
        """How many rows were changed; -1 if that is not known."""
        return self._rowcount

    @property
    def lastrowid(self) -> Any:
        """The id of the row that was inserted last."""
        return self._lastrowid

    def execute(self, operation: str, parameters: Any = None) -> None:
        """Run a statement, and take all of its rows."""
        self._take(_run, operation, () if parameters is None else parameters)

    def executemany(self, operation: str, seq_of_parameters: Any) -> None:
        """Run a statement for each of ``seq_of_parameters``."""
        self._take(_run_many, operation, seq_of_parameters)

    def _take(self, run: Any, operation: str, parameters: Any) -> None:
        self._description, self._rowcount, self._lastrowid, rows = self._adapt_connection.on_thread(
            run, self._adapt_connection.begin, operation, parameters
        )
        self._rows = deque(rows)


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ("begin",)

    _cursor_cls = _Cursor

    def begin_with(self, statement: str) -> None:
        """Begin each transaction so, from now on."""
        self.begin = statement

    def on_thread(self, run: Any, *args: Any) -> Any:
        """What ``run`` gives for the connection, called with it in the database's thread."""
        try:
            return await_(self._connection._execute(run, self._connection._conn, *args))
        except Exception as error:
            self._handle_exception(error)

    def rollback(self) -> None:
        """Undo what was done, if anything was."""
        if self._connection._connection and self._connection.in_transaction:
            super().rollback()


def _run(connection: sqlite3.Connection, begin: str, operation: str, parameters: Any) -> tuple[Any, int, Any, Rows]:
    if not connection.in_transaction:
        connection.execute(begin)
    cursor = connection.execute(operation, parameters)
    rows = cursor.fetchall() if cursor.description else ()
    found = (cursor.description, cursor.rowcount, cursor.lastrowid, rows)
    cursor.close()
    return found


def _run_many(connection: sqlite3.Connection, begin: str, operation: str, rows: Any) -> tuple[Any, int, Any, Rows]:
    if not connection.in_transaction:
        connection.execute(begin)
    cursor = connection.executemany(operation, rows)
    found = (None, cursor.rowcount, cursor.lastrowid, ())
    cursor.close()
    return found
