"""The database of the model: where it is, how it is made empty, and what an onlooker sees in it.

Invariant: the onlooker sees every change of a task's state, because a trigger of the database's own writes it down; it
depends on nothing that the server says.
"""

import asyncio
import queue
import shutil
import sqlite3
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from app.accounts.models import User
from app.db import Database

EMAIL = "ada@example.test"
_SQLITE = (
    "CREATE TABLE moves (id INTEGER PRIMARY KEY, task_id TEXT, before TEXT, before_code TEXT, after TEXT, code TEXT)",
    "CREATE TRIGGER moved AFTER UPDATE OF state ON tasks WHEN old.state != new.state OR old.code != new.code BEGIN"
    " INSERT INTO moves (task_id, before, before_code, after, code)"
    " VALUES (old.id, old.state, old.code, new.state, new.code); END",
)
_POSTGRESQL = (
    "CREATE TABLE moves (id SERIAL PRIMARY KEY, task_id TEXT, before TEXT, before_code TEXT, after TEXT, code TEXT)",
    "CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " IF old.state <> new.state OR old.code <> new.code THEN"
    " INSERT INTO moves (task_id, before, before_code, after, code)"
    " VALUES (old.id, old.state, old.code, new.state, new.code); END IF; RETURN NULL; END $$",
    "CREATE TRIGGER moved AFTER UPDATE OF state ON tasks FOR EACH ROW EXECUTE FUNCTION note_move()",
)
_MOVE = "id, task_id, before, before_code, after, code"
_EMPTY = ("moves", "task_output", "tasks", "runs", "scripts", "status_events", "claims", "devices", "nodes")


@dataclass(frozen=True)
class Move:
    """One change of a task's state."""

    id: int
    task_id: str
    before: str
    before_code: str
    after: str
    code: str


class Row(NamedTuple):
    """A task, as the database has it."""

    id: str
    run_id: str
    state: str
    code: str
    started_at: Any
    output_next_seq: int
    output_chunks: int | None


class DeviceRow(NamedTuple):
    """The device, as the database has it."""

    id: int
    trust: str
    status: str
    boot_id: str


class Onlooker:
    """Reads the rows, beside the server and without its code. One for all examples of a test, on a database that has
    its tables; SQLite's is in ``folder``."""

    def __init__(self, url: str, folder: Path) -> None:
        self._rows: _Sqlite | _Postgresql
        asyncio.run(_prepare(url))
        if url.startswith("sqlite"):
            self._rows = _Sqlite(Path(make_url(url).database or ""), folder)
            url = f"sqlite+aiosqlite:///{self._rows.path}"
        else:
            self._rows = _Postgresql(url)
        self.engines = Database(url, pool_size=4)
        """For the servers."""
        self._last_move = 0

    def empty(self) -> None:
        """Begin anew."""
        self._last_move = 0
        self._rows.empty()

    def close(self) -> None:
        """Let go of everything."""
        self._rows.close()

    def moves(self) -> list[Move]:
        """What changed since it looked last."""
        found = self._rows.read(f"SELECT {_MOVE} FROM moves WHERE id > {self._last_move} ORDER BY id")
        if found:
            self._last_move = found[-1][0]
        return [Move(*row) for row in found]

    def tasks(self) -> dict[str, Row]:
        """Every task, oldest first."""
        return {row[0]: Row(*row) for row in self._rows.read(f"SELECT {', '.join(Row._fields)} FROM tasks ORDER BY id")}

    def run_ids(self) -> list[str]:
        """Every run, oldest first."""
        return [row[0] for row in self._rows.read("SELECT id FROM runs ORDER BY id")]

    def output(self, task_id: str) -> list[tuple[int, int, bytes]]:
        """(seq, stream, data) of a task."""
        rows = self._rows.read(f"SELECT seq, stream, data FROM task_output WHERE task_id = '{task_id}' ORDER BY seq")
        return [(seq, stream, bytes(data)) for seq, stream, data in rows]

    def device(self) -> DeviceRow:
        """The only device."""
        [row] = self._rows.read(f"SELECT {', '.join(DeviceRow._fields)} FROM devices")
        return DeviceRow(*row)

    def trust(self) -> None:
        """What an administrator does: the device may be given work."""
        self._rows.write("UPDATE devices SET trust = 'trusted'")


class _Sqlite:
    def __init__(self, template: Path, folder: Path) -> None:
        self._template = template
        self.path = folder / "deployx.db"
        self._connection: sqlite3.Connection | None = None

    def empty(self) -> None:
        self.close()
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        shutil.copy(self._template, self.path)
        self._connection = sqlite3.connect(self.path, isolation_level=None)

    def read(self, query: str) -> list[Any]:
        assert self._connection
        return self._connection.execute(query).fetchall()

    def write(self, statement: str) -> None:
        self.read(statement)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


class _Postgresql:
    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(url.replace("+asyncpg", "")))

    def empty(self) -> None:
        for table in _EMPTY:
            self.write(f"DELETE FROM {table}")

    def read(self, query: str) -> list[Any]:
        rows: list[Any] = self._loop.run_until_complete(self._connection.fetch(query))
        return [tuple(row) for row in rows]

    def write(self, statement: str) -> None:
        self._loop.run_until_complete(self._connection.execute(statement))

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


async def _prepare(url: str) -> None:
    """The trigger, and somebody who starts runs."""
    db = Database(url, pool_size=1)
    async with db.write() as session:
        for statement in _SQLITE if db.is_sqlite else _POSTGRESQL:
            await session.execute(sa.text(statement))
        now = datetime.now(UTC)
        session.add(User(email=EMAIL, password_hash="", role="admin", created_at=now, password_changed_at=now))
    await db.close()


# ---------------------------------------------------------------- SQLite without threads


class _InlineQueue(queue.SimpleQueue):  # type: ignore[type-arg]
    """Does what is put into it at once, in place of aiosqlite's thread."""

    def put_nowait(self, item: Any) -> None:
        future, act = item
        try:
            result = act()
        except BaseException as error:
            if future:
                future.set_exception(error)
        else:
            if future:
                future.set_result(result)


class _NoThread(threading.Thread):
    def start(self) -> None:
        """There is nothing for it to do."""


def sqlite_in_the_loop() -> Any:
    """Within this, aiosqlite works in the event loop itself."""
    return mock.patch.multiple("aiosqlite.core", SimpleQueue=_InlineQueue, Thread=_NoThread)
