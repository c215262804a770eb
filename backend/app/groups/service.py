"""Groups of devices under a name, static or dynamic, and what a selector would reach.

Invariant: every saved selector of a user can be resolved. What would make one of them name a group that is not there,
contain itself, or grow beyond its bounds is refused when it is saved, renamed or deleted.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.principal import Principal
from app.audit.actions import Action, numbers
from app.clock import Clock, utcnow
from app.db import Database
from app.devices.models import Device
from app.devices.repository import is_online
from app.errors import Conflict, InvalidInput, InvalidSelector, NotFound
from app.groups import repository, scopes, targets
from app.groups import words as selector_words
from app.groups.conditions import Condition
from app.groups.models import Group
from app.groups.parsing import parse
from app.groups.selectors import Builtin, Selector, Term, Value
from app.hints import HintKind
from app.uow import Unit, UnitOfWork

GROUPS_MAX = 100
"""Of one user."""
DEVICES_MAX = 5_000
"""In one static group."""
NAMES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Change:
    """What to make of a group; None leaves a matter as it is. ``selector`` and ``device_ids`` exclude each other."""

    name: str | None = None
    selector: str | None = None
    device_ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A group as its user sees it. ``selector`` is None for a static one, which alone has ``device_ids``."""

    id: str
    name: str
    selector: str | None
    device_ids: list[int] | None
    total: int
    members: int
    """With how many users it is shared."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a selector cannot be used. ``position`` counts its characters from 1; None: no single one is to blame."""

    code: str
    message: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a selector reaches: how many devices, how many of them online, and the first names. Nothing with a fault."""

    selector: str
    """As it is written plainly; with a fault, as it came."""
    count: int = 0
    online: int = 0
    names: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    fault: Fault | None = None


class GroupService:
    """The groups of whoever asks. Everything raises NotFound for what is not theirs."""

    def __init__(
        self, uow: UnitOfWork, db: Database, live_nodes: Callable[[], Collection[str]], clock: Clock = utcnow
    ) -> None:
        self._uow = uow
        self._db = db
        self._live_nodes = live_nodes
        self._clock = clock

    async def check(self, principal: Principal, text: str) -> Checked:
        """What the selector ``text`` reaches now; one that cannot be used is an answer, as it is while it is typed."""
        try:
            return await self._reached(principal, parse(text))
        except InvalidSelector as error:
            return Checked(text, fault=Fault(error.specific_code, error.message, error.position))

    async def _reached(self, principal: Principal, selector: Selector) -> Checked:
        async with self._db.read() as session:
            condition = await targets.condition(session, principal.user_id, selector, self._live_nodes())
            scope = await scopes.scope_of(session, principal)
            here = is_online(self._live_nodes())
            counts = scope.limit(sa.select(sa.func.count(), sa.func.count().filter(here)).select_from(Device))
            count, online = (await session.execute(counts.where(condition))).one()
            names = scope.limit(sa.select(Device.device_name)).where(condition).order_by(Device.device_name, Device.id)
            return Checked(
                selector=str(selector),
                count=count,
                online=online,
                names=list(await session.scalars(names.limit(NAMES_SHOWN))),
                warnings=await targets.warnings(session, scope, selector),
            )

    async def words(self, principal: Principal) -> dict[str, list[str]]:
        """What this user may write into a selector: key → the values that there are."""
        async with self._db.read() as session:
            groups = await repository.of_user(session, principal.user_id)
            return await selector_words.words(
                session, await scopes.scope_of(session, principal), (group.name for group in groups)
            )

    async def all(self, principal: Principal) -> list[Found]:
        """Everything that this user has, by name, without ``device_ids``."""
        async with self._db.read() as session:
            rows = await repository.of_user(session, principal.user_id)
            by_name = {row.name: row for row in rows}
            return [await self._found(session, principal, row, by_name) for row in rows]

    async def get(self, principal: Principal, group_id: str) -> Found:
        """One group. Raises NotFound."""
        async with self._db.read() as session:
            return await self._whole(session, principal, await _one(session, principal, group_id))

    async def create(self, principal: Principal, change: Change) -> Found:
        """A new group, with a name and one of selector and devices.

        Raises InvalidInput, InvalidSelector, and Conflict for a name that is taken.
        """
        if change.name is None or (change.selector is None) == (change.device_ids is None):
            raise InvalidInput("A group has a name, and either a `selector` or `device_ids`.")
        async with self._uow.begin() as unit:
            await repository.lock(unit.session, principal.user_id)
            if len(await repository.of_user(unit.session, principal.user_id)) >= GROUPS_MAX:
                raise Conflict(f"You have {GROUPS_MAX} groups; delete one first.", code="too_many_groups")
            row = Group(id=str(uuid4()), user_id=principal.user_id, created_at=self._clock())
            found = await self._save(unit.session, principal, row, change)
            unit.record(principal.actor, Action.GROUP_CREATED, row.id, row.name, **_recorded(found))
            return found

    async def change(self, principal: Principal, group_id: str, change: Change) -> Found:
        """Rename a group, or give it another selector or other devices.

        Raises NotFound, InvalidInput, InvalidSelector, and Conflict for a name that is taken, or that other groups use.
        """
        if change.selector is not None and change.device_ids is not None:
            raise InvalidInput("A group has either a `selector` or `device_ids`, never both.")
        async with self._uow.begin() as unit:
            await repository.lock(unit.session, principal.user_id)
            row = await _one(unit.session, principal, group_id)
            if change.name not in (None, row.name):
                await _must_be_unused(unit.session, row)
            found = await self._save(unit.session, principal, row, change)
            await _hint_members(unit, principal.user_id)
            unit.record(principal.actor, Action.GROUP_CHANGED, row.id, row.name, **_recorded(found))
            return found

    async def delete(self, principal: Principal, group_id: str) -> None:
        """Forget a group; its devices stay. Raises NotFound, and Conflict if other groups name it."""
        async with self._uow.begin() as unit:
            await repository.lock(unit.session, principal.user_id)
            row = await _one(unit.session, principal, group_id)
            await _must_be_unused(unit.session, row)
            await _hint_members(unit, principal.user_id)
            await unit.session.delete(row)
            unit.record(principal.actor, Action.GROUP_DELETED, row.id, row.name)

    async def _save(self, session: AsyncSession, principal: Principal, row: Group, change: Change) -> Found:
        others = [one for one in await repository.of_user(session, principal.user_id) if one.id != row.id]
        if any(one.name == change.name for one in others):
            raise Conflict(f"You have a group named {change.name} already.", code="name_taken")
        row.name = change.name or row.name
        if change.selector is not None:
            row.selector = str(parse(change.selector))
        elif change.device_ids is not None:
            row.selector = None
        session.add(row)
        await session.flush()
        if change.selector is not None or change.device_ids is not None:
            ids = sorted(set(change.device_ids or ()))
            if (
                absent := await repository.missing(session, await scopes.scope_of(session, principal), ids)
            ) is not None:
                raise InvalidInput(f"There is no device with the id {absent}.", code="unknown_device")
            await repository.put_devices(session, row.id, ids)
        _check_all([*others, row])
        await _check_shared(session, principal.user_id)
        return await self._whole(session, principal, row)

    async def _whole(self, session: AsyncSession, principal: Principal, row: Group) -> Found:
        by_name = {one.name: one for one in await repository.of_user(session, principal.user_id)}
        ids = None
        if row.selector is None:
            ids = await repository.device_ids(session, await scopes.scope_of(session, principal), row.id)
        return await self._found(session, principal, row, by_name, ids)

    async def _found(
        self,
        session: AsyncSession,
        principal: Principal,
        row: Group,
        by_name: dict[str, Group],
        ids: list[int] | None = None,
    ) -> Found:
        condition = self._members(row.name, by_name)
        scope = await scopes.scope_of(session, principal)
        query = scope.limit(sa.select(sa.func.count()).select_from(Device)).where(condition)
        total = await session.scalar(query) or 0
        members = len(await repository.members(session, row.id))
        return Found(row.id, row.name, row.selector, ids, total, members, row.created_at)

    def _members(self, name: str, by_name: dict[str, Group]) -> Condition:
        return targets.resolved(_is_in(name), by_name, self._live_nodes())


def _is_in(name: str) -> Selector:
    return Selector((Term(Builtin.GROUP, (Value((name,)),)),))


def _recorded(found: Found) -> dict[str, str | None]:
    ids = found.device_ids
    return {"selector": found.selector, "devices": None if ids is None else numbers(ids)}


async def _one(session: AsyncSession, principal: Principal, group_id: str) -> Group:
    row = await repository.one(session, principal.user_id, group_id)
    if row is None:
        raise NotFound("There is no such group.")
    return row


async def _hint_members(unit: Unit, owner_id: int) -> None:
    """Groups may lie within each other: whoever is a member of one of them may see something else from now on."""
    for user_id in sorted({row.user_id for _, row, _ in await repository.memberships(unit.session, owner_id=owner_id)}):
        unit.hint(HintKind.SHARES, user_id=user_id)


async def _check_shared(session: AsyncSession, owner_id: int) -> None:
    """Raises InvalidSelector when a group that is shared cannot be any longer."""
    by_name = await repository.by_name(session, owner_id)
    for group in {row.id: row for row, _, _ in await repository.memberships(session, owner_id=owner_id)}.values():
        scopes.sharable(group, by_name)


async def _must_be_unused(session: AsyncSession, row: Group) -> None:
    rows = await repository.of_user(session, row.user_id)
    users = [one.name for one in rows if one.selector and row.name in parse(one.selector).groups]
    if users:
        raise Conflict(
            f"The selector of {', '.join(users)} names the group {row.name}; change that first.", code="group_in_use"
        )


def _check_all(rows: Sequence[Group]) -> None:
    """Raises InvalidSelector unless every one of a user's groups can be resolved."""
    by_name = {row.name: row for row in rows}
    for row in reversed(rows):  # the one that changes is the last: its own fault is told first
        if row.selector is not None:
            try:
                targets.resolved(_is_in(row.name), by_name, ())
            except InvalidSelector as error:
                raise InvalidSelector(f"In the group {row.name}: {error.message}", code=error.specific_code) from None
