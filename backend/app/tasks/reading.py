"""Runs and tasks as a principal, or the publisher, reads them."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from app.accounts.principal import Principal
from app.db import Database
from app.devices.scope import Scope
from app.devices.service import DeviceService
from app.errors import NotFound
from app.groups.scopes import of_user, scope_of
from app.tasks import runs_repository as repository
from app.tasks.models import Run, Task
from app.tasks.repository import chunks
from app.tasks.runs_repository import RunFilter, TaskFilter
from app.tasks.schemas import OutputGroup, OutputGroupList
from app.tasks.views import TaskRow, request_of, run_view, task_view
from deployx_protocol.task_messages import RunView, TaskView
from deployx_protocol.tasks import TaskState


class WorkReader:
    """Everything raises NotFound for what is not the principal's to see."""

    def __init__(self, db: Database, devices: DeviceService, live_nodes: Callable[[], Collection[str]]) -> None:
        self._db = db
        self._devices = devices
        self._live_nodes = live_nodes

    async def runs(
        self, principal: Principal, narrowed: RunFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[RunView], str | None]:
        """One page of runs, newest first. Raises InvalidInput for a bad cursor."""
        async with self._db.read(at_one_moment=True) as session:
            scope = await scope_of(session, principal)
            rows, following = await repository.page(session, scope, narrowed, limit=limit, cursor=cursor)
            counts = await repository.counts(session, [run.id for run in rows])
        return [run_view(run, counts[run.id]) for run in rows], following

    async def run(self, principal: Principal, run_id: str) -> RunView:
        """One run."""
        async with self._db.read(at_one_moment=True) as session:
            run = _run(await repository.run(session, await scope_of(session, principal), run_id))
            return run_view(run, (await repository.counts(session, [run_id]))[run_id])

    async def pulse(self, principal: Principal, run_id: str) -> tuple[int, bool]:
        """The ``rev`` of a run, and whether it is over."""
        async with self._db.read() as session:
            found = await repository.pulse(session, await scope_of(session, principal), run_id)
        if found is None:
            raise NotFound("There is no such run.")
        return found[0], found[1] is not None

    async def detail(self, principal: Principal, run_id: str) -> tuple[RunView, dict[str, Any]]:
        """One run, and what it was asked to do."""
        async with self._db.read(at_one_moment=True) as session:
            run = _run(await repository.run(session, await scope_of(session, principal), run_id))
            script = await repository.script(session, run.script_sha256) if run.script_sha256 else None
            counts = await repository.counts(session, [run_id])
        return run_view(run, counts[run_id]), request_of(run, script)

    async def tasks(
        self, principal: Principal, run_id: str, narrowed: TaskFilter, *, limit: int, cursor: str | None
    ) -> tuple[list[TaskView], str | None]:
        """One page of a run's tasks, in the order of their devices' names when it was started."""
        async with self._db.read() as session:
            scope = await scope_of(session, principal)
            _run(await repository.run(session, scope, run_id))
            rows, following = await repository.tasks_of_run(
                session, scope, run_id, narrowed, self._live_nodes(), limit=limit, cursor=cursor
            )
        return [task_view(row) for row in rows], following

    async def task(self, principal: Principal, task_id: str) -> TaskView:
        """One task."""
        async with self._db.read() as session:
            scope = await scope_of(session, principal)
            rows = await repository.task_rows(session, scope, self._live_nodes(), Task.id == task_id)
        if not rows:
            raise NotFound("There is no such task.")
        return task_view(rows[0])

    async def device_tasks(
        self, principal: Principal, device_id: int, *, limit: int, cursor: str | None
    ) -> tuple[list[TaskRow], str | None]:
        """One page of a device's tasks, newest first: of the principal's runs; on a device of theirs, of everyone's."""
        await self._devices.get(principal, device_id)
        async with self._db.read() as session:
            scope = await scope_of(session, principal)
            return await repository.tasks_of_device(
                session, scope, device_id, self._live_nodes(), limit=limit, cursor=cursor
            )

    async def output_groups(self, principal: Principal, run_id: str) -> OutputGroupList:
        """Which tasks of a run ended alike and printed the same."""
        async with self._db.read() as session:
            scope = await scope_of(session, principal)
            _run(await repository.run(session, scope, run_id))
            rows, more = await repository.output_groups(session, scope, run_id)
        return OutputGroupList(items=[_group(*row) for row in rows], more=more)

    # ------------------------------------------------------------ for the publisher and the dashboards' gateway

    async def may_see(self, scope: Scope, run_id: str) -> bool:
        """Whether there is such a run in ``scope``."""
        async with self._db.read() as session:
            return await repository.visible(session, scope, run_id)

    async def by_ids(self, run_ids: Collection[str]) -> list[RunView]:
        """Runs whoever's they are: for the publisher, which limits by scope itself."""
        async with self._db.read(at_one_moment=True) as session:
            rows = await repository.runs(session, run_ids)
            counts = await repository.counts(session, [run.id for run in rows])
        return [run_view(run, counts[run.id]) for run in rows]

    async def tasks_by_ids(self, task_ids: Collection[str], user_id: int | None) -> dict[str, list[TaskView]]:
        """Tasks by their run, as far as this user (None: anyone) sees them."""
        found: dict[str, list[TaskView]] = {}
        async with self._db.read() as session:
            scope = await of_user(session, user_id)
            for ids in chunks(sorted(task_ids)):
                for row in await repository.task_rows(session, scope, self._live_nodes(), Task.id.in_(ids)):
                    found.setdefault(row.task.run_id, []).append(task_view(row))
        return found

    async def unfinished_of(self, device_ids: Collection[int], run_ids: Collection[str]) -> dict[str, str]:
        """Task id → run id of the tasks of these runs that wait for, or are on, these devices."""
        async with self._db.read() as session:
            return await repository.unfinished_of(session, device_ids, run_ids)

    async def runs_since(self, since: datetime) -> list[str]:
        """The runs that were not over then: whatever has changed since is among them."""
        async with self._db.read() as session:
            return await repository.runs_since(session, since)

    async def tasks_since(self, run_ids: Collection[str], since: datetime) -> dict[str, str]:
        """Task id → run id of the tasks of these runs that were not over then."""
        if not run_ids:
            return {}
        async with self._db.read() as session:
            return await repository.tasks_since(session, run_ids, since)


def _run(found: Run | None) -> Run:
    if found is None:
        raise NotFound("There is no such run.")
    return found


def _group(
    digest: str, state: str, exit_code: int | None, signal: int | None, count: int, sample_task_id: str
) -> OutputGroup:
    return OutputGroup(
        digest=digest,
        state=TaskState(state),
        exit_code=exit_code,
        signal=signal,
        count=count,
        sample_task_id=sample_task_id,
    )
