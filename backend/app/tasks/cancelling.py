"""Calling tasks off: what waits on the server ends at once, what a device has is ended by the device, which says so."""

from collections import Counter
from collections.abc import Collection, Mapping

import structlog

from app.accounts.principal import Principal
from app.audit.actions import SERVER, Action
from app.clock import Clock, utcnow
from app.errors import IllegalTransition, NotFound
from app.groups.scopes import scope_of
from app.hints import HintKind
from app.tasks import lifecycle, repository, runs_repository, settling
from app.tasks.models import Run
from app.tasks.rows import LockedTask
from app.uow import Unit, UnitOfWork
from deployx_protocol.tasks import FINAL, TaskCode, TaskEvent, TaskState

log = structlog.get_logger()


class Cancelling:
    """Cancels within what a principal may see. A second request changes nothing."""

    def __init__(self, uow: UnitOfWork, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._clock = clock

    async def cancel_run(self, principal: Principal, run_id: str) -> None:
        """Call off every task of a run that is not over. Raises NotFound, IllegalTransition when the run is over."""
        async with self._uow.begin() as unit:
            if not await runs_repository.visible(unit.session, await scope_of(unit.session, principal), run_id):
                raise NotFound("There is no such run.")
            runs = await repository.lock_runs(unit.session, [run_id])
            run = runs.get(run_id)
            if run is None:
                raise NotFound("There is no such run.")
            if run.release is not None:
                raise IllegalTransition("This run belongs to a deployment: pause or abort that.")
            if run.finished_at is not None:
                raise IllegalTransition("This run is over; there is nothing to cancel.")
            await runs_repository.mark_cancelled(unit.session, run_id, self._clock())
            await self._cancel(unit, await runs_repository.unfinished(unit.session, run_id), runs)
            unit.record(principal.actor, Action.RUN_CANCELLED, run_id, run.title)
            unit.hint(HintKind.RUN, run_id=run_id)
        log.info("run.cancelled", run_id=run_id, user_id=principal.user_id)

    async def cancel_task(self, principal: Principal, task_id: str) -> None:
        """Call one task off. Raises NotFound, IllegalTransition when it is over."""
        async with self._uow.begin() as unit:
            task = await runs_repository.task(unit.session, await scope_of(unit.session, principal), task_id)
            if task is None:
                raise NotFound("There is no such task.")
            if task.state in FINAL:
                raise IllegalTransition(f"This task is {task.state.replace('_', ' ')}; there is nothing to cancel.")
            unit.session.expunge(task)  # it is read again once it is locked
            runs = await repository.lock_runs(unit.session, [task.run_id])
            await self._cancel(unit, [task_id], runs)
            unit.record(principal.actor, Action.TASK_CANCELLED, task_id, task.device_name, run_id=task.run_id)
        log.info("task.cancelled", task_id=task_id, user_id=principal.user_id)

    async def withdraw(self, user_id: int) -> None:
        """Call off what this user has waiting on devices of others that they may not run on any more."""
        async with self._uow.begin() as unit:
            waiting = await runs_repository.unshared(unit.session, user_id)
            if waiting:
                runs = await repository.lock_runs(unit.session, sorted(set(waiting.values())))
                await self._cancel(unit, sorted(waiting), runs)
                for run_id, tasks in sorted(Counter(waiting.values()).items()):
                    unit.record(SERVER, Action.RUN_WITHDRAWN, run_id, runs[run_id].title, tasks=tasks)
        if waiting:
            log.info("run.withdrawn", tasks=len(waiting), user_id=user_id)

    async def _cancel(self, unit: Unit, task_ids: Collection[str], runs: Mapping[str, Run]) -> None:
        now = self._clock()
        ended: list[LockedTask] = []
        asked: list[LockedTask] = []
        for task in (await repository.lock_tasks(unit.session, task_ids, repository.IF_UNFINISHED)).values():
            if task.state == TaskState.QUEUED:
                lifecycle.end(task, TaskEvent.CANCEL, now)
                ended.append(task)
            elif task.cancel_requested_at is None or task.code == TaskCode.WITHDRAWN:
                task.cancel_requested_at, task.code = now, TaskCode.NONE
                asked.append(task)
        await repository.save_tasks(unit.session, [*ended, *asked])
        if ended:
            await settling.settle(unit, ended, runs, now)
        settling.hint_tasks(unit, asked)
        for device_id in sorted({task.device_id for task in asked if task.device_id}):
            unit.hint(HintKind.TASKS_CANCELLED, device_id)
