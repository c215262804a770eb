"""What is forgotten about deployments: those that have been over for longer than the setting says, with their runs."""

from datetime import timedelta

import sqlalchemy as sa
import structlog

from app.clock import Clock, utcnow
from app.db import Database
from app.deployments.models import Deployment, DeploymentDecision, DeploymentTarget
from app.pruning import delete_where
from app.settings import Settings
from app.tasks.models import Run, Task, TaskOutput, TaskRelease

log = structlog.get_logger()

PAGE = 20


class DeploymentRetention:
    """Keeps the tables of deployments within what ``settings`` allow."""

    def __init__(self, db: Database, settings: Settings, clock: Clock = utcnow) -> None:
        self._db = db
        self._settings = settings
        self._clock = clock

    async def prune(self) -> None:
        """Delete what is too old. Raises Unavailable; what was deleted until then stays deleted."""
        before = self._clock() - timedelta(days=self._settings.deployment_retention_days)
        query = (
            sa.select(Deployment.id, Deployment.install_run_id, Deployment.revert_run_id)
            .where(Deployment.finished_at < before)
            .order_by(Deployment.finished_at)
        )
        deleted = 0
        while True:
            async with self._db.read() as session:
                rows = list(await session.execute(query.limit(PAGE)))
            for row in rows:  # what would cascade goes first, so that no transaction is large
                await self._forget(row.id, [id for id in (row.install_run_id, row.revert_run_id) if id])
            deleted += len(rows)
            if len(rows) < PAGE:
                break
        if deleted:
            log.info("deployments.pruned", deployments=deleted)

    async def _forget(self, deployment_id: str, run_ids: list[str]) -> None:
        theirs = sa.select(Task.id).where(Task.run_id.in_(run_ids))
        if run_ids:
            await delete_where(self._db, TaskOutput, TaskOutput.task_id.in_(theirs))
            await delete_where(self._db, TaskRelease, TaskRelease.task_id.in_(theirs))
            await delete_where(self._db, Task, Task.run_id.in_(run_ids))
        await delete_where(self._db, DeploymentTarget, DeploymentTarget.deployment_id == deployment_id)
        await delete_where(self._db, DeploymentDecision, DeploymentDecision.deployment_id == deployment_id)
        await delete_where(self._db, Deployment, Deployment.id == deployment_id)
        if run_ids:
            await delete_where(self._db, Run, Run.id.in_(run_ids))
