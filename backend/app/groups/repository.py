"""Reading and writing the rows of groups. A user's groups are that user's alone."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import User
from app.devices.models import Device
from app.devices.repository import Scope
from app.groups.models import Group, GroupDevice

_PIECE = 500


async def of_user(session: AsyncSession, user_id: int) -> list[Group]:
    """A user's groups by name."""
    return list(await session.scalars(sa.select(Group).where(Group.user_id == user_id).order_by(Group.name)))


async def one(session: AsyncSession, user_id: int, group_id: str) -> Group | None:
    """A group, if this user has it."""
    return (await session.scalars(sa.select(Group).where(Group.id == group_id, Group.user_id == user_id))).one_or_none()


async def lock(session: AsyncSession, user_id: int) -> None:
    """Let nobody else change this user's groups before the transaction ends, so that what was checked still holds."""
    await session.execute(sa.select(User.id).where(User.id == user_id).with_for_update())


async def device_ids(session: AsyncSession, scope: Scope, group_id: str) -> list[int]:
    """The devices of a static group, as far as ``scope`` has them, in order."""
    query = scope.limit(sa.select(Device.id)).join(GroupDevice, GroupDevice.device_id == Device.id)
    return list(await session.scalars(query.where(GroupDevice.group_id == group_id).order_by(Device.id)))


async def put_devices(session: AsyncSession, group_id: str, ids: Collection[int]) -> None:
    """Make these the devices of a static group, in place of those it had."""
    await session.execute(sa.delete(GroupDevice).where(GroupDevice.group_id == group_id))
    if ids:
        rows = [{"group_id": group_id, "device_id": device_id} for device_id in sorted(ids)]
        await session.execute(sa.insert(GroupDevice), rows)


async def missing(session: AsyncSession, scope: Scope, ids: Sequence[int]) -> int | None:
    """The first of ``ids`` that ``scope`` does not have; each of the others stays until the transaction ends."""
    for start in range(0, len(ids), _PIECE):
        piece = ids[start : start + _PIECE]
        query = scope.limit(sa.select(Device.id)).where(Device.id.in_(piece)).order_by(Device.id)
        there = set(await session.scalars(query.with_for_update(read=True, key_share=True)))
        for device_id in piece:
            if device_id not in there:
                return device_id
    return None
