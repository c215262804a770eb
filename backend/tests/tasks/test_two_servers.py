"""Two servers on one database: a task goes once to a session, by the server that its device is connected to."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa

from app.db import Database
from app.devices.models import Device
from app.tasks.delivery import Claimant, DeliveryService
from app.tasks.models import Task
from app.tasks.reports import Reported, ReportService
from app.uow import UnitOfWork
from deployx_protocol.states import DeviceStatus
from deployx_protocol.task_messages import TaskUpdate
from deployx_protocol.tasks import TaskState
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.work import Enter, one_task, queue

HERE, THERE = "node-here", "node-there"


async def devices(db: Database, count: int, node_id: str = HERE, **values: Any) -> list[int]:
    """Trusted devices in their first session on that node; their ids."""
    async with db.write() as session:
        taken = await session.scalar(sa.select(sa.func.count()).select_from(Device)) or 0
        made = [
            rows.device(taken + n, **{"status": DeviceStatus.ONLINE, "node_id": node_id, "session_epoch": 1, **values})
            for n in range(count)
        ]
        session.add_all(made)
    return [device.id for device in made]


@pytest.fixture
def here(uow: UnitOfWork, db: Database) -> DeliveryService:
    return DeliveryService(uow, db, node_id=HERE)


@pytest.fixture
def there(uow: UnitOfWork, db: Database) -> DeliveryService:
    return DeliveryService(uow, db, node_id=THERE)


def handed(deliveries: Any) -> list[str]:
    return [task.task_id for delivery in deliveries for task in delivery.tasks]


async def test_only_the_session_that_the_row_names_takes_tasks(
    here: DeliveryService, there: DeliveryService, db: Database
) -> None:
    (device_id,) = await devices(db, 1)
    (task_id,) = await queue(db, [device_id])
    assert handed(await there.deliver_many([Claimant(device_id, 1, again=True)])) == []
    assert handed(await here.deliver_many([Claimant(device_id, 2, again=True)])) == []
    assert handed(await here.deliver_many([Claimant(device_id, 1)])) == [task_id]
    assert handed(await here.deliver_many([Claimant(device_id, 1)])) == []
    assert handed(await here.deliver_many([Claimant(device_id, 1, again=True)])) == [task_id]
    assert handed(await there.deliver_many([Claimant(device_id, 1, again=True)])) == []


@pytest.mark.parametrize("values", [{"status": "offline"}, {"trust": "pending"}, {"trust": "quarantined"}])
async def test_nothing_is_claimed_for_a_device_that_is_away_or_not_trusted(
    here: DeliveryService, db: Database, values: dict[str, str]
) -> None:
    (device_id,) = await devices(db, 1, **values)
    (task_id,) = await queue(db, [device_id])
    assert handed(await here.deliver_many([Claimant(device_id, 1, again=True)])) == []
    assert await here.waiting_here() == set()
    assert (await one_task(db, task_id)).state == "queued"


async def test_threat_05_claims_that_race_hand_each_task_out_once_to_a_session(
    here: DeliveryService, there: DeliveryService, db: Database
) -> None:
    """Both claim for all devices at once, again and again, while the devices move from one server to the other."""
    ids = await devices(db, 20)
    expected: list[str] = []
    for _ in range(5):
        expected += await queue(db, ids)

    async def claim(service: DeliveryService) -> list[tuple[int, str]]:
        taken: list[tuple[int, str]] = []
        for epoch in (1, 2, 1, 2):
            deliveries = await service.deliver_many([Claimant(id, epoch) for id in ids])
            taken += [(epoch, task_id) for task_id in handed(deliveries)]
        return taken

    async def move() -> None:
        for id in ids:
            async with db.write() as session:
                moved = {"node_id": THERE, "session_epoch": 2}
                await session.execute(sa.update(Device).where(Device.id == id).values(moved))

    first, second, _ = await asyncio.gather(claim(here), claim(there), move())
    rest = [(2, task_id) for task_id in handed(await there.deliver_many([Claimant(id, 2) for id in ids]))]
    assert {epoch for epoch, _ in first} <= {1}
    assert {epoch for epoch, _ in second} <= {2}
    # What went to the first session may not have been heard, and goes to the second as well; to each of them once.
    everything = [*first, *second, *rest]
    assert len(set(everything)) == len(everything)
    assert sorted(task_id for epoch, task_id in everything if epoch == 2) == sorted(expected)


async def test_servers_that_claim_for_one_run_keep_its_limit_together(
    here: DeliveryService, there: DeliveryService, db: Database, uow: UnitOfWork
) -> None:
    mine, others = await devices(db, 15), await devices(db, 15, THERE)
    task_ids = await queue(db, [*mine, *others], max_parallel=4)
    reports = ReportService(uow)
    done: set[str] = set()
    while len(done) < len(task_ids):
        both = await asyncio.gather(
            here.deliver_many([Claimant(id, 1) for id in mine]), there.deliver_many([Claimant(id, 1) for id in others])
        )
        taken = handed([*both[0], *both[1]])
        assert 0 < len(taken) <= 4
        async with db.read() as session:
            query = sa.select(Task.id, Task.device_id).where(Task.state == "sent")
            flying = {row.id: row.device_id for row in await session.execute(query)}
        assert set(taken) == set(flying)
        updates = [
            Reported(device_id or 0, [TaskUpdate(task_id=task_id, state=TaskState.SUCCEEDED)])
            for task_id, device_id in flying.items()
        ]
        await reports.save_many(updates)
        done |= set(taken)
    assert done == set(task_ids)


async def test_claims_reports_and_moves_of_two_servers_never_wait_in_a_circle(
    here: DeliveryService, there: DeliveryService, db: Database, uow: UnitOfWork
) -> None:
    """On PostgreSQL a deadlock would raise here; all tasks end."""
    mine, others = await devices(db, 10), await devices(db, 10, THERE)
    for _ in range(6):
        await queue(db, [*mine, *others])
    reports = ReportService(uow)

    async def work(service: DeliveryService, ids: list[int]) -> int:
        count = 0
        while True:
            deliveries = await service.deliver_many([Claimant(id, 1) for id in reversed(ids)])
            items = [
                Reported(one.device_id, [TaskUpdate(task_id=task.task_id, state=TaskState.SUCCEEDED)])
                for one in deliveries
                for task in one.tasks
            ]
            if not items:
                return count
            await reports.save_many(list(reversed(items)))
            count += len(items)

    ended = sum(await asyncio.gather(work(here, mine), work(there, others), work(here, mine), work(there, others)))
    assert ended == 6 * 20


@pytest.mark.databases("postgresql")
async def test_an_agent_that_moves_takes_its_tasks_along(node: RunningNode, serve: Serve, enter: Enter) -> None:
    """Its first connection stays open on the other server, as after a partition; nothing more comes over it."""
    second = await serve(enrollment="approval")
    stays, device_id = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (first,) = await stays.assigned()
    moved, _ = await enter(stays.machine, at=second, boot_id=stays.boot_id)
    (again,) = await moved.assigned()
    assert again["task_id"] == first["task_id"]
    (other,) = await queue(node.db, [device_id])
    (told,) = await moved.assigned()
    assert told["task_id"] == other
    heard = [payload for name, payload in stays.heard if name == "task_assigned"]
    assert [task["task_id"] for payload in heard for task in payload["tasks"]] == [first["task_id"]]
