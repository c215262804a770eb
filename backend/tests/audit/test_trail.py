"""The chain: whole whoever writes at once, in the transaction of the change, and broken by whatever is done to it."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.audit import trail
from app.audit.actions import SERVER, Action, numbers
from app.audit.chain import GENESIS, Head, hash_of
from app.audit.lately import Lately
from app.audit.models import AuditEntry
from app.audit.service import AuditService, Wanted
from app.clock import utcnow
from app.db import Database
from app.hints import Hint, HintKind
from app.settings import Settings
from app.uow import UnitOfWork


async def entries(db: Database) -> list[AuditEntry]:
    """All of them, oldest first."""
    async with db.read() as session:
        return list(await session.scalars(sa.select(AuditEntry).order_by(AuditEntry.seq)))


async def test_entries_of_many_writers_make_one_chain(db: Database, uow: UnitOfWork) -> None:
    async def write(number: int) -> None:
        async with uow.begin() as unit:
            unit.record(SERVER, Action.GROUP_CREATED, number, "Größe 北京 🦊", first=number, tags={"b": "2", "a": None})
            unit.record(SERVER, Action.GROUP_DELETED, number)

    await asyncio.gather(*(write(number) for number in range(25)))
    found = await entries(db)
    assert [entry.seq for entry in found] == list(range(1, 51))
    assert [entry.prev_hash for entry in found] == [GENESIS, *(entry.hash for entry in found[:-1])]
    assert all(entry.hash == hash_of(entry) for entry in found)
    assert {entry.object_id for entry in found} == {str(number) for number in range(25)}
    assert [first.object_id for first in found[::2]] == [second.object_id for second in found[1::2]]
    async with db.read() as session:
        assert await trail.head_of(session) == Head(50, found[-1].hash)


async def test_what_is_rolled_back_was_not_done(db: Database, uow: UnitOfWork, hints: list[Hint]) -> None:
    with pytest.raises(LookupError):
        async with uow.begin() as unit:
            unit.record(SERVER, Action.GROUP_CREATED, "1")
            unit.hint(HintKind.RUN)
            raise LookupError
    assert await entries(db) == []
    assert hints == []
    async with uow.begin() as unit:
        unit.record(SERVER, Action.GROUP_CREATED, "2")
    assert [(entry.seq, entry.prev_hash) for entry in await entries(db)] == [(1, GENESIS)]


async def test_a_name_that_no_database_takes_is_taken(db: Database, uow: UnitOfWork) -> None:
    async with uow.begin() as unit:
        unit.record(SERVER, Action.GROUP_CREATED, "1", "a\x00b\ud800" + "c" * 1000)
    [entry] = await entries(db)
    assert entry.object_name.startswith("a�b?ccc")
    assert len(entry.object_name) == trail.NAME_MAX
    assert entry.hash == hash_of(entry)


@pytest.mark.parametrize(
    "change",
    [
        {"at": utcnow() - timedelta(days=1)},
        {"actor": "mallory"},
        {"actor_kind": "user"},
        {"actor_id": 7},
        {"via": "session 1"},
        {"source_ip": "192.0.2.1"},
        {"action": "group.changed"},
        {"object_kind": "run"},
        {"object_id": "3"},
        {"object_name": "other"},
        {"details": '{"x":2}'},
        {"prev_hash": GENESIS},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_threat_21_each_column_counts(change: dict[str, object], db: Database, uow: UnitOfWork) -> None:
    for number in range(3):
        async with uow.begin() as unit:
            unit.record(SERVER, Action.GROUP_CREATED, number, "group", x=1)
    async with db.write() as session:
        await session.execute(sa.update(AuditEntry).where(AuditEntry.seq == 2).values(**change))
    assert [entry.hash == hash_of(entry) for entry in await entries(db)] == [True, False, True]


async def test_retention_takes_the_beginning_and_says_so(db: Database, uow: UnitOfWork, settings: Settings) -> None:
    now = utcnow()
    old = UnitOfWork(db, lambda _: None, lambda: now - timedelta(days=settings.audit_retention_days, seconds=1))
    service = AuditService(uow, db, settings, clock=lambda: now)
    await service.prune()
    assert await entries(db) == []
    for number, unit_of_work in enumerate([old, old, uow, old, uow]):
        async with unit_of_work.begin() as unit:
            unit.record(SERVER, Action.GROUP_CREATED, number)
    second = (await entries(db))[1].hash
    for _ in range(2):  # the second time there is nothing left to prune
        await service.prune()
        found = await entries(db)
        assert [entry.seq for entry in found] == [3, 4, 5, 6]
        assert found[0].prev_hash == second
        assert (found[-1].action, found[-1].details) == (
            Action.AUDIT_PRUNED,
            f'{{"through_hash":"{second}","through_seq":2}}',
        )


async def test_an_export_has_what_was_there_when_it_began(db: Database, uow: UnitOfWork, settings: Settings) -> None:
    service = AuditService(uow, db, settings)
    for number in range(1234):
        async with uow.begin() as unit:
            unit.record(SERVER, Action.GROUP_CREATED if number % 2 else Action.GROUP_DELETED, number)
    lines = await service.export(SERVER, Wanted(), 0)
    async with uow.begin() as unit:
        unit.record(SERVER, Action.GROUP_CREATED, "later")
    whole = "".join([part async for part in lines]).splitlines()
    assert len(whole) == 1235  # that it was exported is the last
    part = await service.export(SERVER, Wanted(action="group.deleted"), 1000, 10)
    assert "".join([lines async for lines in part]).splitlines() == whole[1000:1020:2]


def test_numbers_in_few_characters() -> None:
    assert numbers([]) == ""
    assert numbers([5, 3, 4, 9, 9, 11, 12]) == "3-5,9,11-12"


def test_lately_forgets_by_age_and_by_number() -> None:
    now = 0.0
    lately = Lately(10.0, lambda: now)
    assert [lately.first(key) for key in ("a", "b", "a")] == [True, True, False]
    now = 9.9
    assert not lately.first("a")
    now = 10.0
    assert lately.first("a")
    assert all(lately.first(number) for number in range(20_000))
    assert lately.first("a")
