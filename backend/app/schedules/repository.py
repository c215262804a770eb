"""Queries about schedules. Whoever may not see everyone's sees their own, and nothing tells them of others."""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app import cursors
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.schedules.models import Firing, Schedule

Row = tuple[Schedule, str]
"""A schedule, and its owner's address."""
_LIST = "schedules"
_FIRINGS = "firings"


def _seen(principal: Principal) -> sa.ColumnElement[bool]:
    return sa.true() if principal.may(Permission.DEVICES_ALL) else Schedule.user_id == principal.user_id


async def one(session: AsyncSession, principal: Principal, schedule_id: str, *, lock: bool = False) -> Row | None:
    """A schedule that this user may see."""
    query = sa.select(Schedule, User.email).join(User, User.id == Schedule.user_id)
    query = query.where(Schedule.id == schedule_id, _seen(principal))
    found = (await session.execute(query.with_for_update(of=Schedule) if lock else query)).one_or_none()
    return (found[0], found[1]) if found else None


async def page(
    session: AsyncSession, principal: Principal, *, limit: int, cursor: str | None
) -> tuple[list[Row], str | None]:
    """One page of them, by name, and the cursor of the next. Raises InvalidInput."""
    query = sa.select(Schedule, User.email).join(User, User.id == Schedule.user_id).where(_seen(principal))
    if cursor:
        position = sa.tuple_(Schedule.name, Schedule.id)
        query = query.where(position > sa.tuple_(*cursors.read(cursor, _LIST, (str, str))))
    rows = (await session.execute(query.order_by(Schedule.name, Schedule.id).limit(limit + 1))).all()
    found = [(row[0], row[1]) for row in rows[:limit]]
    last = found[-1][0] if len(rows) > limit else None
    return found, cursors.write(_LIST, (last.name, last.id)) if last else None


async def active(session: AsyncSession, principal: Principal, limit: int) -> list[Schedule]:
    """Those that have a next time, the soonest first."""
    query = sa.select(Schedule).where(_seen(principal), Schedule.next_due_at.is_not(None))
    return list(await session.scalars(query.order_by(Schedule.next_due_at, Schedule.id).limit(limit)))


async def count_of(session: AsyncSession, user_id: int) -> int:
    """How many this user has."""
    query = sa.select(sa.func.count()).select_from(Schedule).where(Schedule.user_id == user_id)
    return await session.scalar(query) or 0


async def last_firings(session: AsyncSession, schedule_ids: Collection[str]) -> dict[str, Firing]:
    """The newest firing of each of these."""
    newest = sa.select(Firing.schedule_id, sa.func.max(Firing.due_at)).where(Firing.schedule_id.in_(schedule_ids))
    newest = newest.group_by(Firing.schedule_id)
    rows = await session.scalars(sa.select(Firing).where(sa.tuple_(Firing.schedule_id, Firing.due_at).in_(newest)))
    return {row.schedule_id: row for row in rows}


async def firings(
    session: AsyncSession, schedule_id: str, *, limit: int, cursor: str | None
) -> tuple[list[Firing], str | None]:
    """One page of what came of a schedule's times, the latest first. Raises InvalidInput."""
    query = sa.select(Firing).where(Firing.schedule_id == schedule_id)
    if cursor:
        before: datetime = cursors.read(cursor, _FIRINGS, (datetime,))[0]
        query = query.where(Firing.due_at < sa.literal(before, Firing.due_at.type))
    rows = list(await session.scalars(query.order_by(Firing.due_at.desc()).limit(limit + 1)))
    return rows[:limit], cursors.write(_FIRINGS, (rows[limit - 1].due_at,)) if len(rows) > limit else None


async def firing(session: AsyncSession, firing_id: str) -> Firing:
    """The firing with this id."""
    return (await session.scalars(sa.select(Firing).where(Firing.id == firing_id))).one()


async def by_request_key(session: AsyncSession, schedule_id: str, key: str) -> Firing | None:
    """What was started by hand under this key."""
    return await session.scalar(sa.select(Firing).where(Firing.schedule_id == schedule_id, Firing.request_key == key))
