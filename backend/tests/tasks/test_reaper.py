"""Deadlines: what is not over when its time is, is ended; what is given up frees its run and whoever waits in it."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.db import Database
from app.devices.models import Device
from app.hints import Hint, HintKind
from app.tasks.lifecycle import GRACE
from app.tasks.models import Run, Task
from app.tasks.reaper import BATCH_MAX, ReaperService
from app.uow import UnitOfWork
from deployx_protocol.states import DeviceStatus
from deployx_protocol.tasks import FINAL, TaskState
from tests.support import rows, work
from tests.support.node import RunningNode
from tests.support.server import ManualClock
from tests.support.work import Api, Enter, in_state, one_task, run_of, tasks_of


@pytest.fixture
def reaper(uow: UnitOfWork, db: Database, clock: ManualClock) -> ReaperService:
    """On a clock that the test moves."""
    return ReaperService(uow, db, clock)


async def put(db: Database, run: Run, states: list[str], online: bool = False, **values: Any) -> list[Task]:
    """The run with tasks in these states, each of a device of its own."""
    number = int(run.id[-6:], 16) * 1_000
    status = DeviceStatus.ONLINE if online else DeviceStatus.OFFLINE
    async with db.write() as session:
        devices = [rows.device(number + n, status=status) for n in range(len(states))]
        session.add_all([run, *devices])
        await session.flush()
        tasks = [
            work.task(run, device.id, state=state, **values) for device, state in zip(devices, states, strict=True)
        ]
        session.add_all(tasks)
    return tasks


@pytest.mark.parametrize("online", [True, False])
async def test_what_was_never_sent_expires_and_what_was_is_lost(
    reaper: ReaperService, db: Database, clock: ManualClock, hints: list[Hint], online: bool
) -> None:
    states = ["queued", "sent", "accepted", "running", "succeeded"]
    deadline = clock() + timedelta(seconds=10)
    made = await put(db, work.run(5), states, online, deadline_at=deadline)
    assert await reaper.reap() == {}
    clock.advance(seconds=10)
    assert await reaper.reap() == {"expired": 1, "lost": 3}
    ended = [await one_task(db, task.id) for task in made]
    assert [(row.state, row.code) for row in ended] == [
        ("expired", ""),
        *[("lost", "silent")] * 3,
        ("succeeded", ""),
    ]
    assert [row.deadline_at for row in ended[:4]] == [None] * 4
    assert [row.finished_at for row in ended[:4]] == [clock()] * 4
    assert ended[0].output_chunks == 0
    assert (await run_of(db, made[0].id)).finished_at == clock()
    assert {hint.task_id for hint in hints if hint.kind is HintKind.TASK} == {task.id for task in made[:4]}
    assert [hint.run_id for hint in hints if hint.kind is HintKind.RUN] == [made[0].run_id]
    assert await reaper.reap() == {}


async def test_what_was_for_a_device_that_is_deleted_ends_at_once(
    reaper: ReaperService, db: Database, clock: ManualClock, hints: list[Hint]
) -> None:
    made = await put(db, work.run(4), ["queued", "sent", "running", "failed"], deadline_at=clock() + timedelta(days=1))
    kept = await put(db, work.run(1), ["queued"], deadline_at=clock() + timedelta(days=1))
    async with db.write() as session:
        await session.execute(sa.delete(Device).where(Device.id.in_([task.device_id for task in made])))
    assert await reaper.reap() == {"cancelled": 1, "lost": 2}
    ended = [await one_task(db, task.id) for task in made]
    assert [(row.state, row.code) for row in ended] == [
        ("cancelled", "device_deleted"),
        ("lost", "device_deleted"),
        ("lost", "device_deleted"),
        ("failed", ""),
    ]
    assert (await run_of(db, made[0].id)).finished_at == clock()
    assert (await one_task(db, kept[0].id)).state == "queued"
    assert [hint.run_id for hint in hints if hint.kind is HintKind.RUN] == [made[0].run_id]
    assert await reaper.reap() == {}


async def test_however_many_are_due_they_end_in_batches(
    reaper: ReaperService, db: Database, clock: ManualClock
) -> None:
    run = work.run(BATCH_MAX + 1)
    await put(db, run, ["queued"] * (BATCH_MAX + 1), deadline_at=clock())
    assert await reaper.reap() == {"expired": BATCH_MAX + 1}


async def test_a_place_that_a_lost_task_leaves_is_told_to_who_waits_for_it(
    reaper: ReaperService, db: Database, clock: ManualClock, hints: list[Hint]
) -> None:
    run = work.run(2, max_parallel=1)
    lost, waiting = await put(db, run, ["running", "queued"], online=True)
    async with db.write() as session:
        values = {"sent_at": clock(), "deadline_at": clock()}
        await session.execute(sa.update(Task).where(Task.id == lost.id).values(values))
    await reaper.reap()
    assert [hint.device_id for hint in hints if hint.kind is HintKind.TASKS_WAITING] == [waiting.device_id]
    assert (await run_of(db, lost.id)).finished_at is None


async def test_a_task_that_waits_for_its_device_in_vain_expires_and_is_never_sent(
    node: RunningNode, enter: Enter, api: Api
) -> None:
    peer, device_id = await enter()
    await peer.close()
    await node.status(peer.machine.agent_id, "offline")
    run_id = await api.start([device_id], expires_s=1)
    (row,) = await tasks_of(node.db, run_id)
    await in_state(node.db, row.id, "expired")
    peer, _ = await enter(peer.machine)
    later = await api.start([device_id])
    (told,) = await peer.assigned()
    assert told["task_id"] == (await tasks_of(node.db, later))[0].id


@pytest.mark.databases("sqlite")
async def test_what_is_past_its_time_is_not_sent_even_before_it_is_ended(node: RunningNode, enter: Enter) -> None:
    peer, device_id = await enter(before=lambda device_id: work.queue(node.db, [device_id], expires_s=-1))
    (other,) = await work.queue(node.db, [device_id])
    (told,) = await peer.assigned()
    assert told["task_id"] == other


async def test_no_state_that_is_not_final_is_without_a_deadline(node: RunningNode, enter: Enter) -> None:
    peer, _ = await enter(before=lambda device_id: work.queue(node.db, [device_id]))
    (told,) = await peer.assigned()
    task_id = told["task_id"]
    row, run = await one_task(node.db, task_id), await run_of(node.db, task_id)
    assert row.deadline_at == run.expires_at + GRACE
    await peer.report(task_id, "accepted")
    assert (await one_task(node.db, task_id)).deadline_at == run.expires_at + GRACE
    await peer.report(task_id, "running")
    row = await one_task(node.db, task_id)
    assert row.started_at
    assert row.deadline_at == row.started_at + timedelta(seconds=run.timeout_s) + GRACE
    await peer.report(task_id, "timed_out")
    assert (await one_task(node.db, task_id)).deadline_at is None
    assert TaskState((await one_task(node.db, task_id)).state) in FINAL
