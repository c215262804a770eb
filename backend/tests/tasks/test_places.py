"""A device that went without a word gives up its place in a run that limits how many may be in flight."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.clock import utcnow
from app.db import Database
from app.devices.models import Device
from app.tasks import delivery as module
from app.tasks.delivery import Claimant, DeliveryService
from app.tasks.models import Run, Task
from app.tasks.reports import Reported, ReportService
from app.uow import UnitOfWork
from deployx_protocol import events
from deployx_protocol.states import DeviceStatus
from deployx_protocol.task_messages import TaskUpdate
from deployx_protocol.tasks import TaskState
from tests.support import rows
from tests.support.node import RunningNode
from tests.support.server import Browse, MakePerson
from tests.support.work import Enter, WorkPeer, in_state, one_task, queue

HERE = "node-here"


async def devices(db: Database, count: int) -> list[int]:
    async with db.write() as session:
        values = {"status": DeviceStatus.ONLINE, "node_id": HERE, "session_epoch": 1}
        made = [rows.device(n, **values) for n in range(count)]
        session.add_all(made)
    return [device.id for device in made]


async def change(db: Database, device_id: int, **values: object) -> None:
    async with db.write() as session:
        await session.execute(sa.update(Device).where(Device.id == device_id).values(**values))


@pytest.fixture
def delivery(uow: UnitOfWork, db: Database) -> DeliveryService:
    return DeliveryService(uow, db, node_id=HERE)


async def handed(delivery: DeliveryService, *claimants: Claimant) -> list[str]:
    return [task.task_id for one in await delivery.deliver_many(claimants) for task in one.tasks]


Taker = tuple[WorkPeer, int, str]
"""An agent, its device, and its task of a run that has one place."""


async def one_place(node: RunningNode, enter: Enter) -> tuple[Taker, Taker]:
    """Two agents in a run with one place; the first has been sent its task."""
    entered = [await enter() for _ in range(2)]
    task_ids = await queue(node.db, [device_id for _, device_id in entered], max_parallel=1)

    async def sent() -> int | None:
        states = [(await one_task(node.db, task_id)).state for task_id in task_ids]
        return states.index("sent") if "sent" in states else None

    while (first := await sent()) is None:
        await asyncio.sleep(0.01)
    takers = [(peer, device_id, task_id) for (peer, device_id), task_id in zip(entered, task_ids, strict=True)]
    [told] = await takers[first][0].assigned()
    assert told["task_id"] == task_ids[first]
    return takers[first], takers[1 - first]


async def test_its_place_goes_to_another_and_it_waits_for_one_when_it_is_back(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson
) -> None:
    client = browse(node, (await person()).bearer)
    (first, first_id, one), (second, _, other) = await one_place(node, enter)
    await first.abort()  # whether it was heard nobody knows
    [told] = await second.assigned()
    assert told["task_id"] == other
    await second.report(other, "running")
    view = (await client.get(f"/api/v1/tasks/{one}")).json()
    assert (view["state"], view["reason"].partition(" since")[0]) == (
        "sent",
        "sent, and not yet confirmed by the device; offline",
    )

    back, _ = await enter(first.machine)
    marker = await queue(node.db, [first_id])
    assert [task["task_id"] for task in await back.assigned()] == marker  # and not the one whose run is full
    view = (await client.get(f"/api/v1/tasks/{one}")).json()
    assert view["reason"] == "sent, and not yet confirmed by the device; waits: 1 of 1 in flight"
    assert view["next_event"].startswith("sent again when one of them ends")
    await second.report(other, "succeeded", exit_code=0)
    [told] = await back.assigned()
    assert (told["task_id"], told["known"]) == (one, False)
    await back.report(one, "succeeded", exit_code=0)
    assert (await in_state(node.db, one, "succeeded")).sent_epoch > 1


@pytest.mark.databases("sqlite")
async def test_what_it_had_after_all_counts_though_its_place_is_gone(node: RunningNode, enter: Enter) -> None:
    (first, _, one), (second, _, other) = await one_place(node, enter)
    await first.abort()
    await second.assigned()
    await second.report(other, "running")
    back, _ = await enter(first.machine)
    await back.report(one, "succeeded", exit_code=0)
    await second.report(other, "succeeded", exit_code=0)
    assert events.TASK_ASSIGNED not in [name for name, _ in back.heard]
    assert (await one_task(node.db, one)).state == "succeeded"


async def test_a_place_is_held_by_who_is_there_or_has_said_that_it_has_it(
    delivery: DeliveryService, db: Database, uow: UnitOfWork
) -> None:
    first, second, third = await devices(db, 3)
    tasks = await queue(db, [first, second, third], max_parallel=2)
    assert await handed(delivery, Claimant(first, 1), Claimant(second, 1), Claimant(third, 1)) == tasks[:2]
    await ReportService(uow).save_many([Reported(second, [TaskUpdate(task_id=tasks[1], state=TaskState.ACCEPTED)])])
    await change(db, second, status=DeviceStatus.OFFLINE)
    assert await handed(delivery, Claimant(third, 1)) == []  # the second will do it, there or not
    await change(db, first, status=DeviceStatus.OFFLINE)
    assert await delivery.waiting_here() == {third}
    assert await handed(delivery, Claimant(third, 1)) == [tasks[2]]
    await change(db, first, status=DeviceStatus.ONLINE, session_epoch=2)
    assert await delivery.waiting_here() == {first}
    assert await handed(delivery, Claimant(first, 2, again=True)) == []
    async with db.write() as session:  # who does not start any more may say so at once
        await session.execute(sa.update(Run).values(expires_at=utcnow() - timedelta(seconds=1)))
    assert await handed(delivery, Claimant(first, 2)) == [tasks[0]]
    assert await handed(delivery, Claimant(first, 2)) == []
    assert await handed(delivery, Claimant(first, 2, again=True)) == [tasks[0]]
    assert await delivery.waiting_here() == set()


async def test_what_is_called_off_waits_for_no_place(delivery: DeliveryService, db: Database) -> None:
    first, second = await devices(db, 2)
    one, other = await queue(db, [first, second], max_parallel=1)
    assert await handed(delivery, Claimant(first, 1)) == [one]
    await change(db, first, status=DeviceStatus.OFFLINE)
    assert await handed(delivery, Claimant(second, 1)) == [other]
    async with db.write() as session:
        await session.execute(sa.update(Task).where(Task.id == one).values(cancel_requested_at=utcnow()))
    await change(db, first, status=DeviceStatus.ONLINE, session_epoch=2)
    [told] = await delivery.deliver_many([Claimant(first, 2, again=True)])
    assert (told.tasks, told.ended.cancelled) == ([], [one])


@pytest.mark.databases("postgresql")
async def test_a_receipt_that_comes_while_a_session_is_served_leaves_no_task_behind(
    monkeypatch: pytest.MonkeyPatch, uow: UnitOfWork, db: Database, delivery: DeliveryService
) -> None:
    [device_id] = await devices(db, 1)
    [task_id] = await queue(db, [device_id])
    assert await handed(delivery, Claimant(device_id, 1)) == [task_id]
    await change(db, device_id, session_epoch=2)  # its agent has registered anew, and has the task
    reads = module._oldest_waiting

    async def receipt_first(*arguments: Any) -> Any:
        update = TaskUpdate(task_id=task_id, state=TaskState.ACCEPTED)
        await ReportService(uow).save_many([Reported(device_id, [update])])
        return await reads(*arguments)

    monkeypatch.setattr(module, "_oldest_waiting", receipt_first)
    [told] = await delivery.deliver_many([Claimant(device_id, 2, again=True)])
    assert [(task.task_id, task.known) for task in told.tasks] == [(task_id, True)]
