"""A thousand agents at once: tasks are claimed, and results saved, in a few transactions and in bounded memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import sqlalchemy as sa

from app.db import Database
from app.devices.models import Device
from app.ids import new_id
from app.realtime import inbox
from app.realtime.inbox import Inbox
from app.tasks.delivery import CLAIM_MAX, Claimant, DeliveryService
from app.tasks.models import Run, Task
from app.tasks.reports import Printed, Reported, ReportService, Saved
from app.uow import Unit, UnitOfWork
from deployx_protocol.frames import Frame
from deployx_protocol.states import DeviceStatus
from deployx_protocol.task_messages import TaskUpdate
from deployx_protocol.tasks import TaskState
from tests.support import rows
from tests.support.work import queue

CROWD = 1_000
HERE = "node-here"


class Counted(UnitOfWork):
    """Counts its transactions."""

    begun = 0

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Unit]:
        """One more."""
        self.begun += 1
        async with super().begin() as unit:
            yield unit


@pytest.fixture
def counted(db: Database) -> Counted:
    return Counted(db, lambda _: None)


async def crowd(db: Database) -> list[int]:
    values = {"status": DeviceStatus.ONLINE, "node_id": HERE, "session_epoch": 1}
    async with db.write() as session:
        session.add_all([rows.device(n, **values) for n in range(CROWD)])
        await session.flush()
        return list(await session.scalars(sa.select(Device.id).order_by(Device.id)))


async def test_a_thousand_tasks_are_claimed_and_ended_in_a_few_transactions(db: Database, counted: Counted) -> None:
    ids = await crowd(db)
    task_ids = await queue(db, ids)
    delivery = DeliveryService(counted, db, node_id=HERE)
    told: list[tuple[int, str]] = []
    while len(told) < CROWD:
        deliveries = await delivery.deliver_many([Claimant(id, 1) for id in ids])
        told += [(one.device_id, task.task_id) for one in deliveries for task in one.tasks]
    assert sorted(task_id for _, task_id in told) == task_ids
    assert counted.begun == CROWD / CLAIM_MAX

    counted.begun = 0
    answers: list[Saved | None] = []
    box = Inbox(ReportService(counted).save_many, counted_saved, committed)
    for device_id, task_id in told:
        states = (TaskState.ACCEPTED, TaskState.RUNNING, TaskState.SUCCEEDED)
        updates = [TaskUpdate(task_id=task_id, state=state, chunks=1) for state in states]
        assert box.take(Printed(device_id, task_id, [Frame(0, 1, b"hi\n")]), device_id, answers.append)
        assert box.take(Reported(device_id, updates), device_id, answers.append)
    await saving(box, lambda: len(answers) == 4 * CROWD)
    assert counted.begun <= 4 * CROWD / inbox.ITEMS_MAX + 1
    assert all(saved and (saved.updates or saved.output) for saved in answers)
    async with db.read() as session:
        ended = sa.select(sa.func.count()).where(Task.state == "succeeded", Task.output_next_seq == 1)
        assert await session.scalar(ended) == CROWD
        assert (await session.scalars(sa.select(Run))).one().finished_at


def counted_saved(item: Reported | Printed, saved: Saved) -> None:
    """Nobody counts."""


def committed() -> None:
    """Nobody is told."""


async def saving(box: Inbox, over: Callable[[], bool]) -> None:
    """Run ``box`` until it is ``over``."""
    task = asyncio.create_task(box.run())
    async with asyncio.timeout(60):
        while not over():
            await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_threat_20_what_waits_is_bounded_for_each_device_and_in_all() -> None:
    saved: list[int] = []

    async def save(items: Sequence[Reported | Printed]) -> list[Saved]:
        saved.append(sum(isinstance(item, Printed) for item in items))
        return [Saved() for _ in items]

    box = Inbox(save, counted_saved, committed)
    megabyte = [Frame(n, 1, b"x" * 32_000) for n in range(32)]
    answered: list[Saved | None] = []

    def fill(device_id: int) -> int:
        taken = 0
        while box.take(Printed(device_id, f"task-{taken}", megabyte), "somebody", answered.append):
            taken += 1
        return taken

    assert 0 < fill(1) * 32 * 32_000 <= inbox.DEVICE_MAX_BYTES
    assert not box.take(Printed(1, "another", megabyte), "somebody", answered.append)
    total = 1
    for device_id in range(2, 100):
        total += fill(device_id) > 0
    assert total * inbox.DEVICE_MAX_BYTES <= inbox.WAITING_MAX_BYTES + inbox.DEVICE_MAX_BYTES
    assert not box.take(Printed(100, "another", megabyte), "somebody", answered.append)
    over = [TaskUpdate(task_id=new_id(), state=TaskState.SUCCEEDED)]
    for device_id in (1, 100):  # the word that a task is over still has room
        assert box.take(Reported(device_id, over), "somebody", answered.append)
    waiting = sum(map(len, box._turns.values()))
    await saving(box, lambda: len(answered) == waiting)
    assert max(saved) <= inbox.BATCH_MAX_BYTES / (32 * 32_000)
    assert (box._bytes, dict(box._by_device), box._frames, box._reports) == (0, {}, {}, {})
    assert box.take(Reported(1, over), "somebody", answered.append)
