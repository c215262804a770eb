"""Whether devices are there: departures, heartbeats, what a lost server leaves behind.

Invariant: every write about a connection names the session epoch that the registration gave it, so what comes late
changes nothing. All of it takes lists, and all lists are sorted by id, so that writers on PostgreSQL never deadlock.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock, utcnow
from app.db import Database
from app.devices.grace import Grace
from app.devices.models import Device, Node, StatusEvent
from app.hints import HintKind
from app.uow import Unit, UnitOfWork
from deployx_protocol.states import CAUSE_TEXT, DeviceStatus, StatusCause

log = structlog.get_logger()

LEASE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Departure:
    """A session that ended at ``at``, and why. ``detail`` is what people read."""

    device_id: int
    epoch: int
    cause: StatusCause
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last heartbeat of a session."""

    device_id: int
    epoch: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A session whose agent has stored ``generation``."""

    device_id: int
    epoch: int
    generation: int


class PresenceService:
    """Presence of the devices of one node, and the node's own lease.

    ``grace_s``: how long a lost node's rows wait. ``went`` is told of each device that went offline.
    """

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        *,
        node_id: str,
        grace_s: float,
        went: Callable[[StatusCause], None] = lambda _: None,
        clock: Clock = utcnow,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uow = uow
        self._db = db
        self._went = went
        self.node_id = node_id
        self._grace = Grace(grace_s, monotonic)
        self._clock = clock
        self.live_nodes: frozenset[str] = frozenset({node_id})
        """Nodes whose lease is good; an online row of any other node is shown as unknown."""

    async def depart_many(self, departures: Sequence[Departure]) -> None:
        """Mark devices offline whose session is still the one that ended. Raises Unavailable."""
        async with self._uow.begin() as unit:
            gone = await _go_offline(unit, departures)
        self._count(gone)
        for agent_id, departure in gone:
            log.info("Device status updated: offline", agent_id=agent_id, detail=departure.detail)

    async def seen_many(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Save the newest heartbeat of each session. Raises Unavailable."""
        table = Device.__table__
        statement = (
            sa.update(Device)
            .where(table.c.id == sa.bindparam("b_id"), table.c.session_epoch == sa.bindparam("b_epoch"))
            .values(last_seen=sa.bindparam("b_at"))
        )
        rows = [
            {"b_id": beat.device_id, "b_epoch": beat.epoch, "b_at": beat.at}
            for beat in sorted(heartbeats, key=lambda beat: beat.device_id)
        ]
        async with self._uow.begin() as unit:
            await (await unit.session.connection()).execute(statement, rows)
            for beat in heartbeats:
                unit.hint(HintKind.DEVICES_SEEN, beat.device_id)

    async def confirm_many(self, confirmations: Sequence[Confirmation]) -> None:
        """These agents have stored the generation issued to them: the one before is forgotten. Raises Unavailable."""
        table = Device.__table__
        statement = (
            sa.update(Device)
            .where(
                table.c.id == sa.bindparam("b_id"),
                table.c.session_epoch == sa.bindparam("b_epoch"),
                table.c.generation_issued == sa.bindparam("b_generation"),
            )
            .values(generation=sa.bindparam("b_generation"))
        )
        rows = [
            {"b_id": c.device_id, "b_epoch": c.epoch, "b_generation": c.generation}
            for c in sorted(confirmations, key=lambda c: c.device_id)
        ]
        async with self._uow.begin() as unit:
            await (await unit.session.connection()).execute(statement, rows)

    async def online_here(self) -> dict[int, int]:
        """Device id → session epoch of all rows that this node calls online. Raises Unavailable."""
        async with self._db.read() as session:
            query = sa.select(Device.id, Device.session_epoch)
            rows = await session.execute(query.where(Device.node_id == self.node_id, Device.status == "online"))
            return {row.id: row.session_epoch for row in rows}

    async def leave(self, detail: str) -> None:
        """This node stops: its devices go offline and its lease ends. Raises Unavailable."""
        now = self._clock()
        async with self._uow.begin() as unit:
            sessions = await _sessions_of(unit.session, [self.node_id])
            gone = await _go_offline(
                unit, [Departure(*session, StatusCause.SERVER_SHUTDOWN, detail, now) for session in sessions]
            )
            await unit.session.execute(sa.delete(Node).where(Node.id == self.node_id))
        self._count(gone)
        log.info("node.left", devices=len(gone))

    async def renew_lease(self, *, alone: bool) -> None:
        """Renew this node's lease, notice nodes that are gone, and end their devices' grace. Raises Unavailable.

        ``alone``: no other node can share this database (SQLite), so every other node is gone by definition.
        """
        async with self._uow.begin() as unit:
            now = await _database_now(unit.session, self._clock)
            await self._renew(unit.session, now)
            nodes = list(await unit.session.scalars(sa.select(Node).order_by(Node.id)))
            others = [node for node in nodes if node.id != self.node_id]
            gone = [node for node in others if alone or node.lease_expires_at < now]
            await _hint_held_by(unit, [node.id for node in gone if not node.found_dead_at])
            over = [node.id for node in gone if self._grace.is_over(node, now)]
            alive = [node for node in others if node not in gone]
            await _hint_held_by(unit, [node.id for node in alive if node.found_dead_at])
            for node in alive:
                self._grace.ends(node)
                node.lease_expires_at = min(node.lease_expires_at, now + LEASE)  # later: the clock was set back
            orphaned = await _orphaned_sessions(unit.session, [node.id for node in nodes], over)
            detail = CAUSE_TEXT[StatusCause.SERVER_LOST]
            lost = await _go_offline(unit, [Departure(*s, StatusCause.SERVER_LOST, detail, now) for s in orphaned])
            if over:
                await unit.session.execute(sa.delete(Node).where(Node.id.in_(over)))
            self.live_nodes = frozenset({self.node_id, *(node.id for node in alive)})
        self._count(lost)

    def _count(self, gone: Sequence[tuple[str, Departure]]) -> None:
        for _, departure in gone:
            self._went(departure.cause)

    async def _renew(self, session: AsyncSession, now: datetime) -> None:
        node = await session.get(Node, self.node_id)
        if node is None:
            session.add(Node(id=self.node_id, started_at=now, lease_expires_at=now + LEASE))
            await session.flush()
        else:
            node.lease_expires_at, node.found_dead_at = now + LEASE, None


async def _hint_held_by(unit: Unit, node_ids: Collection[str]) -> None:
    """What is online by the word of these nodes is now shown otherwise, though no row changed."""
    if node_ids:
        for device_id, _ in await _sessions_of(unit.session, node_ids):
            unit.hint(HintKind.DEVICE_ROW, device_id)


async def _go_offline(unit: Unit, departures: Iterable[Departure]) -> list[tuple[str, Departure]]:
    """Who went offline, by agent id: those whose session is still the one that ended."""
    left: list[tuple[str, Departure]] = []
    by_device = {departure.device_id: departure for departure in departures}
    for chunk in _chunks(sorted(by_device), 500):
        query = sa.select(Device.id, Device.agent_id, Device.session_epoch, Device.source_ip).where(
            Device.id.in_(chunk), Device.status == DeviceStatus.ONLINE
        )
        rows = (await unit.session.execute(query.order_by(Device.id).with_for_update())).all()
        current = [row for row in rows if by_device[row.id].epoch == row.session_epoch]
        gone = [(by_device[row.id], row.source_ip) for row in current]
        left += [(row.agent_id, by_device[row.id]) for row in current]
        if not gone:
            continue
        connection = await unit.session.connection()
        await connection.execute(
            sa.update(Device)
            .where(Device.__table__.c.id == sa.bindparam("b_id"))
            .values(
                status=DeviceStatus.OFFLINE,
                status_cause=sa.bindparam("b_cause"),
                status_detail=sa.bindparam("b_detail"),
                status_since=sa.bindparam("b_at"),
                last_seen=sa.bindparam("b_at"),
                node_id=None,
                rev=Device.rev + 1,
            ),
            [{"b_id": d.device_id, "b_cause": d.cause.value, "b_detail": d.detail, "b_at": d.at} for d, _ in gone],
        )
        await connection.execute(
            sa.insert(StatusEvent),
            [
                {
                    "device_id": d.device_id,
                    "status": DeviceStatus.OFFLINE.value,
                    "cause": d.cause.value,
                    "detail": d.detail,
                    "source_ip": source_ip,
                    "at": d.at,
                }
                for d, source_ip in gone
            ],
        )
        for departure, _ in gone:
            unit.hint(HintKind.DEVICE_STATUS, departure.device_id)
    return left


async def _sessions_of(session: AsyncSession, node_ids: Collection[str]) -> list[tuple[int, int]]:
    query = sa.select(Device.id, Device.session_epoch).where(
        Device.node_id.in_(node_ids), Device.status == DeviceStatus.ONLINE
    )
    return [(device_id, epoch) for device_id, epoch in await session.execute(query)]


async def _orphaned_sessions(
    session: AsyncSession, known_nodes: Collection[str], over: Collection[str]
) -> list[tuple[int, int]]:
    """Online rows of nodes whose grace is over, or of nodes that nobody knows any more."""
    query = sa.select(Device.id, Device.session_epoch).where(
        Device.status == DeviceStatus.ONLINE,
        sa.or_(Device.node_id.in_(over), Device.node_id.not_in(known_nodes), Device.node_id.is_(None)),
    )
    return [(device_id, epoch) for device_id, epoch in await session.execute(query)]


async def _database_now(session: AsyncSession, clock: Clock) -> datetime:
    """Leases are kept on the database's clock, which all nodes share; with SQLite it is this machine's."""
    if session.get_bind().dialect.name == "sqlite":
        return clock()
    now = await session.scalar(sa.select(sa.func.clock_timestamp()))
    if not isinstance(now, datetime):
        raise TypeError("the database did not tell the time")
    return now


def _chunks(ids: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
