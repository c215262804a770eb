"""What was in flight on devices whose agents no longer know of it: lost for good, so that nothing runs twice.

Called within the transaction of the registration that shows it: before its agent hears of anything, the tasks are lost.
"""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
import structlog

from app.tasks import lifecycle, repository, settling
from app.tasks.models import Task
from app.uow import Unit
from deployx_protocol.tasks import TaskCode, TaskEvent

log = structlog.get_logger()


async def forget_many(unit: Unit, why: Mapping[int, TaskCode], now: datetime) -> None:
    """Tasks in flight of these devices, which the caller has locked, are lost: JOURNAL_NEW or JOURNAL_RESTORED."""
    if not why:
        return
    in_flight: list[str] = []
    for ids in repository.chunks(sorted(why)):
        in_flight += await unit.session.scalars(sa.select(Task.id).where(Task.device_id.in_(ids), repository.FLYING))
    if not in_flight:
        return
    tasks, runs = await repository.lock_with_runs(unit.session, in_flight, repository.IF_FLYING)
    for task in tasks.values():
        assert task.device_id is not None
        lifecycle.end(task, TaskEvent.FORGET, now, why[task.device_id])
    await repository.save_tasks(unit.session, tasks.values())
    await settling.settle(unit, tasks.values(), runs, now)
    log.warning("tasks.forgotten", tasks=len(tasks), devices=len(why))
