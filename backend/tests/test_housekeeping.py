"""What is done once in a while is done, and a database that is away only postpones it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.accounts.models import ApiToken, Session
from app.accounts.service import AccountService
from app.clock import utcnow
from app.db import Database
from app.devices.models import PresenceSample, StatusEvent
from app.devices.retention import RetentionService
from app.devices.statistics import StatisticsService
from app.errors import Unavailable
from app.housekeeping import Housekeeping
from app.settings import Settings
from app.uow import UnitOfWork
from deployx_protocol.states import DeviceStatus
from tests.support import rows
from tests.support.node import eventually
from tests.support.server import MakePerson, ManualClock


@contextlib.asynccontextmanager
async def running(housekeeping: Housekeeping) -> AsyncIterator[None]:
    """Housekeeping, until the block ends."""
    task = asyncio.create_task(housekeeping.run())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def count(db: Database, model: type) -> int:
    async with db.read() as session:
        return await session.scalar(sa.select(sa.func.count()).select_from(model)) or 0


@pytest.fixture
def retention(uow: UnitOfWork, db: Database, settings: Settings) -> RetentionService:
    """Retention on the real clock; status events are kept for three days."""
    return RetentionService(uow, db, settings.model_copy(update={"status_retention_days": 3}))


@pytest.fixture
def statistics(uow: UnitOfWork, db: Database) -> StatisticsService:
    """Statistics on the real clock."""
    return StatisticsService(uow, db, lambda: ())


async def test_it_keeps_to_the_retention(
    accounts: AccountService,
    statistics: StatisticsService,
    retention: RetentionService,
    db: Database,
    person: MakePerson,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.housekeeping.FIRST_PRUNE_S", 0)
    ada = await person()
    await accounts.create_token(await accounts.authenticate_token(ada.token), "short", 60)
    clock.advance(days=15)
    device = rows.device(1)
    async with db.write() as session:
        session.add(device)
        session.add(PresenceSample(at=utcnow() - timedelta(days=40), user_id=0, online=0, total=0))
    async with db.write() as session:
        for days in (1, 4):
            session.add(rows.status_event(device, DeviceStatus.OFFLINE, utcnow() - timedelta(days=days)))

    async def is_done() -> bool:
        return [await count(db, model) for model in (Session, ApiToken, StatusEvent, PresenceSample)] == [0, 1, 1, 1]

    async with running(Housekeeping(statistics, [accounts.prune, statistics.prune, retention.prune])):
        await eventually(is_done, what="only what is young")


async def test_a_database_that_is_away_postpones_it(
    accounts: AccountService,
    statistics: StatisticsService,
    retention: RetentionService,
    monkeypatch: pytest.MonkeyPatch,
    db: Database,
) -> None:
    monkeypatch.setattr("app.housekeeping.SAMPLE_S", 0.01)
    refused = 0
    sample = statistics.sample

    async def away_at_first() -> None:
        nonlocal refused
        if refused < 3:
            refused += 1
            raise Unavailable("The database does not answer.")
        await sample()

    monkeypatch.setattr(statistics, "sample", away_at_first)

    async def is_sampled() -> bool:
        return await count(db, PresenceSample) == 1

    async with running(Housekeeping(statistics, [accounts.prune, statistics.prune, retention.prune])):
        await eventually(is_sampled, what="a sample")
    assert refused == 3
