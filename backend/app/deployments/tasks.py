"""The tasks of a deployment: one for each target that is started, in a run of the deployment's own.

Invariant: targets, their tasks and the run are written in the transaction that decided to start them; what was read of
a target before is what it still is, because its deployment's row is locked.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from app.db import among
from app.deployments import repository
from app.deployments.models import Deployment
from app.deployments.planner import Start
from app.hints import HintKind
from app.ids import new_id, new_ids
from app.tasks import lifecycle, settling
from app.tasks import repository as task_rows
from app.tasks.lifecycle import START_WITHIN
from app.tasks.models import Run, Task, TaskRelease
from app.tasks.new_tasks import NewTask, insert_tasks
from app.tasks.rows import RUNS
from app.uow import Unit
from deployx_protocol.deployments import TargetState
from deployx_protocol.dsse import Signature
from deployx_protocol.releases import Action
from deployx_protocol.task_messages import ReleaseOrder
from deployx_protocol.tasks import FINAL

KIND = "deployment"
_FOR_EVER = timedelta(days=3_650)
_T = repository.TARGETS.c
_STARTING = sa.select(_T.id, _T.device_id, _T.device_name, _T.borrowed, _T.attempts, _T.started_at).where(
    among(_T.id, "ids")
)
_MORE = (
    sa.update(RUNS)
    .where(RUNS.c.id == sa.bindparam("b_id"))
    .values(total=RUNS.c.total + sa.bindparam("b_count"), finished_at=sa.null(), rev=RUNS.c.rev + 1)
)


async def start(unit: Unit, deployment: Deployment, step: Start, quota_bytes: int, now: datetime) -> None:
    """Give the targets of ``step`` their tasks."""
    session = unit.session
    rows = list(await session.execute(_STARTING.order_by(_T.position), {"ids": list(step.targets)}))
    run_id = await _run(unit, deployment, step.action, quota_bytes, now)
    made = [*zip(rows, new_ids(len(rows)), strict=True)]
    tasks = [NewTask(task_id, row.device_id, row.device_name, row.borrowed) for row, task_id in made]
    await insert_tasks(session, run_id, tasks, now, now + START_WITHIN)
    connection = await session.connection()
    await connection.execute(
        sa.insert(TaskRelease), [{"task_id": task_id, "phase": "", "outcome": ""} for _, task_id in made]
    )
    await connection.execute(_MORE, {"b_id": run_id, "b_count": len(made)})
    await repository.start(session, [_started(row, task_id, step.action, now) for row, task_id in made])
    unit.hint(HintKind.RUN, run_id=run_id)
    for row, _ in made:
        unit.hint(HintKind.TASKS_WAITING, row.device_id)


async def withdraw(unit: Unit, deployment: Deployment, now: datetime) -> None:
    """What has not started is not to be started any more: its targets wait again, once a device that was sent its task
    says that it has not begun."""
    run_ids = [id for id in (deployment.install_run_id, deployment.revert_run_id) if id]
    unfinished = sa.select(Task.id).where(Task.run_id.in_(run_ids), task_rows.UNFINISHED)
    task_ids = list(await unit.session.scalars(unfinished)) if run_ids else []
    if not task_ids:
        return
    runs = await task_rows.lock_runs(unit.session, run_ids)
    locked = (await task_rows.lock_tasks(unit.session, task_ids, task_rows.IF_UNFINISHED)).values()
    withdrawn = [task for task in locked if lifecycle.withdraw(task, now)]
    await task_rows.save_tasks(unit.session, withdrawn)
    ended = [task for task in withdrawn if task.state in FINAL]
    asked = [task for task in withdrawn if task.state not in FINAL]
    await settling.settle(unit, ended, runs, now)
    settling.hint_tasks(unit, asked)
    for device_id in sorted({task.device_id for task in asked if task.device_id}):
        unit.hint(HintKind.TASKS_CANCELLED, device_id)


def _started(row: Any, task_id: str, action: Action, now: datetime) -> dict[str, Any]:
    state = TargetState.ROLLING_BACK if action is Action.REVERT else TargetState.DOWNLOADING
    return {
        "b_id": row.id,
        "b_state": state.value,
        "b_action": action.value,
        "b_task_id": task_id,
        "b_attempts": row.attempts + 1,
        "b_started_at": row.started_at or now,
        "b_updated_at": now,
    }


async def _run(unit: Unit, deployment: Deployment, action: Action, quota_bytes: int, now: datetime) -> str:
    """The id of the run for ``action``, made with its first task."""
    column = "revert_run_id" if action is Action.REVERT else "install_run_id"
    known: str | None = getattr(deployment, column)
    if known is not None:
        return known
    signatures = [Signature(sig=one["sig"], keyid=one["keyid"]) for one in deployment.signatures]
    order = ReleaseOrder(
        action=action, sha256=deployment.release_sha256, size=deployment.release_size, signatures=signatures
    )
    verb = "Roll back" if action is Action.REVERT else "Install"
    run = Run(
        id=new_id(),
        user_id=deployment.user_id,
        created_by=deployment.created_by,
        kind=KIND,
        title=f"{verb} {deployment.release_name} {deployment.release_version}",
        release=msgspec.to_builtins(order),
        release_sha256=deployment.release_sha256,
        timeout_s=deployment.release_timeout_s,
        output_quota_bytes=quota_bytes,
        request_sha256="",
        created_at=now,
        expires_at=now + _FOR_EVER,
        total=0,
        rev=1,
    )
    unit.session.add(run)
    await unit.session.flush()
    setattr(deployment, column, run.id)
    return run.id
