"""Rows of runs and tasks for whoever moves tasks along: delivery, reports, the reaper, registrations, cancellation.

Invariant: a transaction takes its locks in this order: devices, runs, tasks; of each kind by id. So two servers on one
PostgreSQL never wait for each other in a circle. The runs come before their tasks because whoever changes a task
changes its run's ``rev`` as well (``settling.py``).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.db import UpdateOfRows, among
from app.devices.models import Device
from app.tasks import lifecycle, rows
from app.tasks.models import Run
from app.tasks.rows import RUNS, TASKS, LockedTask
from deployx_protocol.states import DeviceStatus, Trust
from deployx_protocol.tasks import FINAL, IN_FLIGHT, TaskState

CHUNK = 500
Item = TypeVar("Item")
_DEVICES, _RUNS, _TASKS = Device.__table__.c, RUNS.c, TASKS.c


def _states(states: Iterable[TaskState]) -> list[sa.ColumnElement[str]]:
    # Literals, not parameters: a partial index is only used by a query that names its condition.
    return [sa.literal_column(f"'{state.value}'") for state in TaskState if state in states]


def _flying(tasks: Any) -> sa.ColumnElement[bool]:
    unfinished = tasks.state.in_(_states(frozenset(TaskState) - FINAL))
    return sa.and_(unfinished, tasks.state.in_(_states(IN_FLIGHT)))


UNFINISHED: sa.ColumnElement[bool] = _TASKS.state.in_(_states(frozenset(TaskState) - FINAL))
"""Neither final nor forgotten: what the partial indexes of ``tasks`` hold."""
QUEUED: sa.ColumnElement[bool] = sa.and_(UNFINISHED, _TASKS.state == sa.literal_column("'queued'"))
FLYING: sa.ColumnElement[bool] = _flying(_TASKS)

_UNHEARD = sa.and_(UNFINISHED, _TASKS.state == sa.literal_column("'sent'"), _TASKS.cancel_requested_at.is_(None))


def _device_is(*conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    device = sa.select(_DEVICES.id).where(
        _DEVICES.id == _TASKS.device_id, _DEVICES.status == DeviceStatus.ONLINE, *conditions
    )
    return device.correlate(TASKS).exists()  # not the devices that a query may have joined


PLACED: sa.ColumnElement[bool] = sa.and_(
    FLYING,
    sa.or_(_TASKS.state != sa.literal_column("'sent'"), _device_is(_DEVICES.session_epoch == _TASKS.sent_epoch)),
)
"""Takes one of the places of a run with ``max_parallel``: the device has said that it has it, or is there and was sent
it in this very session. A device that went without a word gives its place up, and asks for one when it is back."""
UNPLACED: sa.ColumnElement[bool] = sa.and_(_UNHEARD, _device_is(_DEVICES.session_epoch != _TASKS.sent_epoch))
"""Sent in an earlier session of a device that is back: to be sent again, as soon as its run has a place."""
WAITING: sa.ColumnElement[bool] = sa.or_(QUEUED, UNPLACED)
"""To be sent to its device."""


def chunks(items: Collection[Item]) -> Iterator[list[Item]]:
    """``items`` in pieces that fit a statement."""
    listed = list(items)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))


# ---------------------------------------------------------------- devices

_SESSIONS = (
    sa.select(_DEVICES.id, _DEVICES.agent_id, _DEVICES.session_epoch)
    .where(
        among(_DEVICES.id, "ids"),
        _DEVICES.status == DeviceStatus.ONLINE,
        _DEVICES.trust == Trust.TRUSTED,
        # not by the index on nodes: PostgreSQL prefers it while it has no statistics, and one may have 10,000 devices
        sa.func.coalesce(_DEVICES.node_id, "") == sa.bindparam("node_id"),
    )
    .order_by(_DEVICES.id)
    .with_for_update(key_share=True)
)
_BUSY = sa.select(_DEVICES.id).where(
    among(_DEVICES.id, "ids"), sa.exists().where(_TASKS.device_id == _DEVICES.id, UNFINISHED)
)


async def lock_sessions(session: AsyncSession, node_id: str, epochs: Mapping[int, int]) -> dict[int, str]:
    """Device id → agent id of those of ``epochs`` (device id → session epoch) whose row says that this session is the
    one, here and now, and that the device may be given work. They cannot register elsewhere until the commit."""
    found = await session.execute(_SESSIONS, {"ids": sorted(epochs), "node_id": node_id})
    return {device_id: agent_id for device_id, agent_id, epoch in found if epoch == epochs[device_id]}


async def with_unfinished(session: AsyncSession, device_ids: Collection[int]) -> set[int]:
    """Which of these devices have a task that is not over."""
    return set(await session.scalars(_BUSY, {"ids": sorted(device_ids)})) if device_ids else set()


async def waiting_here(session: AsyncSession, node_id: str) -> set[int]:
    """The trusted devices that are connected to this node and have tasks to be sent."""
    earlier = sa.and_(_UNHEARD, _TASKS.sent_epoch != _DEVICES.session_epoch)
    waiting = sa.exists().where(_TASKS.device_id == _DEVICES.id, sa.or_(QUEUED, earlier))
    query = sa.select(_DEVICES.id).where(
        _DEVICES.node_id == node_id, _DEVICES.status == DeviceStatus.ONLINE, _DEVICES.trust == Trust.TRUSTED, waiting
    )
    return set(await session.scalars(query))


# ---------------------------------------------------------------- runs and tasks, locked


Locking = sa.Select[*tuple[Any, ...]]


def locking(*conditions: sa.ColumnElement[bool]) -> Locking:
    """A query for ``lock_tasks``: only tasks that still meet ``conditions`` once they are locked."""
    query: Locking = sa.select(*rows.COLUMNS).where(among(_TASKS.id, "ids"), *conditions)
    return query.order_by(_TASKS.id).with_for_update(key_share=True)


ANY = locking()
IF_FLYING = locking(FLYING)
IF_UNFINISHED = locking(UNFINISHED)
_LOCK_WAITING = (
    sa.select(_TASKS.id).where(among(_TASKS.id, "ids"), WAITING).order_by(_TASKS.id).with_for_update(key_share=True)
)
_ITS_SESSION = sa.select(_DEVICES.session_epoch).where(_DEVICES.id == _TASKS.device_id).scalar_subquery()
_SEND_AGAIN = (
    sa.update(TASKS)
    .where(among(_TASKS.id, "ids"))
    .values(sent_epoch=_ITS_SESSION, rev=_TASKS.rev + sa.literal_column("1"))
)
_SEND = _SEND_AGAIN.values(
    state=lifecycle.SENT.value,
    sent_at=sa.bindparam("now", type_=_TASKS.sent_at.type),
    deadline_at=sa.bindparam("deadline_at", type_=_TASKS.deadline_at.type),
)
_LOCKED_RUNS = sa.select(RUNS).order_by(_RUNS.id).with_for_update(key_share=True)
_LOCK_RUNS = _LOCKED_RUNS.where(among(_RUNS.id, "ids"))
_LOCK_RUNS_OF = _LOCKED_RUNS.where(_RUNS.id.in_(sa.select(_TASKS.run_id).where(among(_TASKS.id, "ids"))))


async def lock_runs(session: AsyncSession, run_ids: Collection[str]) -> dict[str, Run]:
    """The runs with these ids, to be read only."""
    return await _runs(session, _LOCK_RUNS, run_ids)


async def lock_tasks(session: AsyncSession, task_ids: Collection[str], query: Locking = ANY) -> dict[str, LockedTask]:
    """The tasks with these ids that ``query`` gives (``locking``), by id: see ``save_tasks``."""
    if not task_ids:
        return {}
    found = await session.execute(query, {"ids": sorted(set(task_ids))})
    return {row[0]: LockedTask(*row) for row in found}


async def lock_waiting(session: AsyncSession, task_ids: Collection[str]) -> set[str]:
    """Which of these tasks, that waited to be sent when this transaction looked, still do, locked. On SQLite nobody
    else has written since."""
    if not task_ids or session.get_bind().dialect.name == "sqlite":
        return set(task_ids)
    return set(await session.scalars(_LOCK_WAITING, {"ids": sorted(task_ids)}))


async def send_tasks(session: AsyncSession, task_ids: Collection[str], deadline_at: datetime, now: datetime) -> None:
    """These tasks, locked and queued, are claimed for the sessions that their devices have, locked as well."""
    await session.execute(_SEND, {"ids": sorted(task_ids), "now": now, "deadline_at": deadline_at})


async def send_tasks_again(session: AsyncSession, task_ids: Collection[str]) -> None:
    """These tasks, locked and sent to an earlier session, are claimed anew; their state stays."""
    if task_ids:
        await session.execute(_SEND_AGAIN, {"ids": sorted(task_ids)})


async def lock_with_runs(
    session: AsyncSession, task_ids: Collection[str], query: Locking = ANY
) -> tuple[dict[str, LockedTask], dict[str, Run]]:
    """The tasks with these ids that ``query`` gives, and the runs of all of them, locked in order."""
    runs = await _runs(session, _LOCK_RUNS_OF, task_ids)
    return await lock_tasks(session, task_ids, query), runs


async def _runs(session: AsyncSession, query: Locking, ids: Collection[str]) -> dict[str, Run]:
    if not ids:
        return {}
    # a row has the names of a run's columns
    return {row.id: cast("Run", row) for row in await session.execute(query, {"ids": sorted(set(ids))})}


_SAVE = UpdateOfRows(TASKS, rows.MOVABLE, rev=_TASKS.rev + sa.literal_column("1"))
_read = attrgetter(*rows.MOVABLE, "id")


async def save_tasks(session: AsyncSession, tasks: Collection[LockedTask]) -> None:
    """Write what was changed on ``tasks``, which this transaction has locked; their ``rev`` grows by one."""
    if tasks:
        await _SAVE.execute(session, map(_read, tasks))


# ---------------------------------------------------------------- places

_PLACES = sa.select(_TASKS.run_id, sa.func.count()).where(among(_TASKS.run_id, "ids"), PLACED).group_by(_TASKS.run_id)


async def count_places(session: AsyncSession, run_ids: Collection[str]) -> dict[str, int]:
    """Run id → how many of its places are taken (``PLACED``)."""
    if not run_ids:
        return {}
    return {row[0]: row[1] for row in await session.execute(_PLACES, {"ids": sorted(run_ids)})}


def flying_of(device_id: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """How many tasks of this device are in flight."""
    other = TASKS.alias("other")
    return sa.select(sa.func.count()).where(other.c.device_id == device_id, _flying(other.c)).scalar_subquery()
