"""Reading devices. Every query goes through a ``Scope``, so that nobody is shown what is not theirs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app import cursors
from app.accounts.models import User
from app.db import UtcTimestamp
from app.devices.models import Claim, Device, StatusEvent
from app.devices.scope import Right, Rows, Scope
from app.errors import InvalidInput
from deployx_protocol.states import DeviceStatus, Presence, Trust

Row = tuple[Device, str | None]
_UNSEEN = {"fingerprint", "generation_forks"}
_SEEN = [column for column in Device.__table__.columns if column.name not in _UNSEEN]
"""What views are made of, without an object for each row: a snapshot of ten thousand takes half the time."""

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
SORTS: dict[str, Any] = {
    "name": Device.device_name,
    "status": Device.status,
    "hostname": Device.hostname,
    "platform": Device.platform,
    "last_seen": sa.func.coalesce(Device.last_seen, sa.literal(NEVER, Device.last_seen.type)),
    "created_at": Device.created_at,
}


def is_online(live_nodes: Collection[str]) -> sa.ColumnElement[bool]:
    """What holds for devices that people are shown as online: ``views.presence``, in SQL."""
    return sa.and_(Device.status == DeviceStatus.ONLINE, Device.node_id.in_(live_nodes))


WAITING = Device.trust.in_((Trust.PENDING, Trust.UNVERIFIED))
"""Devices that came without a token, and that nobody accepted."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list of devices may be narrowed to; None leaves a matter open."""

    search: str | None = None
    status: Presence | None = None
    trust: Trust | None = None
    platform: str | None = None
    owner: str | None = None
    matching: sa.ColumnElement[bool] | None = None
    """What a selector stands for."""

    def apply(self, query: Rows, live_nodes: Collection[str]) -> Rows:
        """``query`` narrowed."""
        if self.search:
            pattern = f"%{_escaped(self.search.lower())}%"
            searched = (Device.device_name, Device.hostname, Device.agent_id, Device.ip_address, Device.source_ip)
            query = query.where(sa.or_(*(sa.func.lower(column).like(pattern, escape="\\") for column in searched)))
        if self.status is Presence.OFFLINE:
            query = query.where(Device.status == DeviceStatus.OFFLINE)
        elif self.status:
            shown = is_online(live_nodes)
            if self.status is Presence.UNKNOWN:
                lost = sa.or_(Device.node_id.not_in(live_nodes), Device.node_id.is_(None))
                shown = sa.and_(Device.status == DeviceStatus.ONLINE, lost)
            query = query.where(shown)
        if self.trust:
            query = query.where(Device.trust == self.trust)
        if self.platform:
            query = query.where(Device.platform == self.platform)
        if self.owner:
            query = query.where(User.email == self.owner.lower())
        if self.matching is not None:
            query = query.where(self.matching)
        return query


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _seen() -> sa.Select[*tuple[Any, ...]]:
    """Columns to make views of, and ``owner``, the e-mail address of the user a device belongs to."""
    return sa.select(*_SEEN, User.email.label("owner")).join(User, Device.user_id == User.id, isouter=True)


def _with_owner() -> sa.Select[Device, str]:
    return sa.select(Device, User.email).join(User, Device.user_id == User.id, isouter=True)


async def page(
    session: AsyncSession,
    scope: Scope,
    narrowed: Filter,
    live_nodes: Collection[str],
    *,
    sort: str,
    limit: int,
    cursor: str | None,
) -> tuple[list[Row], str | None]:
    """One page and the cursor of the next. Raises InvalidInput for a sort or cursor that does not exist."""
    column = SORTS.get(sort.removeprefix("-"))
    if column is None:
        raise InvalidInput(f"Devices cannot be sorted by {sort!r}; use one of {', '.join(SORTS)}, with - to reverse.")
    down = sort.startswith("-")
    query = narrowed.apply(scope.limit(_with_owner()), live_nodes).add_columns(column)
    if cursor:
        value, last_id = cursors.read(cursor, sort, (_kind(column), int))
        position = sa.tuple_(column, Device.id)
        last = sa.tuple_(sa.literal(value, column.type), sa.literal(last_id))
        query = query.where(position < last if down else position > last)
    order = (column.desc(), Device.id.desc()) if down else (column, Device.id)
    found = (await session.execute(query.order_by(*order).limit(limit + 1))).all()
    rows: list[Row] = [(device, email) for device, email, _ in found[:limit]]
    if len(found) <= limit:
        return rows, None
    last_device, _, value = found[limit - 1]
    return rows, cursors.write(sort, (value, last_device.id))


def _kind(column: sa.ColumnElement[Any]) -> type:
    return datetime if isinstance(column.type, UtcTimestamp) else str


async def by_ids(session: AsyncSession, ids: Collection[int]) -> list[sa.Row[*tuple[Any, ...]]]:
    """The devices with these ids, whoever's they are: for the publisher, which limits by scope itself."""
    found: list[sa.Row[*tuple[Any, ...]]] = []
    wanted = sorted(ids)
    for start in range(0, len(wanted), 500):
        found += await session.execute(_seen().where(Device.id.in_(wanted[start : start + 500])))
    return found


async def after(session: AsyncSession, scope: Scope, last_id: int, limit: int) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """The next ``limit`` devices by id: the pieces of a snapshot."""
    query = scope.limit(_seen()).where(Device.id > last_id).order_by(Device.id).limit(limit)
    return (await session.execute(query)).all()


async def visible(session: AsyncSession, scope: Scope, ids: Collection[int]) -> set[int]:
    """Which of these devices ``scope`` has."""
    found: set[int] = set()
    wanted = sorted(ids)
    for start in range(0, len(wanted), 500):
        piece = wanted[start : start + 500]
        found |= set(await session.scalars(scope.limit(sa.select(Device.id).where(Device.id.in_(piece)))))
    return found


async def shared(session: AsyncSession, scope: Scope) -> set[int]:
    """The devices that ``scope`` has although they are somebody else's."""
    if not scope.shares:
        return set()
    query = sa.select(Device.id).where(scope.shared())
    return set(await session.scalars(query.where(Device.user_id != scope.user_id)))


async def one(
    session: AsyncSession, scope: Scope, device_id: int, right: Right = Right.SEE, *, lock: bool = False
) -> Row | None:
    """A device, if it exists in this scope with that right."""
    query = scope.limit(_with_owner(), right).where(Device.id == device_id)
    row = (await session.execute(query.with_for_update(of=Device) if lock else query)).first()
    return (row[0], row[1]) if row else None


async def count(session: AsyncSession, scope: Scope) -> int:
    """How many devices there are."""
    return await session.scalar(scope.limit(sa.select(sa.func.count()).select_from(Device))) or 0


async def waiting(session: AsyncSession, most: int) -> int:
    """How many devices nobody has accepted; counted up to ``most``."""
    some = sa.select(Device.id).where(WAITING).limit(most).subquery()
    return await session.scalar(sa.select(sa.func.count()).select_from(some)) or 0


async def open_claims(
    session: AsyncSession, scope: Scope, *, after_id: int, limit: int
) -> Sequence[tuple[Claim, Device]]:
    """The next claims that nobody has answered about devices of one's own, with the device, oldest first."""
    query = scope.limit(sa.select(Claim, Device).join(Device, Claim.device_id == Device.id), Right.OWN)
    query = query.where(Claim.state == "open", Claim.id > after_id)
    return [(claim, device) for claim, device in await session.execute(query.order_by(Claim.id).limit(limit))]


async def count_open_claims(session: AsyncSession, scope: Scope) -> int:
    """How many claims nobody has answered."""
    query = sa.select(sa.func.count()).select_from(Claim).join(Device, Claim.device_id == Device.id)
    return await session.scalar(scope.limit(query, Right.OWN).where(Claim.state == "open")) or 0


async def claim(session: AsyncSession, scope: Scope, claim_id: int) -> tuple[Claim, Device] | None:
    """A claim and its device, locked, if it exists in this scope."""
    query = scope.limit(sa.select(Claim, Device).join(Device, Claim.device_id == Device.id), Right.OWN)
    row = (await session.execute(query.where(Claim.id == claim_id).with_for_update())).first()
    return (row[0], row[1]) if row else None


async def status_events(
    session: AsyncSession, device_id: int, *, limit: int, before_id: int | None
) -> list[StatusEvent]:
    """What happened to a device's presence, newest first."""
    query = sa.select(StatusEvent).where(StatusEvent.device_id == device_id)
    if before_id is not None:
        query = query.where(StatusEvent.id < before_id)
    return list(await session.scalars(query.order_by(StatusEvent.id.desc()).limit(limit)))
