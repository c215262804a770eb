"""Which tasks go to which session: what is queued is claimed for it, what it may not have heard is sent again.

Invariants: a task is claimed (`queued → sent`) only for the session that its device's row names, under a lock on that
row, so that of two servers never both send it; only for a trusted device; and never beyond what its run or its device
may have in flight. What was claimed is sent after the commit, and, since nobody can know whether that was heard, again
to the next session, which claims it anew, until the agent has given a receipt.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock, utcnow
from app.db import Database, among
from app.devices.models import Device
from app.tasks import lifecycle, repository, settling
from app.tasks.assignment import Request
from app.tasks.models import Run, Task
from app.tasks.rows import TASKS
from app.uow import Unit, UnitOfWork
from deployx_protocol import task_messages
from deployx_protocol.states import DeviceStatus
from deployx_protocol.tasks import TaskCode, TaskEvent, TaskState

log = structlog.get_logger()

DEVICE_MAX = 50
"""How many tasks of one device may be in flight; the agent runs a few of them at a time."""
CLAIM_MAX = 500
"""How many tasks one transaction claims."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A session that takes tasks. ``again``: it may not have heard of what is in flight."""

    device_id: int
    epoch: int
    again: bool = False


@dataclass(slots=True)
class Ended:
    """Tasks in flight, by their ids, that a device is to end: in any case, or only if they have not started."""

    cancelled: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def add(self, task_id: str, code: str) -> None:
        """One that was called off; ``code`` is what its row has."""
        (self.withdrawn if code == TaskCode.WITHDRAWN else self.cancelled).append(task_id)

    def __len__(self) -> int:
        return len(self.cancelled) + len(self.withdrawn)


@dataclass(slots=True)
class Delivery:
    """What a session is sent: tasks, oldest first, and those to end. ``left`` says that more is queued."""

    device_id: int
    epoch: int
    tasks: list[task_messages.Task] = field(default_factory=list)
    ended: Ended = field(default_factory=Ended)
    left: bool = False


class DeliveryService:
    """Delivery by one node."""

    def __init__(self, uow: UnitOfWork, db: Database, *, node_id: str, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._node_id = node_id
        self._clock = clock

    async def deliver_many(self, claimants: Sequence[Claimant]) -> list[Delivery]:
        """What each of ``claimants`` is to be sent, committed. Those with nothing are left out. Raises Unavailable."""
        again = {one.device_id for one in claimants if one.again}
        idle: set[int] = set()
        if again:  # most that have just registered have nothing: they need no lock
            async with self._db.read() as session:
                idle = again - await repository.with_unfinished(session, again)
        found = {one.device_id: Delivery(one.device_id, one.epoch) for one in claimants if one.device_id not in idle}
        if not found:
            return []
        now = self._clock()
        async with self._uow.begin() as unit:
            epochs = {delivery.device_id: delivery.epoch for delivery in found.values()}
            agents = await repository.lock_sessions(unit.session, self._node_id, epochs)
            claimed, by_run = await _claim(unit, agents, found, now)
            again &= agents.keys()
            if again:  # after the claims: what gets its receipt meanwhile is no longer to be claimed, and is found here
                await _repeat(
                    unit.session, {id: agents[id] for id in again}, found, now, but={one.id for one in claimed}
                )
            for task in claimed:
                told = by_run[task.run_id].message(
                    task.id, agents[task.device_id], created_at=task.created_at, known=False, now=now
                )
                found[task.device_id].tasks.append(told)
        for delivery in found.values():
            delivery.tasks.sort(key=lambda task: task.task_id)
        return [one for one in found.values() if one.tasks or one.ended or one.left]

    async def cancelled_many(self, device_ids: Collection[int]) -> dict[int, Ended]:
        """Device id → its tasks in flight that someone called off. Raises Unavailable."""
        found: dict[int, Ended] = defaultdict(Ended)
        async with self._db.read() as session:
            for ids in repository.chunks(device_ids):
                query = sa.select(Task.device_id, Task.id, Task.code).where(
                    Task.device_id.in_(ids), repository.FLYING, Task.cancel_requested_at.is_not(None)
                )
                for device_id, task_id, code in await session.execute(query.order_by(Task.id)):
                    found[device_id or 0].add(task_id, code)
        return found

    async def ending_here(self, older_than_s: float) -> set[int]:
        """The devices here whose tasks were called off so long ago and are not over. Raises Unavailable."""
        query = (
            sa.select(Task.device_id)
            .join(Device, Task.device_id == Device.id)
            .where(
                Device.node_id == self._node_id,
                Device.status == DeviceStatus.ONLINE,
                repository.FLYING,
                Task.cancel_requested_at < self._clock() - timedelta(seconds=older_than_s),
            )
            .distinct()
        )
        async with self._db.read() as session:
            return {device_id for device_id in await session.scalars(query) if device_id}

    async def unfinished(self) -> dict[str, int]:
        """How many tasks that are not over are in each state, whichever server their devices are at."""
        query = sa.select(Task.state, sa.func.count()).where(repository.UNFINISHED).group_by(Task.state)
        async with self._db.read() as session:
            return {row[0]: row[1] for row in await session.execute(query)}

    async def waiting_here(self) -> set[int]:
        """The devices connected to this node for which tasks are queued. Raises Unavailable."""
        async with self._db.read() as session:
            return await repository.waiting_here(session, self._node_id)


async def _repeat(
    session: AsyncSession, agents: dict[int, str], found: dict[int, Delivery], now: datetime, *, but: Collection[str]
) -> None:
    """What these devices have in flight without having started it, ``but`` for what was claimed just now; and what they
    are to end. What was sent in an earlier session is claimed anew instead (``_claim``).
    """
    by_run: dict[str, Request] = {}
    for ids in repository.chunks(sorted(agents)):
        query = sa.select(Task, Run).join(Run, Task.run_id == Run.id).where(Task.device_id.in_(ids), repository.FLYING)
        for task, run in await session.execute(query.order_by(Task.id)):
            assert task.device_id is not None
            delivery = found[task.device_id]
            if task.id in but:
                continue
            if task.cancel_requested_at is not None:
                delivery.ended.add(task.id, task.code)
            elif task.state == TaskState.ACCEPTED or (
                task.state == TaskState.SENT and task.sent_epoch == delivery.epoch
            ):
                request = by_run.get(run.id) or by_run.setdefault(run.id, Request.of(run))
                known = task.state == TaskState.ACCEPTED
                agent_id = agents[task.device_id]
                delivery.tasks.append(
                    request.message(task.id, agent_id, created_at=task.created_at, known=known, now=now)
                )


_TASKS = TASKS.c
_RANK = sa.func.row_number().over(partition_by=_TASKS.device_id, order_by=_TASKS.id)
_NEVER_SENT = _TASKS.state == TaskState.QUEUED.value
_RANKED = (
    sa.select(
        _TASKS.id,
        _TASKS.run_id,
        _TASKS.device_id,
        _TASKS.created_at,
        _NEVER_SENT.label("never_sent"),
        _RANK.label("place"),
    )
    .where(
        among(_TASKS.device_id, "ids"),
        repository.WAITING,
        sa.or_(~_NEVER_SENT, _TASKS.deadline_at > sa.bindparam("now", type_=_TASKS.deadline_at.type)),
    )
    .subquery()
)
_OLDEST_WAITING = (
    sa.select(
        _RANKED.c.id,
        _RANKED.c.run_id,
        _RANKED.c.device_id,
        _RANKED.c.created_at,
        _RANKED.c.never_sent,
        repository.flying_of(_RANKED.c.device_id),
    )
    .where(_RANKED.c.place <= DEVICE_MAX)
    .order_by(_RANKED.c.id)
)


class _Waiting(NamedTuple):
    """A task that waits, and how many its device has in flight."""

    id: str
    run_id: str
    device_id: int
    created_at: datetime
    never_sent: bool
    flying: int


async def _oldest_waiting(session: AsyncSession, device_ids: Collection[int], now: datetime) -> list[_Waiting]:
    """The oldest tasks that wait of each device, oldest first; of those that were never sent the ones whose time is not
    over."""
    return [*map(_Waiting._make, await session.execute(_OLDEST_WAITING, {"ids": sorted(device_ids), "now": now}))]


async def _claim(
    unit: Unit, agents: Collection[int], found: dict[int, Delivery], now: datetime
) -> tuple[list[_Waiting], dict[str, Request]]:
    """Tasks of ``agents`` that wait, oldest first, claimed for their sessions: as many as devices and runs have places
    for; and what their runs ask."""
    candidates = await _oldest_waiting(unit.session, agents, now) if agents else []
    if not candidates:
        return [], {}
    runs = await repository.lock_runs(unit.session, {one.run_id for one in candidates})
    limited = [run.id for run in runs.values() if run.max_parallel is not None]
    taken = await repository.count_places(unit.session, limited)
    chosen = _chosen(candidates, runs, taken, found, now)
    waiting = await repository.lock_waiting(unit.session, [one.id for one in chosen])
    by_run = {run_id: Request.of(runs[run_id]) for run_id in {one.run_id for one in chosen}}
    locked = [one for one in chosen if one.id in waiting]
    too_large = {one.id for one in locked if one.never_sent and not by_run[one.run_id].fits}
    claimed = [one for one in locked if one.id not in too_large]
    new, again = [one for one in claimed if one.never_sent], [one for one in claimed if not one.never_sent]
    deadlines: dict[datetime, list[str]] = defaultdict(list)
    for one in new:
        deadlines[lifecycle.sent_until(runs[one.run_id], one.created_at)].append(one.id)
    for deadline_at, task_ids in deadlines.items():
        await repository.send_tasks(unit.session, task_ids, deadline_at, now)
    await repository.send_tasks_again(unit.session, [one.id for one in again])
    await settling.changed(unit, new, now)
    settling.hint_tasks(unit, again)
    if too_large:
        await _refuse(unit, too_large, runs, now)
    return claimed, by_run


def _chosen(
    candidates: Sequence[_Waiting],
    runs: Mapping[str, Run],
    taken: dict[str, int],
    found: Mapping[int, Delivery],
    now: datetime,
) -> list[_Waiting]:
    """Those for which there is a place: ``taken`` says how many of each run's are taken."""
    rooms = {one.device_id: one.flying for one in candidates}
    chosen: list[_Waiting] = []
    for one in candidates:
        run = runs.get(one.run_id)
        if run is None or (one.never_sent and rooms[one.device_id] >= DEVICE_MAX):
            continue
        late = run.expires_at <= now  # it was sent before, and does not start any more: it says so and is over
        if run.max_parallel is not None and taken.get(run.id, 0) >= run.max_parallel and not late:
            continue
        if len(chosen) >= CLAIM_MAX:
            found[one.device_id].left = True
            continue
        chosen.append(one)
        rooms[one.device_id] += bool(one.never_sent)
        taken[run.id] = taken.get(run.id, 0) + 1
    return chosen


async def _refuse(unit: Unit, task_ids: Collection[str], runs: Mapping[str, Run], now: datetime) -> None:
    """These tasks, locked and queued, fit no message."""
    tasks = (await repository.lock_tasks(unit.session, task_ids)).values()
    for task in tasks:
        lifecycle.end(task, TaskEvent.CANCEL, now, message="It is too large to be sent to an agent.")
        log.error("task.too_large", task_id=task.id, run_id=task.run_id)
    await repository.save_tasks(unit.session, tasks)
    await settling.settle(unit, tasks, runs, now)
