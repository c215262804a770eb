"""Whether devices are there: departures, heartbeats, what a lost server leaves behind.

Invariants: every write about a connection names the session epoch that the registration gave it, so what comes late
changes nothing, and a server that was paused writes nothing about devices that another one has taken over. All of it
takes lists, and all lists are sorted by id, so that writers on PostgreSQL never deadlock.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from app.clock import Clock, utcnow
from app.db import Database, UpdateOfRows, connections_of
from app.devices import confirmations
from app.devices.confirmations import Confirmation
from app.devices.grace import Grace
from app.devices.heartbeats import Heartbeat
from app.devices.heartbeats import save as save_heartbeats
from app.devices.models import Claim, Device, Node
from app.devices.status_events import STATUS_EVENTS
from app.hints import Hint, HintKind, Publish
from app.logging import together
from app.uow import Unit, UnitOfWork
from deployx_protocol.states import CAUSE_TEXT, DeviceStatus, StatusCause

log = structlog.get_logger()

LEASE_S = 15.0
LEASE = timedelta(seconds=LEASE_S)
UNKNOWN_EVERY = 10
"""In how many sweeps one looks for devices of servers that nobody knows any more, which have no row to find."""


_END_CONNECTIONS = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY(:names)"
).bindparams(sa.bindparam("names", type_=postgresql.ARRAY(sa.Text)))
"""A node that is paused in the middle of a transaction holds rows, and PostgreSQL itself does not always end that: one
that waits for the rest of a prepared statement is not idle to it."""


_DEVICES = cast("sa.Table", Device.__table__)
_GO = UpdateOfRows(
    _DEVICES,
    ("status_cause", "status_detail", "status_since", "last_seen"),
    status=sa.literal_column(f"'{DeviceStatus.OFFLINE.value}'"),
    node_id=sa.null(),
    rev=_DEVICES.c.rev + sa.literal_column("1"),
)


@dataclass(frozen=True, slots=True)
class Departure:
    """A session that ended at ``at``, and why. ``detail`` is what people read."""

    device_id: int
    epoch: int
    cause: StatusCause
    detail: str
    at: datetime


class PresenceService:
    """Presence of the devices of one node, and the node's own lease.

    ``grace_s``: how long a lost node's rows wait. ``went`` is told of each device that went offline, ``shown`` of those
    that are shown otherwise here because a node came or went, though no row changed.
    """

    def __init__(
        self,
        uow: UnitOfWork,
        db: Database,
        *,
        node_id: str,
        grace_s: float,
        lease_s: float = LEASE_S,
        key_mark: str = "",
        went: Callable[[StatusCause], None] = lambda _: None,
        shown: Publish = lambda _: None,
        clock: Clock = utcnow,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uow = uow
        self._db = db
        self._went = went
        self.node_id = node_id
        self._shown = shown
        self._lease = timedelta(seconds=lease_s)
        self._key_mark = key_mark
        self._grace = Grace(grace_s, monotonic, lease_s=lease_s)
        self._clock = clock
        self._entered = False
        self._seen: frozenset[str] = frozenset()
        self._sweeps = 0
        self.live_nodes: frozenset[str] = frozenset({node_id})
        """Nodes whose lease is good; an online row of any other node is shown as unknown."""

    async def depart_many(self, departures: Sequence[Departure]) -> None:
        """Mark devices offline whose session is still the one that ended. Raises Unavailable."""
        async with self._uow.begin() as unit:
            gone = await _go_offline(unit, departures)
        self._count(gone)
        with together():
            for agent_id, departure in gone:
                log.info("Device status updated: offline", agent_id=agent_id, detail=departure.detail)

    async def seen_many(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Save the newest heartbeat of each session. Raises Unavailable."""
        async with self._uow.begin() as unit:
            await save_heartbeats(unit.session, self.node_id, heartbeats)
            for beat in heartbeats:
                unit.hint(HintKind.DEVICES_SEEN, beat.device_id)

    async def confirm_many(self, stored: Sequence[Confirmation]) -> None:
        """These agents have stored the generation issued to them: the one before is forgotten. Raises Unavailable."""
        async with self._uow.begin() as unit:
            await confirmations.save(unit.session, stored)

    async def release_claims(self, claim_ids: Sequence[int]) -> None:
        """Whoever waited here for the answer to these claims is gone. Raises Unavailable."""
        ours = sa.update(Claim).where(Claim.id.in_(claim_ids), Claim.node_id == self.node_id).values(node_id=None)
        async with self._uow.begin() as unit:
            for device_id in await unit.session.scalars(ours.returning(Claim.device_id)):
                unit.hint(HintKind.CLAIMS, device_id)

    async def online_here(self) -> dict[int, int]:
        """Device id → session epoch of all rows that this node calls online. Raises Unavailable."""
        async with self._db.read() as session:
            query = sa.select(Device.id, Device.session_epoch)
            rows = await session.execute(query.where(Device.node_id == self.node_id, Device.status == "online"))
            return {row.id: row.session_epoch for row in rows}

    async def elsewhere(self, device_ids: Collection[int]) -> dict[int, int]:
        """Device id → session epoch of those of ``device_ids`` whose row names another node. Raises Unavailable."""
        found: dict[int, int] = {}
        async with self._db.read() as session:
            for chunk in _chunks(sorted(device_ids), 500):
                query = sa.select(Device.id, Device.session_epoch).where(Device.id.in_(chunk))
                rows = await session.execute(query.where(Device.node_id != self.node_id))
                found |= {row.id: row.session_epoch for row in rows}
        return found

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

    async def renew_lease(self, *, alone: bool) -> bool:
        """Renew this node's lease, and see which others have theirs; whether this node was given up meanwhile.

        ``alone``: no other node can share this database (SQLite), so every other node is gone by definition, and what
        ``sweep`` does is done here. Raises Unavailable.
        """
        async with self._uow.begin() as unit:
            now = await _database_now(unit.session, self._clock)
            given_up = await self._renew(unit.session, now)
            nodes = list(await unit.session.scalars(sa.select(Node).order_by(Node.id)))
            others = [node for node in nodes if node.id != self.node_id]
            alive = [] if alone else [node for node in others if node.lease_expires_at >= now]
            too_long = [node.id for node in alive if node.lease_expires_at > now + self._lease]
            if too_long:  # the clock was set back
                cut = sa.update(Node).where(Node.id.in_(too_long), Node.lease_expires_at > now + self._lease)
                await unit.session.execute(cut.values(lease_expires_at=now + self._lease))
            if not alone and len(alive) < len(others):
                dead = {node.id for node in others} - {node.id for node in alive}
                await unit.session.execute(_END_CONNECTIONS, {"names": [connections_of(name) for name in sorted(dead)]})
            lost = await self._sweep(unit, others, now, unknown=True) if alone else []
            live = frozenset({self.node_id, *(node.id for node in alive)})
            seen = frozenset(node.id for node in others)
            changed = (self.live_nodes ^ live) | (seen - self._seen)
            otherwise = await _sessions_of(unit.session, changed) if changed else []
        self._entered, self._seen, self.live_nodes = True, seen, live
        self._count(lost)
        self._shown([Hint(HintKind.DEVICE_ROW, device_id) for device_id, _ in otherwise])
        return given_up

    async def sweep(self) -> None:
        """End the grace of devices whose node is lost; one node at a time does so for all. Raises Unavailable."""
        self._sweeps += 1
        async with self._uow.begin() as unit:
            now = await _database_now(unit.session, self._clock)
            others = sa.select(Node).where(Node.id != self.node_id).order_by(Node.id)
            lost_nodes = sa.or_(Node.lease_expires_at < now, Node.found_dead_at.is_not(None))
            nodes = list(await unit.session.scalars(others.where(lost_nodes).with_for_update()))  # it may be waking
            gone = [node for node in nodes if node.lease_expires_at < now]
            for node in nodes:
                if node not in gone:
                    self._grace.ends(node)
            lost = await self._sweep(unit, gone, now, unknown=self._sweeps % UNKNOWN_EVERY == 0)
        self._count(lost)

    async def _sweep(
        self, unit: Unit, gone: Collection[Node], now: datetime, *, unknown: bool
    ) -> list[tuple[str, Departure]]:
        over = [node.id for node in gone if self._grace.is_over(node, now)]
        if not over and not unknown:
            return []
        orphaned = await _orphaned_sessions(unit.session, over)
        detail = CAUSE_TEXT[StatusCause.SERVER_LOST]
        lost = await _go_offline(unit, [Departure(*s, StatusCause.SERVER_LOST, detail, now) for s in orphaned])
        if over:
            await unit.session.execute(sa.delete(Node).where(Node.id.in_(over)))
            log.info("nodes.given_up", nodes=over, devices=len(lost))
        return lost

    def _count(self, gone: Sequence[tuple[str, Departure]]) -> None:
        for _, departure in gone:
            self._went(departure.cause)

    async def _renew(self, session: AsyncSession, now: datetime) -> bool:
        until = now + self._lease
        ours = sa.update(Node).where(Node.id == self.node_id).values(lease_expires_at=until, found_dead_at=None)
        if await session.scalar(ours.returning(Node.id)):
            return False
        session.add(Node(id=self.node_id, started_at=now, lease_expires_at=until, key_mark=self._key_mark))
        await session.flush()
        return self._entered


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
        await _GO.execute(unit.session, [(d.cause.value, d.detail, d.at, d.at, d.device_id) for d, _ in gone])
        events = [(d.device_id, DeviceStatus.OFFLINE.value, d.cause.value, d.detail, ip, d.at) for d, ip in gone]
        await STATUS_EVENTS.execute(unit.session, events)
        for departure, _ in gone:
            unit.hint(HintKind.DEVICE_STATUS, departure.device_id)
    return left


async def _sessions_of(session: AsyncSession, node_ids: Collection[str]) -> list[tuple[int, int]]:
    query = sa.select(Device.id, Device.session_epoch).where(
        Device.node_id.in_(node_ids), Device.status == DeviceStatus.ONLINE
    )
    return [(device_id, epoch) for device_id, epoch in await session.execute(query)]


async def _orphaned_sessions(session: AsyncSession, over: Collection[str]) -> list[tuple[int, int]]:
    """Online rows of nodes whose grace is over, or of nodes that nobody knows any more."""
    query = sa.select(Device.id, Device.session_epoch).where(
        Device.status == DeviceStatus.ONLINE,
        sa.or_(Device.node_id.in_(over), Device.node_id.not_in(sa.select(Node.id)), Device.node_id.is_(None)),
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
