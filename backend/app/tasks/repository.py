"""Rows of runs and tasks for whoever moves tasks along: delivery, reports, the reaper, registrations, cancellation.

Invariant: a transaction takes its locks in this order: devices, runs, tasks; of each kind by id. So two servers on one
PostgreSQL never wait for each other in a circle. The runs come before their tasks because whoever changes a task
changes its run's ``rev`` as well (``settling.py``).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.devices.models import Device
from app.tasks.models import Run, Task
from deployx_protocol.states import DeviceStatus, Trust
from deployx_protocol.tasks import FINAL, IN_FLIGHT, TaskState

CHUNK = 500
Item = TypeVar("Item")
Locked = TypeVar("Locked", Run, Task)


def _states(states: Iterable[TaskState]) -> list[sa.ColumnElement[str]]:
    # Literals, not parameters: a partial index is only used by a query that names its condition.
    return [sa.literal_column(f"'{state.value}'") for state in TaskState if state in states]


UNFINISHED: sa.ColumnElement[bool] = Task.state.in_(_states(frozenset(TaskState) - FINAL))
"""Neither final nor forgotten: what the partial indexes of ``tasks`` hold."""
QUEUED: sa.ColumnElement[bool] = sa.and_(UNFINISHED, Task.state == sa.literal_column("'queued'"))
FLYING: sa.ColumnElement[bool] = sa.and_(UNFINISHED, Task.state.in_(_states(IN_FLIGHT)))

_UNHEARD = sa.and_(UNFINISHED, Task.state == sa.literal_column("'sent'"), Task.cancel_requested_at.is_(None))


def _device_is(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    device = sa.select(Device.id).where(Device.id == Task.device_id, Device.status == DeviceStatus.ONLINE, *conditions)
    return device.correlate(Task).exists()  # not the devices that a query may have joined


PLACED: sa.ColumnElement[bool] = sa.and_(
    FLYING,
    sa.or_(Task.state != sa.literal_column("'sent'"), _device_is(Device.session_epoch == Task.sent_epoch)),
)
"""Takes one of the places of a run with ``max_parallel``: the device has said that it has it, or is there and was sent
it in this very session. A device that went without a word gives its place up, and asks for one when it is back."""
UNPLACED: sa.ColumnElement[bool] = sa.and_(_UNHEARD, _device_is(Device.session_epoch != Task.sent_epoch))
"""Sent in an earlier session of a device that is back: to be sent again, as soon as its run has a place."""
WAITING: sa.ColumnElement[bool] = sa.or_(QUEUED, UNPLACED)
"""To be sent to its device."""


def chunks(items: Collection[Item]) -> Iterator[list[Item]]:
    """``items`` in pieces that fit a statement."""
    listed = list(items)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))


async def lock_sessions(session: AsyncSession, node_id: str, epochs: Mapping[int, int]) -> dict[int, str]:
    """Device id → agent id of those of ``epochs`` (device id → session epoch) whose row says that this session is the
    one, here and now, and that the device may be given work. They cannot register elsewhere until the commit."""
    found: dict[int, str] = {}
    for ids in chunks(sorted(epochs)):
        query = sa.select(Device.id, Device.agent_id, Device.session_epoch).where(
            Device.id.in_(ids),
            Device.status == DeviceStatus.ONLINE,
            Device.trust == Trust.TRUSTED,
            Device.node_id == node_id,
        )
        rows = await session.execute(query.order_by(Device.id).with_for_update(key_share=True))
        found |= {row.id: row.agent_id for row in rows if row.session_epoch == epochs[row.id]}
    return found


async def lock_runs(session: AsyncSession, run_ids: Collection[str]) -> dict[str, Run]:
    """The runs with these ids, detached."""
    return await _lock(session, Run, run_ids)


async def lock_tasks(
    session: AsyncSession, task_ids: Collection[str], *conditions: sa.ColumnElement[bool]
) -> dict[str, Task]:
    """The tasks with these ids that still meet ``conditions`` once they are locked, detached: see ``save_tasks``."""
    return await _lock(session, Task, task_ids, *conditions)


async def lock_with_runs(
    session: AsyncSession, task_ids: Collection[str], *conditions: sa.ColumnElement[bool]
) -> tuple[dict[str, Task], dict[str, Run]]:
    """The tasks with these ids that meet ``conditions``, and the runs of all of them, locked in order."""
    runs_of: set[str] = set()
    for ids in chunks(set(task_ids)):
        runs_of.update(await session.scalars(sa.select(Task.run_id).where(Task.id.in_(ids)).distinct()))
    runs = await lock_runs(session, runs_of)
    return await lock_tasks(session, task_ids, *conditions), runs


async def _lock(
    session: AsyncSession, model: type[Locked], wanted: Collection[str], *conditions: sa.ColumnElement[bool]
) -> dict[str, Locked]:
    found: dict[str, Locked] = {}
    for ids in chunks(sorted(set(wanted))):
        query = sa.select(model).where(model.id.in_(ids), *conditions).order_by(model.id)
        found |= {row.id: row for row in await session.scalars(query.with_for_update(key_share=True))}
    for row in found.values():
        session.expunge(row)
    return found


async def with_unfinished(session: AsyncSession, device_ids: Collection[int]) -> set[int]:
    """Which of these devices have a task that is not over."""
    found: set[int] = set()
    for ids in chunks(device_ids):
        unfinished = sa.exists().where(Task.device_id == Device.id, UNFINISHED)
        found.update(await session.scalars(sa.select(Device.id).where(Device.id.in_(ids), unfinished)))
    return found


async def waiting_here(session: AsyncSession, node_id: str) -> set[int]:
    """The trusted devices that are connected to this node and have tasks to be sent."""
    earlier = sa.and_(_UNHEARD, Task.sent_epoch != Device.session_epoch)
    waiting = sa.exists().where(Task.device_id == Device.id, sa.or_(QUEUED, earlier))
    query = sa.select(Device.id).where(
        Device.node_id == node_id, Device.status == DeviceStatus.ONLINE, Device.trust == Trust.TRUSTED, waiting
    )
    return set(await session.scalars(query))


async def count_flying(session: AsyncSession, device_ids: Collection[int]) -> dict[int, int]:
    """Device id → how many of its tasks are in flight."""
    return await _count(session, Task.device_id, device_ids, FLYING)


async def count_places(session: AsyncSession, run_ids: Collection[str]) -> dict[str, int]:
    """Run id → how many of its places are taken (``PLACED``)."""
    return await _count(session, Task.run_id, run_ids, PLACED)


async def _count(
    session: AsyncSession, column: Any, ids: Collection[Any], condition: sa.ColumnElement[bool]
) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for piece in chunks(ids):
        query = sa.select(column, sa.func.count()).where(column.in_(piece), condition).group_by(column)
        found |= {row[0]: row[1] for row in await session.execute(query)}
    return found


_MOVABLE = (
    *(
        "state",
        "code",
        "message",
        "exit_code",
        "signal",
        "duration_s",
        "digest",
        "sent_at",
        "sent_epoch",
        "accepted_at",
    ),
    *("started_at", "finished_at", "deadline_at", "cancel_requested_at"),
    *("output_bytes", "output_lost_bytes", "output_next_seq", "output_chunks"),
)
_TASKS = Task.__table__
_SAVE = (
    sa.update(Task)
    .where(_TASKS.c.id == sa.bindparam("b_id"))
    .values({**{name: sa.bindparam(f"b_{name}", type_=_TASKS.c[name].type) for name in _MOVABLE}, "rev": Task.rev + 1})
)


async def save_tasks(session: AsyncSession, tasks: Iterable[Task]) -> None:
    """Write what was changed on detached ``tasks``, which this transaction has locked; their ``rev`` grows by one."""
    rows = [{"b_id": task.id, **{f"b_{name}": getattr(task, name) for name in _MOVABLE}} for task in tasks]
    if rows:
        await (await session.connection()).execute(_SAVE, rows)
