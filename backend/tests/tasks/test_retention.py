"""What is forgotten about runs, when, and what that must not touch."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.db import Database
from app.settings import Settings
from app.tasks.models import Run, Script, Task, TaskOutput
from app.tasks.retention import PAGE, WorkRetention
from tests.support import rows, work
from tests.support.server import ManualClock

MIB = 1 << 20


@pytest.fixture
def retention(db: Database, settings: Settings, clock: ManualClock) -> WorkRetention:
    """Runs for ten days, output for five and 3 MiB of it in all."""
    kept = {"run_retention_days": 10, "output_retention_days": 5, "output_max_bytes": 3 * MIB}
    return WorkRetention(db, settings.model_copy(update=kept), clock)


async def ended(
    db: Database, clock: ManualClock, days_ago: float, size: int = 3, script: str | None = None, **values: Any
) -> str:
    """A run with one task that printed so many bytes; the task's id. ``days_ago`` below 0: it is not over."""
    at = clock() - timedelta(days=days_ago) if days_ago >= 0 else None
    run = work.run(created_at=clock(), expires_at=clock(), finished_at=at, script_sha256=script)
    async with db.write() as session:
        device = rows.device(int(run.id[-5:], 16))
        session.add_all([device, run])
        await session.flush()
        state = "succeeded" if at else "running"
        task = work.task(run, device.id, state=state, finished_at=at, output_bytes=size, output_next_seq=1, **values)
        session.add(task)
        await session.flush()
        session.add(TaskOutput(task_id=task.id, seq=0, stream=1, data=b"x" * min(size, 64)))
    return task.id


async def left(db: Database, column: Any) -> set[str]:
    async with db.read() as session:
        return set(await session.scalars(sa.select(column)))


async def test_runs_go_with_all_that_is_theirs_when_they_are_old(
    retention: WorkRetention, db: Database, clock: ManualClock
) -> None:
    old = [await ended(db, clock, 10.1) for _ in range(PAGE + 1)]
    young, unfinished = await ended(db, clock, 4.9), await ended(db, clock, -1)
    await retention.prune()
    assert await left(db, Task.id) == {young, unfinished}
    assert len(await left(db, Run.id)) == 2
    assert await left(db, TaskOutput.task_id) == {young, unfinished}
    assert not set(old) & await left(db, Task.id)


async def test_output_goes_before_its_task_does(retention: WorkRetention, db: Database, clock: ManualClock) -> None:
    old, young = await ended(db, clock, 5.1), await ended(db, clock, 4.9)
    await retention.prune()
    assert await left(db, TaskOutput.task_id) == {young}
    row = await work.one_task(db, old)
    assert (row.output_deleted_at, row.output_bytes, row.rev) == (clock(), 3, 2)
    assert (await work.one_task(db, young)).output_deleted_at is None


async def test_of_too_much_output_the_oldest_goes(retention: WorkRetention, db: Database, clock: ManualClock) -> None:
    days = {day: await ended(db, clock, day, size=MIB) for day in (1, 4, 2, 3)}
    running = await ended(db, clock, -1, size=MIB)
    await retention.prune()
    assert await left(db, TaskOutput.task_id) == {days[1], days[2], running}


@pytest.mark.databases("sqlite")
async def test_what_is_not_over_keeps_its_output(retention: WorkRetention, db: Database, clock: ManualClock) -> None:
    running = await ended(db, clock, -1, size=9 * MIB)
    await retention.prune()
    assert await left(db, TaskOutput.task_id) == {running}


async def test_scripts_go_with_their_last_run(retention: WorkRetention, db: Database, clock: ManualClock) -> None:
    async with db.write() as session:
        for name, days in (("used", 99), ("unused", 99), ("new", 0.5)):
            session.add(Script(sha256=name, body=b"true", created_at=clock() - timedelta(days=days)))
    await ended(db, clock, 1, script="used")
    await retention.prune()
    assert await left(db, Script.sha256) == {"used", "new"}
    clock.advance(days=11)
    await retention.prune()
    assert await left(db, Script.sha256) == set()
