"""Sharing devices through groups: who is a member of which, and through which group somebody sees a device.

Invariants: only a group's owner and administrators say who its members are, and nobody gives a role that they do not
have themselves; what a group shares are devices of its owner, whoever added the member (``devices.scope``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import User
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.audit.actions import Action
from app.clock import Clock, utcnow
from app.db import Database
from app.devices.models import Device
from app.devices.scope import MemberRole, Right, Scope
from app.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.groups import repository, scopes
from app.groups.models import Group, GroupMember
from app.hints import HintKind
from app.uow import UnitOfWork

MEMBERS_MAX = 100
"""Of one group."""
MEMBER_OF_MAX = 50
"""Groups of one user."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with whom a group is shared."""

    user_id: int
    email: str
    role: MemberRole
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Shared:
    """A group that is shared with whoever asks. ``total`` counts its devices that they see through it."""

    group_id: str
    name: str
    owner: str
    role: MemberRole
    total: int


@dataclass(frozen=True, slots=True)
class Through:
    """A group through which somebody sees a device. ``user_id`` and ``email`` are the member's."""

    group_id: str
    name: str
    user_id: int
    email: str
    role: MemberRole


@dataclass(frozen=True, slots=True)
class Access:
    """What whoever asks may do with a device, why they see it, and, for its owner, who else does."""

    owner: str | None
    own: bool
    may_run: bool
    may_change: bool
    through: list[Through]
    members: list[Through]


class SharingService:
    """Members of groups. Everything raises NotFound for groups that are not the principal's to share."""

    def __init__(self, uow: UnitOfWork, db: Database, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._clock = clock

    async def members(self, principal: Principal, group_id: str) -> list[Member]:
        """With whom a group is shared, by address."""
        async with self._db.read() as session:
            group = await _group(session, principal, group_id)
            return [_member(row, user) for row, user in await repository.members(session, group.id)]

    async def put(self, principal: Principal, group_id: str, email: str, role: MemberRole) -> Member:
        """Share a group with somebody, or give a member another role.

        Raises Forbidden for a role above one's own, InvalidInput, InvalidSelector, and Conflict beyond the limits.
        """
        if role is MemberRole.OPERATOR and not principal.may(Permission.RUNS_WRITE):
            raise Forbidden("You may not run commands yourself, so nobody does by your leave.", code="role_above_own")
        async with self._uow.begin() as unit:
            session = unit.session
            group = await _group(session, principal, group_id)
            user = await _user(session, email)
            if user.id == group.user_id:
                raise InvalidInput(f"The group {group.name} belongs to {user.email}.", code="owner_already")
            await repository.lock(session, group.user_id, user.id)
            group = await _group(session, principal, group_id)
            scopes.sharable(group, await repository.by_name(session, group.user_id))
            row = await session.get(GroupMember, (group.id, user.id))
            details = {"user": user.email, "role": role.value}
            if row is None:
                await _must_have_room(session, group, user)
                row = GroupMember(group_id=group.id, user_id=user.id, role=role.value, added_at=self._clock())
                session.add(row)
                unit.record(principal.actor, Action.GROUP_MEMBER_ADDED, group.id, group.name, **details)
            elif row.role != role:
                details["role"] = f"{row.role} → {role.value}"
                row.role = role.value
                unit.record(principal.actor, Action.GROUP_MEMBER_CHANGED, group.id, group.name, **details)
            unit.hint(HintKind.SHARES, user_id=user.id)
            return _member(row, user)

    async def remove(self, principal: Principal, group_id: str, user_id: int) -> None:
        """Share a group no longer with somebody, who stops to see its devices at once. Raises NotFound."""
        async with self._uow.begin() as unit:
            group = await _group(unit.session, principal, group_id)
            email = await repository.remove_member(unit.session, group.id, user_id)
            if email is None:
                raise NotFound("There is no such member.")
            unit.record(principal.actor, Action.GROUP_MEMBER_REMOVED, group.id, group.name, user=email)
            unit.hint(HintKind.SHARES, user_id=user_id)

    async def shared_with(self, principal: Principal) -> list[Shared]:
        """The groups of others that are shared with whoever asks."""
        async with self._db.read() as session:
            rows = await repository.shared_with(session, principal.user_id)
            owners = await repository.addresses(session, {group.user_id for group, _ in rows})
            return [
                Shared(group.id, group.name, owners[group.user_id], MemberRole(role), await _total(session, group))
                for group, role in rows
            ]

    async def leave(self, principal: Principal, group_id: str) -> None:
        """Stop to be a member. Raises NotFound."""
        async with self._uow.begin() as unit:
            group = await unit.session.get(Group, group_id)
            if group is None or not await repository.remove_member(unit.session, group_id, principal.user_id):
                raise NotFound("There is no such group.")
            unit.record(principal.actor, Action.GROUP_LEFT, group.id, group.name)
            unit.hint(HintKind.SHARES, user_id=principal.user_id)

    async def access(self, principal: Principal, device_id: int) -> Access:
        """Why whoever asks sees a device, and what they may do with it. Raises NotFound."""
        async with self._db.read(at_one_moment=True) as session:
            scope = await scopes.scope_of(session, principal)
            query = sa.select(
                Device.user_id, User.email, *(scope.holds(r).label(r.name) for r in (Right.RUN, Right.OWN))
            )
            query = scope.limit(query.outerjoin(User, Device.user_id == User.id)).where(Device.id == device_id)
            found = (await session.execute(query)).one_or_none()
            if found is None:
                raise NotFound("There is no such device.")
            return Access(
                owner=found.email,
                own=found.user_id == principal.user_id,
                may_run=bool(found.RUN) and principal.may(Permission.RUNS_WRITE),
                may_change=bool(found.OWN) and principal.may(Permission.DEVICES_WRITE),
                through=await _through(session, await _memberships(session, scope), device_id),
                members=await _through(session, await _given(session, found.user_id), device_id) if found.OWN else [],
            )


Membership = tuple[Group, GroupMember, str]


async def _memberships(session: AsyncSession, scope: Scope) -> list[Membership]:
    return [] if scope.user_id is None else await repository.memberships(session, member_id=scope.user_id)


async def _given(session: AsyncSession, owner_id: int | None) -> list[Membership]:
    return [] if owner_id is None else await repository.memberships(session, owner_id=owner_id)


async def _through(session: AsyncSession, memberships: Sequence[Membership], device_id: int) -> list[Through]:
    """Those of ``memberships`` whose group has this device."""
    groups = {group.id: group for group, _, _ in memberships}
    having = {group.id for group in groups.values() if await _total(session, group, Device.id == device_id)}
    return [
        Through(group.id, group.name, row.user_id, email, MemberRole(row.role))
        for group, row, email in memberships
        if group.id in having
    ]


async def _total(session: AsyncSession, group: Group, *conditions: sa.ColumnElement[bool]) -> int:
    """How many devices ``group`` shares."""
    within = await scopes.within(session, group)
    if within is None:
        return 0
    query = sa.select(sa.func.count()).select_from(Device).where(Device.user_id == group.user_id, within, *conditions)
    return await session.scalar(query) or 0


async def _group(session: AsyncSession, principal: Principal, group_id: str) -> Group:
    group = await session.get(Group, group_id, populate_existing=True)
    if group is None or not (group.user_id == principal.user_id or principal.may(Permission.DEVICES_ALL)):
        raise NotFound("There is no such group.")
    return group


async def _user(session: AsyncSession, email: str) -> User:
    user = await session.scalar(sa.select(User).where(User.email == email.strip().lower(), User.disabled_at.is_(None)))
    if user is None:
        raise InvalidInput("There is no user with this address.", code="unknown_user")
    return user


async def _must_have_room(session: AsyncSession, group: Group, user: User) -> None:
    if len(await repository.members(session, group.id)) >= MEMBERS_MAX:
        raise Conflict(f"A group has at most {MEMBERS_MAX} members.", code="too_many_members")
    if len(await repository.shared_with(session, user.id)) >= MEMBER_OF_MAX:
        text = f"{user.email} is a member of {MEMBER_OF_MAX} groups and has to leave one first."
        raise Conflict(text, code="too_many_groups")


def _member(row: GroupMember, user: User) -> Member:
    return Member(user.id, user.email, MemberRole(row.role), row.added_at)
