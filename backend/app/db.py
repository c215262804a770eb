"""The database: two ways in (read, write), one set of column types, and one place that knows when it is away.

On SQLite one writer connection takes ``BEGIN IMMEDIATE``, so that writers wait instead of failing, and readers have
connections of their own; on PostgreSQL both share a pool.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase

from app import sqlite
from app.errors import Unavailable
from app.postgres import Addresses, ask_before_use

POOL_TIMEOUT_S = 5
CONNECT_TIMEOUT_S = 3
COMMAND_TIMEOUT_S = 15
_OF_EACH_CONNECTION = {
    # A server that is paused, or whose machine is gone, may hold rows that the others need: PostgreSQL lets go of them.
    "idle_in_transaction_session_timeout": "10000",
    "tcp_user_timeout": "20000",
    "tcp_keepalives_idle": "20",
}


class Base(DeclarativeBase):
    """The declarative base of every table."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcTimestamp(sa.types.TypeDecorator[datetime]):
    """An aware UTC datetime in a TIMESTAMP column, on both databases. A naive datetime is a bug and is refused."""

    impl = sa.TIMESTAMP(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To PostgreSQL: UTC."""
        return None if value is None else _in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """From PostgreSQL: UTC again."""
        return None if value is None else value.astimezone(UTC)

    def bind_processor(self, dialect: sa.Dialect) -> Any:
        """To SQLite: text without a zone. The library's own way there costs four times as much."""
        return _to_sqlite if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """From SQLite: aware again."""
        return _from_sqlite if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def sqlite_moment(value: datetime) -> str:
    """A moment as it stands in a ``UtcTimestamp`` column of SQLite."""
    return (value if value.tzinfo is UTC else _in_utc(value)).isoformat(" ", "microseconds")[:-_ZONE_LENGTH]


_ZONE = "+00:00"
_ZONE_LENGTH = len(_ZONE)


def _to_sqlite(value: datetime | None) -> str | None:
    return None if value is None else sqlite_moment(value)


def _from_sqlite(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + _ZONE)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("naive datetime")
    return value.astimezone(UTC)


class _Values(sa.types.TypeDecorator[Any]):
    """Many values as one parameter: an array on PostgreSQL, a JSON text on SQLite."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """What the driver is given."""
        return sa.Text() if dialect.name == "sqlite" else postgresql.ARRAY(self.item)

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """To the database."""
        values = list(value)
        return msgspec.json.encode(values).decode() if dialect.name == "sqlite" else values


class Among(sa.sql.functions.FunctionElement[bool]):
    """See ``among``."""

    inherit_cache = True


async def in_turn(session: AsyncSession, lock: int, of: str | None = None) -> None:
    """Wait until nobody else's transaction holds ``lock``, and hold it to the end of this one; with ``of``, that of one
    thing among many. On SQLite a transaction that writes has waited already. ``lock``: 64 bits, 32 with ``of``."""
    if session.get_bind().dialect.name == "postgresql":
        which = (lock,) if of is None else (lock, sa.func.hashtext(of))
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(*which)))


def among(column: sa.ColumnElement[Any], name: str) -> Among:
    """That ``column`` is one of the values of the parameter ``name``, however many there are.

    That is one parameter, and one text of the statement, which is compiled and prepared once. ``IN`` with a parameter
    for each value would be another statement for every number of values.
    """
    return Among(column, sa.bindparam(name, type_=_Values(column.type)))


@compiles(Among, "sqlite")
def _among_sqlite(element: Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # nosec B608 - the compiler wrote both


@compiles(Among, "postgresql")
def _among_postgresql(element: Among, compiler: Any, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({values})"


def table_of(name: str, columns: Mapping[str, sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
    """Rows as a table of PostgreSQL: a parameter for each of its columns, which ``given`` makes. See ``among``."""
    arrays = [
        # whoever has moments of our own gives them in UTC; to look at each of them again is most of what it would cost
        sa.bindparam(f"{name}_{column}", type_=postgresql.ARRAY(type.impl if isinstance(type, UtcTimestamp) else type))
        for column, type in columns.items()
    ]
    return sa.func.unnest(*arrays).table_valued(*columns, name=name).render_derived()


def given(name: str, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """``rows``, of which there is one at least, as the parameters of a ``table_of``."""
    names = [f"{name}_{column}" for column in columns]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


class _OfRows:
    """A statement about many rows of ``table``, each with its values for ``columns``.

    It goes past the library, for which so many parameters would be most of the work: row after row on SQLite, which
    reads many columns of JSON no faster, and at once on PostgreSQL, from the table ``_given``.
    """

    _at_once: sa.Executable
    _row_by_row: str

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        self._names = tuple(columns)
        self._moments = [place for place, name in enumerate(columns) if isinstance(table.c[name].type, UtcTimestamp)]
        self._given = table_of("given", {name: table.c[name].type for name in columns})

    def _compile(self, row_by_row: sa.Insert | sa.Update, parameters: Sequence[str]) -> None:
        compiled = row_by_row.compile(dialect=sqlite_dialect(), column_keys=parameters)
        assert compiled.positiontup == list(parameters)
        self._row_by_row = str(compiled)

    async def execute(self, session: AsyncSession, rows: Iterable[tuple[Any, ...]]) -> None:
        """``rows``: values for the columns, in their order. There is one row at least."""
        connection = await session.connection()
        if connection.dialect.name == "sqlite":
            await connection.exec_driver_sql(self._row_by_row, [*map(self._to_sqlite, rows)])
        else:
            await connection.execute(self._at_once, given("given", self._names, rows))

    def _to_sqlite(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for place in self._moments:
            values[place] = _to_sqlite(values[place])
        return tuple(values)


class UpdateOfRows(_OfRows):
    """An UPDATE that finds rows by their ids, which come behind the other columns; ``besides`` for what the database
    works out. Whoever executes it has locked the rows."""

    def __init__(self, table: sa.Table, columns: Sequence[str], **besides: sa.ColumnElement[Any]) -> None:
        super().__init__(table, (*columns, "id"))
        rows = self._given.c
        self._at_once = sa.update(table).where(table.c.id == rows.id)
        self._at_once = self._at_once.values({name: rows[name] for name in columns} | besides)
        row_by_row = sa.update(table).where(table.c.id == sa.bindparam("b_id"))
        own: list[Any] = [(table.c[name], sa.bindparam(f"b_{name}")) for name in columns]
        row_by_row = row_by_row.ordered_values(*own, *((table.c[name], value) for name, value in besides.items()))
        self._compile(row_by_row, [f"b_{name}" for name in self._names])


class InsertOfRows(_OfRows):
    """An INSERT; ``columns`` in the order that they have in the table."""

    def __init__(self, table: sa.Table, columns: Sequence[str]) -> None:
        super().__init__(table, columns)
        self._at_once = sa.insert(table).from_select(columns, sa.select(*self._given.c))
        self._compile(sa.insert(table), columns)


def connections_of(node_id: str) -> str:
    """What the connections of a node are called, so that others can end them when it is lost."""
    return f"deployx {node_id}"


class Database:
    """Engines for one database URL (``sqlite+aiosqlite://…`` or ``postgresql+asyncpg://…``)."""

    def __init__(self, url: str, *, pool_size: int = 10, name: str = "deployx") -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._prepare_folder()
            self._writer = sqlite.engine(url, begin="BEGIN IMMEDIATE", pool_size=1, pool_timeout_s=POOL_TIMEOUT_S)
            self._reader = sqlite.engine(url, begin="BEGIN", pool_size=4, pool_timeout_s=POOL_TIMEOUT_S)
        else:
            self._writer = create_async_engine(
                url,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_S,
                pool_use_lifo=True,
                json_deserializer=msgspec.json.decode,
                connect_args={
                    "async_creator_fn": Addresses().connect,
                    "timeout": CONNECT_TIMEOUT_S,
                    "command_timeout": COMMAND_TIMEOUT_S,
                    "server_settings": {**_OF_EACH_CONNECTION, "application_name": name},
                },
            )
            ask_before_use(self._writer.sync_engine)
            event.listen(self._writer.sync_engine, "handle_error", _leave_a_standby)
            # each query of a transaction would see what is committed when it begins, as it does without: two trips less
            self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that commits when the block ends well. Raises Unavailable when the database is away."""
        async with _available(), AsyncSession(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    @asynccontextmanager
    async def read(self, *, at_one_moment: bool = False) -> AsyncIterator[AsyncSession]:
        """For what writes nothing. Raises Unavailable when the database is away.

        ``at_one_moment``: all queries see the same commits, as they always do on SQLite.
        """
        async with _available(), AsyncSession(self._reader, expire_on_commit=False) as session, session.begin():
            if at_one_moment and not self.is_sqlite:
                await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    async def close(self) -> None:
        """Give every connection back."""
        await self._writer.dispose()
        if self.is_sqlite:
            await self._reader.dispose()

    def _prepare_folder(self) -> None:
        if self.url.database and self.url.database != ":memory:":
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)


def insert_new(session: AsyncSession, model: type[Base]) -> postgresql.Insert | SqliteInsert:
    """An insert that leaves rows alone which are there, such as those that another node has just written."""
    if session.get_bind().dialect.name == "sqlite":
        return sqlite_insert(model).on_conflict_do_nothing()
    return postgresql.insert(model).on_conflict_do_nothing()


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.InternalError, OSError) as error:
        raise Unavailable(_AWAY, retry_after_s=2) from error
    except exc.DBAPIError as error:
        if error.connection_invalidated or _refuses_connections(error):
            raise Unavailable(_AWAY, retry_after_s=2) from error
        raise
    except TimeoutError as error:
        raise Unavailable(_AWAY, retry_after_s=2) from error
    except Exception as error:
        # asyncpg raises its own errors, unwrapped, while it connects
        if type(error).__module__.startswith("asyncpg."):
            raise Unavailable(_AWAY, retry_after_s=2) from error
        raise


_READ_ONLY = "25006"
_AWAY = "The database does not answer. Nothing was changed; try again in a moment."


def _leave_a_standby(context: sa.engine.ExceptionContext) -> None:
    """After a failover the old connections may lead to a server that takes no writes any more: make new ones."""
    if getattr(context.original_exception, "sqlstate", "") == _READ_ONLY:
        context.is_disconnect = True


def _refuses_connections(error: exc.DBAPIError) -> bool:
    """Whether PostgreSQL said class 08 (connection), 28 (who asks), 3D (which database), 53 (resources) or 57 (operator
    intervention, shutting down): all of them pass, once an operator has put right what they are about."""
    state = str(getattr(error.orig, "sqlstate", "") or "")
    return state[:2] in {"08", "28", "3D", "53", "57"} or state == _READ_ONLY
