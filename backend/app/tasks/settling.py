"""What follows when tasks have changed, in the same transaction: their runs, whoever waited for a place, the hints.

Invariant: a run has ``finished_at`` exactly when all of its tasks are final, and its ``rev`` grows with every change of
a task's state.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

import sqlalchemy as sa

from app.devices.models import Device
from app.hints import HintKind
from app.tasks import repository
from app.tasks.models import Run, Task
from app.uow import Unit
from deployx_protocol.states import DeviceStatus
from deployx_protocol.tasks import FINAL

PLACES_MAX = 200
"""How many devices of one run are told at once that a place is free; whoever is left over is found by the next poll."""


async def settle(unit: Unit, moved: Collection[Task], now: datetime) -> None:
    """``moved`` have changed their states, and are saved."""
    run_ids = sorted({task.run_id for task in moved})
    unfinished = sa.exists().where(Task.run_id == Run.id, repository.UNFINISHED)
    over = sa.func.coalesce(Run.finished_at, sa.literal(now, Run.finished_at.type))
    for ids in repository.chunks(run_ids):
        values = {"rev": Run.rev + 1, "finished_at": sa.case((unfinished, sa.null()), else_=over)}
        await unit.session.execute(
            sa.update(Run).where(Run.id.in_(ids)).values(values).execution_options(synchronize_session=False)
        )
    hint_tasks(unit, moved)
    for run_id in run_ids:
        unit.hint(HintKind.RUN, run_id=run_id)
    ended = [task for task in moved if task.state in FINAL and task.sent_at]  # what was never sent held no place
    if ended:
        await _hint_waiting(unit, ended)


def hint_tasks(unit: Unit, tasks: Iterable[Task]) -> None:
    """Something of ``tasks`` changed."""
    for task in tasks:
        unit.hint(HintKind.TASK, run_id=task.run_id, task_id=task.id)


async def _hint_waiting(unit: Unit, ended: Collection[Task]) -> None:
    """Ended tasks leave room on their devices, and in runs that limit how many may be in flight."""
    waiting: set[int] = set()
    for device_ids in repository.chunks({task.device_id for task in ended if task.device_id}):
        query = sa.select(Task.device_id).where(Task.device_id.in_(device_ids), repository.QUEUED).distinct()
        waiting.update(id for id in await unit.session.scalars(query) if id)
    for run_ids in repository.chunks({task.run_id for task in ended}):
        limited = sa.select(Run.id).where(Run.id.in_(run_ids), Run.max_parallel.is_not(None))
        for run_id in list(await unit.session.scalars(limited)):
            query = (
                sa.select(Task.device_id)
                .join(Device, Task.device_id == Device.id)
                .where(Task.run_id == run_id, repository.WAITING, Device.status == DeviceStatus.ONLINE)
                .order_by(Task.id)
                .limit(PLACES_MAX)
            )
            waiting.update(id for id in await unit.session.scalars(query) if id)
    for device_id in sorted(waiting):
        unit.hint(HintKind.TASKS_WAITING, device_id)
