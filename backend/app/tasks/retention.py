"""What is forgotten about runs, and when.

| What | Kept | Always kept |
|---|---|---|
| runs with their tasks | DEPLOYX_RUN_RETENTION_DAYS after the last task ended | what is not over |
| runs of deployments | with their deployment | |
| output | DEPLOYX_OUTPUT_RETENTION_DAYS after its task ended, the newest DEPLOYX_OUTPUT_MAX_BYTES at most | as above |
| scripts | with the last run that used them | those of the last day |

A task whose output was deleted says so (`output_deleted_at`), and still how much there was.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog

from app.clock import Clock, utcnow
from app.db import Database
from app.pruning import delete_where
from app.settings import Settings
from app.tasks.models import Run, Script, Task, TaskOutput
from app.tasks.runs_repository import BY_PEOPLE

log = structlog.get_logger()

PAGE = 50
_ADDED = timedelta(days=1)
"""A script younger than this may be about to get its first run."""
_HAS_OUTPUT = sa.and_(Task.output_bytes > 0, Task.output_deleted_at.is_(None))


class WorkRetention:
    """Keeps the tables of work within what ``settings`` allow."""

    def __init__(self, db: Database, settings: Settings, clock: Clock = utcnow) -> None:
        self._db = db
        self._settings = settings
        self._clock = clock

    async def prune(self) -> None:
        """Delete what every rule says. Raises Unavailable; what was deleted until then stays deleted."""
        now, settings = self._clock(), self._settings
        ended_before = now - timedelta(days=settings.run_retention_days)
        printed_before = now - timedelta(days=settings.output_retention_days)
        deleted = {
            "runs": await self._forget_runs(ended_before),
            "outputs": await self._forget_output(printed_before),
            "outputs_for_size": await self._keep_to(settings.output_max_bytes),
            "scripts": await self._forget_scripts(now - _ADDED),
        }
        if any(deleted.values()):
            log.info("runs.pruned", **deleted)

    async def _forget_runs(self, ended_before: datetime) -> int:
        deleted = 0
        while True:
            async with self._db.read() as session:
                over = (Run.finished_at < ended_before, BY_PEOPLE)
                query = sa.select(Run.id).where(*over).order_by(Run.finished_at)
                run_ids = list(await session.scalars(query.limit(PAGE)))
            theirs = sa.select(Task.id).where(Task.run_id.in_(run_ids))
            if run_ids:  # what would cascade goes first, so that no transaction is large
                await delete_where(self._db, TaskOutput, TaskOutput.task_id.in_(theirs))
                await delete_where(self._db, Task, Task.run_id.in_(run_ids))
                deleted += await delete_where(self._db, Run, Run.id.in_(run_ids))
            if len(run_ids) < PAGE:
                return deleted

    async def _forget_output(self, ended_before: datetime) -> int:
        deleted = 0
        while True:
            async with self._db.read() as session:
                query = sa.select(Task.id).where(_HAS_OUTPUT, Task.finished_at < ended_before)
                task_ids = list(await session.scalars(query.limit(PAGE)))
            await self._delete_output(task_ids)
            deleted += len(task_ids)
            if len(task_ids) < PAGE:
                return deleted

    async def _keep_to(self, max_bytes: int) -> int:
        """Delete the output of the tasks that ended first, until what is left fits."""
        async with self._db.read() as session:
            kept = await session.scalar(sa.select(sa.func.sum(Task.output_bytes)).where(_HAS_OUTPUT)) or 0
        deleted = 0
        while kept > max_bytes:
            async with self._db.read() as session:
                query = sa.select(Task.id, Task.output_bytes).where(_HAS_OUTPUT, Task.finished_at.is_not(None))
                oldest = (await session.execute(query.order_by(Task.finished_at, Task.id).limit(PAGE))).all()
            if not oldest:
                log.warning("output.over_its_limit", bytes=int(kept), limit=max_bytes, detail="none of it is over yet")
                break
            doomed = []
            for task_id, size in oldest:
                if kept <= max_bytes:
                    break
                doomed.append(task_id)
                kept -= size
            await self._delete_output(doomed)
            deleted += len(doomed)
        return deleted

    async def _delete_output(self, task_ids: list[str]) -> None:
        if not task_ids:
            return
        await delete_where(self._db, TaskOutput, TaskOutput.task_id.in_(task_ids))
        said = sa.update(Task).where(Task.id.in_(task_ids))
        async with self._db.write() as session:
            values = {"output_deleted_at": self._clock(), "rev": Task.rev + 1}
            await session.execute(said.values(values).execution_options(synchronize_session=False))

    async def _forget_scripts(self, added_before: datetime) -> int:
        used = sa.exists().where(Run.script_sha256 == Script.sha256)
        return await delete_where(self._db, Script, Script.created_at < added_before, ~used)
