"""Reading and writing the rows of groups and of their members. A user's groups are that user's alone to change."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import User
from app.devices.models import Device
from app.devices.scope import Scope
from app.groups.models import Group, GroupDevice, GroupMember

_PIECE = 500


async def of_user(session: AsyncSession, user_id: int) -> list[Group]:
    """A user's groups by name."""
    return list(await session.scalars(sa.select(Group).where(Group.user_id == user_id).order_by(Group.name)))


async def by_name(session: AsyncSession, user_id: int) -> dict[str, Group]:
    """A user's groups."""
    return {group.name: group for group in await of_user(session, user_id)}


async def one(session: AsyncSession, user_id: int, group_id: str) -> Group | None:
    """A group, if this user has it."""
    return (await session.scalars(sa.select(Group).where(Group.id == group_id, Group.user_id == user_id))).one_or_none()


async def lock(session: AsyncSession, *user_ids: int) -> None:
    """Let nobody else change these users' groups before the transaction ends, so that what was checked still holds."""
    await session.execute(sa.select(User.id).where(User.id.in_(user_ids)).order_by(User.id).with_for_update())


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


# ---------------------------------------------------------------- members


async def shared_with(session: AsyncSession, user_id: int, *, lock: bool = False) -> list[tuple[Group, str]]:
    """The groups that a user is a member of, in which role, those first that were shared first."""
    query = sa.select(Group, GroupMember.role).join(GroupMember, GroupMember.group_id == Group.id)
    query = query.where(GroupMember.user_id == user_id).order_by(GroupMember.added_at, Group.id)
    if lock:
        query = query.with_for_update(read=True, of=GroupMember)
    return [(group, role) for group, role in await session.execute(query)]


async def members(session: AsyncSession, group_id: str) -> list[tuple[GroupMember, User]]:
    """The members of a group, by address."""
    query = sa.select(GroupMember, User).join(User, User.id == GroupMember.user_id)
    rows = await session.execute(query.where(GroupMember.group_id == group_id).order_by(User.email))
    return [(row, user) for row, user in rows]


async def memberships(
    session: AsyncSession, *, member_id: int | None = None, owner_id: int | None = None
) -> list[tuple[Group, GroupMember, str]]:
    """The groups that somebody is a member of, or an owner's with each of their members; and the member's address."""
    query = sa.select(Group, GroupMember, User.email).join(GroupMember, GroupMember.group_id == Group.id)
    query = query.join(User, User.id == GroupMember.user_id).order_by(Group.name, Group.id, User.email)
    if member_id is not None:
        query = query.where(GroupMember.user_id == member_id)
    if owner_id is not None:
        query = query.where(Group.user_id == owner_id)
    return [(group, row, email) for group, row, email in await session.execute(query)]


async def remove_member(session: AsyncSession, group_id: str, user_id: int) -> str | None:
    """End a membership: the address of who was a member; None when they were not."""
    email = await session.scalar(sa.select(User.email).where(User.id == user_id))
    theirs = sa.delete(GroupMember).where(GroupMember.group_id == group_id, GroupMember.user_id == user_id)
    return email if await session.scalar(theirs.returning(GroupMember.user_id)) is not None else None


async def addresses(session: AsyncSession, user_ids: Collection[int]) -> dict[int, str]:
    """The addresses of these users."""
    rows = await session.execute(sa.select(User.id, User.email).where(User.id.in_(user_ids)))
    return {row.id: row.email for row in rows}
