"""The deadlines: whatever is not over when its time is, is ended here.

Queued past its time to start: expired, for it was never sent. Sent, accepted or running a while past the moment at
which its agent ends it by itself: lost, until the agent says otherwise. Whether the device is online changes nothing.
What was for a device that is deleted ends at once: nobody will ever take it, or say what became of it.
"""

from collections import Counter
from collections.abc import Mapping

import sqlalchemy as sa
import structlog

from app.clock import Clock, utcnow
from app.db import Database
from app.tasks import lifecycle, repository, settling
from app.tasks.models import Task
from app.uow import UnitOfWork
from deployx_protocol.tasks import TaskCode, TaskEvent, TaskState

log = structlog.get_logger()

BATCH_MAX = 500


class ReaperService:
    """Ends what is past its deadline. Several servers may do so at once."""

    def __init__(self, uow: UnitOfWork, db: Database, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._clock = clock

    async def reap(self) -> Mapping[str, int]:
        """End everything that is due; how many tasks went into which state. Raises Unavailable."""
        ended: Counter[str] = Counter()
        for why in (Task.deadline_at <= self._clock(), Task.device_id.is_(None)):
            while True:
                due = await self._due(why)
                ended += await self._end(due)
                if len(due) < BATCH_MAX:
                    break
        if ended:
            log.info("tasks.reaped", **ended)
        return ended

    async def _due(self, why: sa.ColumnElement[bool]) -> list[str]:
        query = sa.select(Task.id).where(repository.UNFINISHED, why)
        async with self._db.read() as session:
            return list(await session.scalars(query.limit(BATCH_MAX)))

    async def _end(self, due: list[str]) -> Counter[str]:
        if not due:
            return Counter()
        now = self._clock()
        async with self._uow.begin() as unit:
            still_due = repository.locking(
                repository.UNFINISHED, sa.or_(Task.deadline_at <= now, Task.device_id.is_(None))
            )
            tasks, runs = await repository.lock_with_runs(unit.session, due, still_due)
            for task in tasks.values():
                if task.device_id is None:
                    event = TaskEvent.CANCEL if task.state == TaskState.QUEUED else TaskEvent.GO_SILENT
                    lifecycle.end(task, event, now, TaskCode.DEVICE_DELETED)
                elif task.state == TaskState.QUEUED:
                    lifecycle.end(task, TaskEvent.EXPIRE, now)
                else:
                    lifecycle.end(task, TaskEvent.GO_SILENT, now, TaskCode.SILENT)
            await repository.save_tasks(unit.session, tasks.values())
            await settling.settle(unit, tasks.values(), runs, now)
        return Counter(task.state for task in tasks.values())
