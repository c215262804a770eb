"""What the tests of schedules share: the services on a clock that tests move, without a loop that fires by itself."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.accounts.principal import Principal
from app.db import Database
from app.schedules.actions import RunStarter
from app.schedules.firing import Firings
from app.schedules.models import Firing, Schedule
from app.schedules.schemas import ScheduleInput, ScheduleView
from app.schedules.service import ScheduleService
from app.tasks.models import Run
from app.tasks.runs import RunService
from app.uow import UnitOfWork
from tests.support import rows
from tests.support.server import MakePerson, ManualClock

DAY = datetime.fromisoformat("2030-06-03T00:00:00+00:00")
"""A Monday."""


@dataclass
class Bench:
    """Schedules of one operator with one device, and what they started."""

    db: Database
    uow: UnitOfWork
    clock: ManualClock
    runs: RunService
    firings: Firings
    service: ScheduleService
    bob: Principal
    device_id: int

    def wanted(self, **fields: Any) -> ScheduleInput:
        """An hourly run, as a request says it."""
        request = {"command": ["uptime"], "targets": {"device_ids": [self.device_id]}}
        return ScheduleInput.model_validate(
            {"name": "hourly", "action": {"kind": "run", "request": request}}
            | ({} if "at" in fields else {"cron": "0 * * * *"})
            | fields
        )

    async def make(self, **fields: Any) -> ScheduleView:
        """That, saved."""
        return await self.service.create(self.bob, self.wanted(**fields))

    async def fired(self) -> list[Firing]:
        """All firings, by their times."""
        async with self.db.read() as session:
            return list(await session.scalars(sa.select(Firing).order_by(Firing.due_at)))

    async def started(self) -> list[Run]:
        """All runs."""
        async with self.db.read() as session:
            return list(await session.scalars(sa.select(Run).order_by(Run.id)))

    async def end_runs(self) -> None:
        """All runs are over."""
        async with self.db.write() as session:
            await session.execute(sa.update(Run).values(finished_at=self.clock()))

    async def row(self, schedule_id: str) -> Schedule:
        """The schedule's row."""
        async with self.db.read() as session:
            return (await session.scalars(sa.select(Schedule).where(Schedule.id == schedule_id))).one()

    def other(self) -> Firings:
        """Another server's."""
        uow = UnitOfWork(self.db, lambda _: None, self.clock)
        return Firings(uow, self.db, {"run": RunStarter(self.runs)}, self.clock)


MakeBench = Callable[[], Awaitable[Bench]]


@pytest.fixture
def times_pass(clock: ManualClock) -> Iterator[ManualClock]:
    """The clock, at the start of a known day."""
    clock.now = DAY
    yield clock


@pytest.fixture
async def bench(times_pass: ManualClock, uow: UnitOfWork, db: Database, person: MakePerson) -> Bench:
    """All of it."""
    bob = await person("bob@example.test", Role.OPERATOR)
    device = rows.device(1, user_id=bob.id)
    async with db.write() as session:
        session.add(device)
    runs = RunService(uow, db, lambda: (), 1 << 20, times_pass)
    starters = {"run": RunStarter(runs)}
    firings = Firings(uow, db, starters, times_pass)
    service = ScheduleService(uow, db, starters, firings, changed=lambda: None, history_days=30, clock=times_pass)
    principal = Principal(bob.id, bob.email, Role.OPERATOR, token_id="t")
    return Bench(db, uow, times_pass, runs, firings, service, principal, device.id)
