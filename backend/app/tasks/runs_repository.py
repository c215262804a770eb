"""Reading runs and tasks. Every query goes through whose runs may be seen.

Invariant: a user sees the runs that they started (``mine``), and what those did on devices that were theirs, or that
they still see (``told``); someone with ``Permission.DEVICES_ALL`` sees all.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app import cursors
from app.accounts.models import User
from app.accounts.permissions import Permission, granted
from app.db import among, insert_new
from app.devices.models import Device
from app.devices.scope import EVERYONE, Right, Scope
from app.devices.views import presence
from app.groups.scopes import of_user
from app.tasks import lifecycle, repository
from app.tasks.models import Run, Script, Task
from app.tasks.reasons import Circumstances, DeviceNow
from app.tasks.rows import RUNS, TASKS
from app.tasks.views import TaskRow
from deployx_protocol.tasks import FINAL, TaskState

Rows = TypeVar("Rows", bound=sa.Select[*tuple[Any, ...]])
BY_PEOPLE = Run.kind != "deployment"
"""A run that somebody asked for by itself: what belongs to a deployment is seen there."""
_GOOD = (TaskState.SUCCEEDED, TaskState.CANCELLED)
_BAD = tuple(state.value for state in TaskState if state in FINAL and state not in _GOOD)
GROUPS_MAX = 500


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What a list of runs may be narrowed to; None leaves a matter open. ``state``: active, finished or failed."""

    state: str | None = None
    search: str | None = None
    by: str | None = None
    """The e-mail address of who started it."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """What a list of tasks may be narrowed to."""

    states: Collection[TaskState] = ()
    digest: str | None = None
    search: str | None = None


def mine(scope: Scope, query: Rows) -> Rows:
    """``query``, which selects from runs, without those that ``scope`` may not see."""
    return query if scope.user_id is None else query.where(RUNS.c.user_id == scope.user_id)


def told(scope: Scope, query: Rows) -> Rows:
    """``query``, which selects from tasks, their runs and (outer) their devices, without what ``scope`` may not see.

    What somebody did on a device of their own they see for good; on one that was shared with them, while it is.
    """
    if scope.user_id is None:
        return query
    return mine(scope, query).where(sa.or_(sa.not_(Task.borrowed), scope.holds()))


# ---------------------------------------------------------------- runs


_RUN = sa.select(RUNS).where(RUNS.c.id == sa.bindparam("run_id"))
_PULSE = sa.select(RUNS.c.rev, RUNS.c.finished_at).where(RUNS.c.id == sa.bindparam("run_id"))


async def run(session: AsyncSession, scope: Scope, run_id: str) -> Run | None:
    """A run, if it exists in this scope, to be read only."""
    found = (await session.execute(mine(scope, _RUN), {"run_id": run_id})).one_or_none()
    return cast("Run | None", found)  # a row has the names of a run's columns


async def pulse(session: AsyncSession, scope: Scope, run_id: str) -> tuple[int, datetime | None] | None:
    """The ``rev`` of a run, and when it ended, if it exists in this scope."""
    found = (await session.execute(mine(scope, _PULSE), {"run_id": run_id})).one_or_none()
    return None if found is None else (found.rev, found.finished_at)


async def visible(session: AsyncSession, scope: Scope, run_id: str) -> bool:
    """Whether a run exists in this scope."""
    return await session.scalar(mine(scope, sa.select(Run.id).where(Run.id == run_id))) is not None


async def runs(session: AsyncSession, run_ids: Collection[str]) -> list[Run]:
    """The runs with these ids, whoever's they are: for the publisher, which limits by scope itself."""
    found: list[Run] = []
    for ids in repository.chunks(sorted(run_ids)):
        found += await session.scalars(sa.select(Run).where(Run.id.in_(ids), BY_PEOPLE))
    return found


async def with_number(session: AsyncSession, number: str) -> str | None:
    """The id of the run that a signature was used for."""
    return await session.scalar(sa.select(Run.id).where(Run.signed_number == number))


async def by_key(session: AsyncSession, user_id: int, key: str) -> Run | None:
    """The run that this user started under an idempotency key."""
    return await session.scalar(sa.select(Run).where(Run.user_id == user_id, Run.idempotency_key == key))


async def page(
    session: AsyncSession, scope: Scope, narrowed: RunFilter, *, limit: int, cursor: str | None
) -> tuple[list[Run], str | None]:
    """One page of runs, newest first, and the cursor of the next. Raises InvalidInput."""
    query = mine(scope, sa.select(Run)).where(BY_PEOPLE)
    if narrowed.state == "active":
        query = query.where(Run.finished_at.is_(None))
    elif narrowed.state:
        query = query.where(Run.finished_at.is_not(None))
    if narrowed.state == "failed":
        query = query.where(sa.exists().where(Task.run_id == Run.id, Task.state.in_(_BAD)))
    if narrowed.search:
        found = (_contains(Run.title, narrowed.search), _contains(Run.created_by, narrowed.search))
        query = query.where(sa.or_(*found))
    if narrowed.by:
        query = query.where(Run.created_by == narrowed.by.lower())
    if cursor:
        query = query.where(Run.id < cursors.read(cursor, "runs", (str,))[0])
    rows = list(await session.scalars(query.order_by(Run.id.desc()).limit(limit + 1)))
    return _cut(rows, limit, "runs")


_COUNTS = (
    sa.select(TASKS.c.run_id, TASKS.c.state, sa.func.count())
    .where(among(TASKS.c.run_id, "ids"))
    .group_by(TASKS.c.run_id, TASKS.c.state)
)


async def counts(session: AsyncSession, run_ids: Collection[str]) -> dict[str, dict[str, int]]:
    """Run id → task state → how many tasks are in it."""
    found: dict[str, dict[str, int]] = {run_id: {} for run_id in run_ids}
    if run_ids:
        for run_id, state, count in await session.execute(_COUNTS, {"ids": sorted(run_ids)}):
            found[run_id][state] = count
    return found


async def script(session: AsyncSession, sha256: str) -> bytes | None:
    """A script's bytes."""
    return await session.scalar(sa.select(Script.body).where(Script.sha256 == sha256))


async def keep_script(session: AsyncSession, row: Script) -> None:
    """Store a script unless it is there, and keep it there until this transaction ends."""
    insert = insert_new(session, Script)
    await session.execute(insert.values(sha256=row.sha256, body=row.body, created_at=row.created_at))
    kept = sa.select(Script.sha256).where(Script.sha256 == row.sha256).with_for_update(read=True, key_share=True)
    await session.execute(kept)


async def mark_cancelled(session: AsyncSession, run_id: str, now: datetime) -> None:
    """Someone called the whole run off."""
    at = sa.func.coalesce(Run.cancelled_at, sa.literal(now, Run.cancelled_at.type))
    values = {"cancelled_at": at, "rev": Run.rev + 1}
    await session.execute(
        sa.update(Run).where(Run.id == run_id).values(values).execution_options(synchronize_session=False)
    )


# ---------------------------------------------------------------- tasks


async def task(session: AsyncSession, scope: Scope, task_id: str) -> Task | None:
    """A task, if its run exists in this scope, and its device is seen."""
    return await session.scalar(told(scope, sa.select(Task).join(Run).outerjoin(Device)).where(Task.id == task_id))


async def unfinished(session: AsyncSession, run_id: str) -> list[str]:
    """The ids of a run's tasks that are not over."""
    return list(await session.scalars(sa.select(Task.id).where(Task.run_id == run_id, repository.UNFINISHED)))


async def unshared(session: AsyncSession, user_id: int) -> dict[str, str]:
    """Task id → run id of what this user has queued on devices of others that they may not run on any more."""
    role = await session.scalar(sa.select(User.role).where(User.id == user_id)) or ""
    if Permission.DEVICES_ALL in granted(role):
        return {}
    scope = await of_user(session, user_id)
    query = (
        sa.select(Task.id, Task.run_id)
        .join(Run)
        .join(Device)
        .where(Run.user_id == user_id, Run.finished_at.is_(None), Task.borrowed, repository.QUEUED)
    )
    return {row.id: row.run_id for row in await session.execute(query.where(sa.not_(scope.holds(Right.RUN))))}


async def unfinished_of(session: AsyncSession, device_ids: Collection[int], run_ids: Collection[str]) -> dict[str, str]:
    """Task id → run id of what is not over of these runs on these devices."""
    query = sa.select(Task.id, Task.run_id).where(
        Task.device_id.in_(device_ids), Task.run_id.in_(run_ids), repository.UNFINISHED
    )
    return {row.id: row.run_id for row in await session.execute(query)}


async def runs_since(session: AsyncSession, since: datetime) -> list[str]:
    """The runs that were not over at that moment, oldest first."""
    query = sa.select(Run.id).where(sa.or_(Run.finished_at.is_(None), Run.finished_at > since))
    return list(await session.scalars(query.order_by(Run.id)))


async def tasks_since(session: AsyncSession, run_ids: Collection[str], since: datetime) -> dict[str, str]:
    """Task id → run id of what was not over at that moment of these runs."""
    query = sa.select(Task.id, Task.run_id).where(
        Task.run_id.in_(run_ids), sa.or_(Task.finished_at.is_(None), Task.finished_at > since)
    )
    return {row.id: row.run_id for row in await session.execute(query)}


async def ended(session: AsyncSession, run_id: str, states: Collection[TaskState]) -> list[tuple[int | None, str]]:
    """(device id, device name) of a run's tasks in ``states``, in their order."""
    query = sa.select(Task.device_id, Task.device_name).where(Task.run_id == run_id, Task.state.in_(_values(states)))
    return [(device_id, name) for device_id, name in await session.execute(query.order_by(Task.id))]


async def devices_of(session: AsyncSession, run_id: str) -> set[int | None]:
    """The ids of the devices that a run reaches."""
    return set(await session.scalars(sa.select(Task.device_id).where(Task.run_id == run_id)))


async def task_rows(
    session: AsyncSession, scope: Scope, live_nodes: Collection[str], *conditions: sa.ColumnElement[bool]
) -> list[TaskRow]:
    """Tasks with what their views need, by id."""
    return await _rows(session, told(scope, _with_circumstances()).where(*conditions).order_by(Task.id), live_nodes)


async def tasks_of_run(
    session: AsyncSession,
    scope: Scope,
    run_id: str,
    narrowed: TaskFilter,
    live_nodes: Collection[str],
    *,
    limit: int,
    cursor: str | None,
) -> tuple[list[TaskRow], str | None]:
    """One page of a run's tasks, in the order of its devices' names. Whether the run may be seen was checked."""
    query = told(scope, _with_circumstances()).where(Task.run_id == run_id)
    if narrowed.states:
        query = query.where(Task.state.in_(_values(narrowed.states)))
    if narrowed.digest is not None:
        query = query.where(Task.digest == narrowed.digest)
    if narrowed.search:
        query = query.where(_contains(Task.device_name, narrowed.search))
    if cursor:
        query = query.where(Task.id > cursors.read(cursor, "tasks", (str,))[0])
    rows = await _rows(session, query.order_by(Task.id).limit(limit + 1), live_nodes)
    return _cut(rows, limit, "tasks")


async def tasks_of_device(
    session: AsyncSession,
    scope: Scope,
    device_id: int,
    live_nodes: Collection[str],
    *,
    limit: int,
    cursor: str | None,
) -> tuple[list[TaskRow], str | None]:
    """One page of a device's tasks, newest first: of one's own runs; on a device of one's own also those of others to
    whom it was not their own."""
    query = _with_circumstances().where(Task.device_id == device_id)
    if scope.user_id is not None:
        theirs = sa.and_(Task.borrowed, Device.user_id == scope.user_id)
        query = query.where(scope.holds(), sa.or_(Run.user_id == scope.user_id, theirs))
    if cursor:
        query = query.where(Task.id < cursors.read(cursor, "device tasks", (str,))[0])
    rows = await _rows(session, query.order_by(Task.id.desc()).limit(limit + 1), live_nodes)
    return _cut(rows, limit, "device tasks")


async def output_groups(session: AsyncSession, scope: Scope, run_id: str) -> tuple[list[Any], int]:
    """(digest, state, exit code, signal, count, the id of a task whose output is there, if any) of a run's tasks that
    are over, the largest groups first; and how many tasks are in groups beyond ``GROUPS_MAX``."""
    alike = (Task.digest, Task.state, Task.exit_code, Task.signal)
    count = sa.func.count().label("tasks")
    over = (Task.run_id == run_id, Task.state.in_(_values(FINAL)))
    readable = sa.func.min(sa.case((Task.output_deleted_at.is_(None), Task.id)))
    sample = sa.func.coalesce(readable, sa.func.min(Task.id)).label("sample_task_id")
    query = _seen(scope, sa.select(*alike, count, sample)).where(*over).group_by(*alike)
    rows = list(
        await session.execute(query.order_by(count.desc(), sa.literal_column("sample_task_id")).limit(GROUPS_MAX))
    )
    total = await session.scalar(_seen(scope, sa.select(sa.func.count()).select_from(Task)).where(*over)) or 0
    return rows, total - sum(row.tasks for row in rows)


async def pieces_of_run(
    session: AsyncSession, scope: Scope, run_id: str, *, after_id: str, limit: int
) -> Sequence[Task]:
    """The next tasks of a run by id."""
    query = _seen(scope, sa.select(Task)).where(Task.run_id == run_id, Task.id > after_id)
    return (await session.scalars(query.order_by(Task.id).limit(limit))).all()


def _seen(scope: Scope, query: Rows) -> Rows:
    """``query``, which selects from tasks alone, without what ``scope`` may not see."""
    return query if scope == EVERYONE else told(scope, query.join(Run).outerjoin(Device))


def _with_circumstances() -> sa.Select[*tuple[Any, ...]]:
    older = aliased(Task)
    behind = (
        sa.select(sa.func.count())
        .where(older.device_id == Task.device_id, older.id < Task.id, older.state == sa.literal_column("'queued'"))
        .scalar_subquery()
    )
    return (
        sa.select(
            Task,
            Run.title,
            Run.created_by,
            Run.user_id,
            Run.expires_at,
            Run.release_sha256,
            Run.timeout_s,
            Run.max_parallel,
            Device.status,
            Device.node_id,
            Device.status_since,
            Device.trust,
            Device.session_epoch,
            sa.case((Task.state == TaskState.QUEUED, behind), else_=0).label("behind"),
        )
        .join(Run, Task.run_id == Run.id)
        .join(Device, Task.device_id == Device.id, isouter=True)
    )


async def _rows(
    session: AsyncSession, query: sa.Select[*tuple[Any, ...]], live_nodes: Collection[str]
) -> list[TaskRow]:
    found = list(await session.execute(query))
    unsure = (TaskState.QUEUED, TaskState.SENT)
    limited = {row.Task.run_id for row in found if row.max_parallel is not None and row.Task.state in unsure}
    taken = await repository.count_places(session, limited)
    return list(_task_rows(found, taken, live_nodes))


def _task_rows(found: Sequence[Any], taken: dict[str, int], live_nodes: Collection[str]) -> Iterator[TaskRow]:
    for row in found:
        device = None
        if row.status is not None:
            device = DeviceNow(presence(row.status, row.node_id, live_nodes), row.status_since, row.trust)
        until = row.expires_at
        if row.release_sha256 is not None:
            until = min(until, row.Task.created_at + lifecycle.START_WITHIN)
        circumstances = Circumstances(
            expires_at=until,
            timeout_s=row.timeout_s,
            max_parallel=row.max_parallel,
            device=device,
            behind=row.behind,
            in_flight=taken.get(row.Task.run_id, 0),
            this_session=row.Task.sent_epoch == row.session_epoch,
        )
        yield TaskRow(row.Task, circumstances, row.title, row.created_by, row.user_id)


Item = TypeVar("Item", Run, TaskRow)


def _cut(rows: list[Item], limit: int, made_for: str) -> tuple[list[Item], str | None]:
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], cursors.write(made_for, (last.id if isinstance(last, Run) else last.task.id,))


def _values(states: Collection[TaskState]) -> list[str]:
    return [state.value for state in states]


def _contains(column: Any, text: str) -> sa.ColumnElement[bool]:
    return sa.func.lower(column).contains(text.lower(), autoescape=True)
