"""SQLite below SQLAlchemy: how often its thread is asked, and that transactions are what they were."""

import asyncio
import gc
import threading
import types
import warnings
from collections.abc import AsyncIterator, Coroutine, Generator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
import sqlalchemy as sa

from app.db import Database
from app.errors import Unavailable


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with one table, whose connections are there."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/some.db")
    async with database.write() as session:
        await session.execute(sa.text("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE)"))
    async with database.read() as session:
        await session.execute(sa.text("SELECT 1"))
    yield database
    await database.close()


@pytest.fixture
def trips(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the threads are asked from now on."""
    asked: list[str] = []
    execute: Any = aiosqlite.Connection._execute

    async def noted(self: Any, act: Any, *args: Any, **options: Any) -> Any:
        asked.append(act.__name__)
        return await execute(self, act, *args, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", noted)
    return asked


async def names(db: Database) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(sa.text("SELECT name FROM things ORDER BY id")))


async def test_a_statement_is_one_trip_and_so_is_the_commit(db: Database, trips: list[str]) -> None:
    async with db.write() as session:
        made = await session.execute(sa.text("INSERT INTO things (name) VALUES ('a') RETURNING id"))
        assert made.scalar_one() == 1
        many = await (await session.connection()).execute(
            sa.text("INSERT INTO things (name) VALUES (:name)"), [{"name": "b"}, {"name": "c"}]
        )
        assert many.rowcount == 2
        assert (await session.execute(sa.text("UPDATE things SET name = name || '!'"))).rowcount == 3  # type: ignore[attr-defined]
    assert len(trips) == 4
    assert await names(db) == ["a!", "b!", "c!"]


async def test_what_did_nothing_asks_for_nothing(db: Database, trips: list[str]) -> None:
    async with db.write() as session:
        await session.connection()
    assert trips in ([], ["commit"])


async def test_a_failed_block_is_undone_and_the_next_one_begins_anew(db: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        async with db.write() as session:
            await session.execute(sa.text("INSERT INTO things (name) VALUES ('a')"))
            await session.execute(sa.text("INSERT INTO things (name) VALUES ('a')"))
    async with db.write() as session:
        await session.execute(sa.text("INSERT INTO things (name) VALUES ('b')"))
    assert await names(db) == ["b"]


async def test_a_writer_takes_the_lock_with_its_first_statement_even_if_that_reads(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sqlite.BUSY_TIMEOUT_S", 0.05)
    other = Database(str(db.url))
    async with db.write() as session:
        await session.execute(sa.text("SELECT 1"))
        with pytest.raises(Unavailable):
            async with other.write() as second:
                await second.execute(sa.text("SELECT 1"))
        assert await names(other) == []  # readers do not wait
    await other.close()


@types.coroutine
def cancelled_at(step: int, work: Coroutine[Any, Any, None]) -> Generator[Any, None, None]:
    """``work`` in a task that is cancelled when it waits for the time that has this number, from 0."""
    waits, raised = work.__await__(), None
    while True:
        try:
            waited_for = waits.throw(raised) if raised else waits.send(None)
        except StopIteration:
            return
        task = asyncio.current_task()
        if step == 0 and task:
            task.cancel()
        step, raised = step - 1, None
        try:
            yield waited_for
        except BaseException as error:
            raised = error


async def test_whoever_is_cancelled_wherever_leaves_no_connection_and_no_thread_behind(tmp_path: Path) -> None:
    async def use(database: Database) -> None:
        async with database.write() as session:
            await session.execute(sa.text("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT)"))
        async with database.read() as session:
            await session.execute(sa.text("SELECT * FROM things"))

    async def leaves(step: int) -> bool:
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/{step}.db")
        try:
            await cancelled_at(step, use(database))
        except asyncio.CancelledError:
            return True
        finally:
            await database.close()
        return False

    before = set(threading.enumerate())
    step = 0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        while await asyncio.create_task(leaves(step)):
            gc.collect()
            assert [str(warning.message) for warning in said] == [], f"at step {step}"
            for thread in set(threading.enumerate()) - before:
                thread.join(5)
                assert not thread.is_alive(), f"at step {step}"
            step += 1
    assert step > 10
