"""Connections to a PostgreSQL of which a copy on another machine may take over: to the one that takes writes.

Invariant: each machine has a time of its own to answer. asyncpg gives one time to all of them together, so the first
that is gone without a word would use it up, and the others would never be asked.
"""

import time
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy import event, exc

FRESH_S = 1.0
"""How long after its last use a connection is used again unasked; to ask takes three trips, as many as most work."""


class Addresses:
    """Where a database may be; where it was found last is asked first."""

    def __init__(self) -> None:
        self._found = 0

    async def connect(self, *, host: Any = None, port: Any = None, **options: Any) -> Any:
        """asyncpg's ``connect``; of several hosts, to one that is no standby.

        ``timeout`` (seconds) is for each of them. Raises what the last of them that was asked had to say.
        """
        if not isinstance(host, list):
            return await asyncpg.connect(host=host, port=port, **options)
        options.setdefault("target_session_attrs", "read-write")
        places = list(enumerate(zip(host, port, strict=True)))
        said: Exception | None = None
        for number, (name, at) in places[self._found :] + places[: self._found]:
            try:
                connection = await asyncpg.connect(host=name, port=at, **options)
            except (
                OSError,
                TimeoutError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
            ) as error:
                said = error
            else:
                self._found = number
                return connection
        assert said is not None
        raise said


def ask_before_use(engine: sa.Engine) -> None:
    """A connection of ``engine`` that has rested is asked whether it still leads somewhere, and else replaced.

    One that PostgreSQL has closed is replaced without a question, however fresh it is.
    """

    def rests(connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    def is_wanted(connection: Any, record: Any, _proxy: Any) -> None:
        if record.driver_connection.is_closed():
            raise exc.InvalidatePoolError
        if time.monotonic() - record.info.get("used_at", time.monotonic()) < FRESH_S:
            return
        try:
            connection.ping()
        except engine.dialect.loaded_dbapi.Error as error:
            raise exc.InvalidatePoolError from error

    event.listen(engine, "checkin", rests)
    event.listen(engine, "checkout", is_wanted)
