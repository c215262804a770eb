"""What follows when tasks have changed, in the same transaction: their runs, whoever waited for a place, the hints.

Invariant: a run has ``finished_at`` exactly when all of its tasks are final, and its ``rev`` grows with every change of
a task's state.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa

from app.db import among
from app.devices.models import Device
from app.hints import HintKind
from app.tasks import repository
from app.tasks.models import Run, Task
from app.tasks.rows import RUNS, TASKS, LockedTask
from app.uow import Unit
from deployx_protocol.states import DeviceStatus
from deployx_protocol.tasks import FINAL

PLACES_MAX = 200
"""How many devices of one run are told at once that a place is free; whoever is left over is found by the next poll."""


class Moved(Protocol):
    """What has to be known of a task to say that it changed."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def run_id(self) -> str:
        """Its run's."""


_RUNS, _TASKS = RUNS.c, TASKS.c
_UNFINISHED = sa.exists().where(_TASKS.run_id == _RUNS.id, repository.UNFINISHED)
_OVER_AT = sa.func.coalesce(_RUNS.finished_at, sa.bindparam("now", type_=_RUNS.finished_at.type))
_SETTLE = (
    sa.update(RUNS)
    .where(among(_RUNS.id, "ids"))
    .values(rev=_RUNS.rev + 1, finished_at=sa.case((_UNFINISHED, sa.null()), else_=_OVER_AT))
    .returning(_RUNS.id, _RUNS.finished_at)
)
_WITH_QUEUED = sa.select(_TASKS.device_id).where(among(_TASKS.device_id, "ids"), repository.QUEUED).distinct()


async def settle(unit: Unit, moved: Collection[LockedTask], runs: Mapping[str, Run], now: datetime) -> None:
    """``moved`` have changed their states, and are saved. ``runs`` has theirs, as they were locked."""
    await changed(unit, moved, now)
    ended = [task for task in moved if task.state in FINAL and task.sent_at]  # what was never sent held no place
    if ended:
        await _hint_waiting(unit, ended, runs)


async def changed(unit: Unit, moved: Collection[Moved], now: datetime) -> None:
    """``moved`` have changed their states, and are saved; none of them has left a place."""
    if not moved:
        return
    run_ids = sorted({task.run_id for task in moved})
    settled = await unit.session.execute(_SETTLE, {"ids": run_ids, "now": now})
    hint_tasks(unit, moved)
    for run_id, finished_at in sorted(settled):
        unit.hint(HintKind.RUN, run_id=run_id)
        if finished_at is not None:
            unit.hint(HintKind.RUN_OVER, run_id=run_id)


def hint_tasks(unit: Unit, tasks: Iterable[Moved]) -> None:
    """Something of ``tasks`` changed."""
    for task in tasks:
        unit.hint(HintKind.TASK, run_id=task.run_id, task_id=task.id)


async def _hint_waiting(unit: Unit, ended: Collection[LockedTask], runs: Mapping[str, Run]) -> None:
    """Ended tasks leave room on their devices, and in runs that limit how many may be in flight."""
    device_ids = sorted({task.device_id for task in ended if task.device_id})
    waiting = {id for id in await unit.session.scalars(_WITH_QUEUED, {"ids": device_ids}) if id}
    for run_id in sorted({task.run_id for task in ended if runs[task.run_id].max_parallel is not None}):
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
