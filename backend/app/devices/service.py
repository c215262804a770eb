"""What people do with devices: look, rename, tag, hand over, accept, reject, delete."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import sqlalchemy as sa

from app import cursors
from app.accounts.models import User
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.accounts.proof import Spree
from app.audit.actions import Action
from app.clock import Clock, utcnow
from app.db import Database
from app.devices import repository
from app.devices.glances import Glance, glance_rows, glances
from app.devices.models import Claim, Device, RefusedKey, StatusEvent
from app.devices.policies import DevicePolicy, device_policy
from app.devices.repository import Filter, Row
from app.devices.scope import Right, Scope
from app.devices.views import claim_view, device_view
from app.errors import Forbidden, IllegalTransition, InvalidInput, NotFound, PreconditionFailed
from app.groups import scopes, targets
from app.groups.parsing import parse
from app.hints import HintKind
from app.settings import CONFIRM_ABOVE
from app.uow import Unit, UnitOfWork
from deployx_protocol import checks, limits
from deployx_protocol.messages import ClaimView, DeviceView
from deployx_protocol.states import Trust

TAGS_MAX = 32
TAG_NAME_MAX = 64
TAG_VALUE_MAX = 128
CLAIMS_SHOWN = 500
CHANGEABLE = ("device_name", "tags", "user_id")
"""Claims that a dashboard is told of at a time; the rest is a number, and comes as these are answered."""
_CLAIMS = "claims"


@dataclass(frozen=True, slots=True)
class Change:
    """What to change about a device; None leaves a matter as it is. ``rev`` must still be current, if it is given."""

    device_name: str | None = None
    tags: dict[str, str] | None = None
    user_id: int | None = None
    rev: int | None = None


@dataclass(frozen=True, slots=True)
class OpenClaims:
    """The oldest open claims, and how many ``more`` there are."""

    views: list[ClaimView]
    more: int


Revision = tuple[int, int | None]
"""The ``rev`` of a device, and whose it is."""


@dataclass(frozen=True, slots=True)
class Here:
    """What a node knows besides the rows: which nodes live."""

    live_nodes: Callable[[], Collection[str]]


class DeviceService:
    """Devices within what a principal may see. Everything raises NotFound for what is not theirs."""

    def __init__(
        self, uow: UnitOfWork, db: Database, here: Here, clock: Clock = utcnow, confirm_above: int = CONFIRM_ABOVE
    ) -> None:
        self._uow = uow
        self._db = db
        self._here = here
        self._clock = clock
        self._deletions = Spree(confirm_above, "Deleting so many devices")

    def view(self, row: Row) -> DeviceView:
        """A row as people see it."""
        return device_view(row[0], row[1], self._here.live_nodes())

    # ------------------------------------------------------------ reading

    async def page(
        self,
        principal: Principal,
        narrowed: Filter,
        *,
        selector: str | None = None,
        sort: str,
        limit: int,
        cursor: str | None,
    ) -> tuple[list[DeviceView], str | None]:
        """One page of devices and the cursor of the next. Raises InvalidInput for a bad selector, sort or cursor."""
        async with self._db.read() as session:
            live = self._here.live_nodes()
            if selector is not None:
                matching = await targets.condition(session, principal.user_id, parse(selector), live)
                narrowed = replace(narrowed, matching=matching)
            scope = await scopes.scope_of(session, principal)
            rows, following = await repository.page(
                session, scope, narrowed, live, sort=sort, limit=limit, cursor=cursor
            )
        return [self.view(row) for row in rows], following

    async def get(self, principal: Principal, device_id: int) -> DeviceView:
        """One device. Raises NotFound."""
        async with self._db.read() as session:
            scope = await scopes.scope_of(session, principal)
            return self.view(_found(await repository.one(session, scope, device_id)))

    async def policy(self, principal: Principal, device_id: int) -> DevicePolicy:
        """What one device reports of its policy. Raises NotFound."""
        async with self._db.read() as session:
            scope = await scopes.scope_of(session, principal)
            device = _found(await repository.one(session, scope, device_id))[0]
        return device_policy(device.policy, self._clock())

    async def look(
        self, ids: Collection[int], whole: Collection[int]
    ) -> tuple[dict[int, Glance], dict[int, DeviceView]]:
        """By id, whoever's they are: how devices are, and those of ``whole`` in full, which costs ten times as much.

        For the publisher, which gives each scope its share."""
        async with self._db.read(at_one_moment=bool(whole)) as session:
            glanced = await glance_rows(session, ids)
            views = await repository.by_ids(session, whole)
        live = self._here.live_nodes()
        return glances(glanced, live), {row.id: device_view(row, row.owner, live) for row in views}

    async def revisions(self) -> dict[int, Revision]:
        """Of every device: for the publisher, which finds by it what has changed."""
        async with self._db.read() as session:
            rows = await session.execute(sa.select(Device.id, Device.rev, Device.user_id))
            return {device_id: (rev, user_id) for device_id, rev, user_id in rows}

    async def scope(self, user_id: int | None) -> tuple[Scope, set[int]]:
        """What a user sees (None: everything), and which devices of others are among it at this moment."""
        async with self._db.read(at_one_moment=True) as session:
            scope = await scopes.of_user(session, user_id)
            return scope, await repository.shared(session, scope)

    async def visible(self, scope: Scope, ids: Collection[int]) -> set[int]:
        """Which of these devices ``scope`` has."""
        async with self._db.read() as session:
            return await repository.visible(session, scope, ids)

    async def count(self, user_id: int | None) -> int:
        """How many devices a user sees (None: there are)."""
        async with self._db.read() as session:
            return await repository.count(session, await scopes.of_user(session, user_id))

    async def after(self, user_id: int | None, last_id: int, limit: int) -> list[DeviceView]:
        """The next devices by id that a user sees (None: there are)."""
        async with self._db.read() as session:
            rows = await repository.after(session, await scopes.of_user(session, user_id), last_id, limit)
        live = self._here.live_nodes()
        return [device_view(row, row.owner, live) for row in rows]

    async def claims_page(
        self, principal: Principal, *, limit: int, cursor: str | None
    ) -> tuple[list[ClaimView], str | None]:
        """One page of open claims, oldest first, and the cursor of the next. Raises InvalidInput for a bad cursor."""
        after_id = cursors.read(cursor, _CLAIMS, (int,))[0] if cursor else 0
        async with self._db.read() as session:
            scope = await scopes.scope_of(session, principal)
            rows = await repository.open_claims(session, scope, after_id=after_id, limit=limit + 1)
        views = self._claim_views(rows[:limit])
        return views, cursors.write(_CLAIMS, (views[-1].id,)) if len(rows) > limit else None

    async def claims(self, user_id: int | None) -> OpenClaims:
        """What a user's dashboards are told of open claims: those about devices of their own (None: all)."""
        scope = Scope(user_id)
        async with self._db.read() as session:
            rows = await repository.open_claims(session, scope, after_id=0, limit=CLAIMS_SHOWN)
            total = len(rows) if len(rows) < CLAIMS_SHOWN else await repository.count_open_claims(session, scope)
        return OpenClaims(self._claim_views(rows), max(0, total - len(rows)))

    def _claim_views(self, rows: Sequence[tuple[Claim, Device]]) -> list[ClaimView]:
        live = self._here.live_nodes()
        return [claim_view(claim, device, connected=claim.node_id in live) for claim, device in rows]

    async def status_events(
        self, principal: Principal, device_id: int, *, limit: int, before_id: int | None
    ) -> list[StatusEvent]:
        """What happened to a device's presence, newest first. Raises NotFound."""
        async with self._db.read() as session:
            _found(await repository.one(session, await scopes.scope_of(session, principal), device_id))
            return await repository.status_events(session, device_id, limit=limit, before_id=before_id)

    # ------------------------------------------------------------ changing

    async def change(self, principal: Principal, device_id: int, change: Change) -> DeviceView:
        """Change a device. Raises NotFound, InvalidInput, Forbidden, and PreconditionFailed if ``rev`` is outdated."""
        async with self._uow.begin() as unit:
            device = await self._locked(unit, principal, device_id)
            if change.rev is not None and change.rev != device.rev:
                raise PreconditionFailed("The device changed since you loaded it. Load it again, then repeat.")
            before = {name: getattr(device, name) for name in CHANGEABLE}
            if change.device_name is not None:
                device.device_name = _checked_name(change.device_name)
            if change.tags is not None:
                device.tags = _checked_tags(change.tags)
            if change.user_id is not None and change.user_id != device.user_id:
                await _hand_over(unit, principal, device, change.user_id)
            now = {name: getattr(device, name) for name in CHANGEABLE}
            changed = {name: [before[name], now[name]] for name in CHANGEABLE if before[name] != now[name]}
            unit.record(principal.actor, Action.DEVICE_CHANGED, device.id, device.device_name, **changed)
            return await self._changed(unit, device)

    async def accept(self, principal: Principal, device_id: int) -> DeviceView:
        """Trust a pending device; it belongs to whoever accepts it. Raises NotFound, IllegalTransition."""
        async with self._uow.begin() as unit:
            device = await self._locked(unit, principal, device_id)
            _must_be_pending(device)
            device.trust, device.trust_reason = Trust.TRUSTED, ""
            device.user_id = device.user_id or principal.user_id
            unit.hint(HintKind.REGISTER_AGAIN, device.id)
            unit.record(principal.actor, Action.DEVICE_ACCEPTED, device.id, device.device_name, user_id=device.user_id)
            return await self._changed(unit, device)

    async def reject(self, principal: Principal, device_id: int) -> None:
        """Delete a pending device and refuse its key. Raises NotFound, IllegalTransition."""
        async with self._uow.begin() as unit:
            device = await self._locked(unit, principal, device_id)
            _must_be_pending(device)
            await self.refuse_key(unit, principal, device.public_key, f"{device.agent_id} was rejected")
            unit.record(principal.actor, Action.DEVICE_REJECTED, device.id, device.device_name)
            await remove(unit, device)

    async def delete(self, principal: Principal, device_id: int) -> None:
        """Delete a device and cut its agent off. Raises NotFound, and ProofRequired where many are deleted."""
        async with self._uow.begin() as unit:
            device = await self._locked(unit, principal, device_id)
            self._deletions.note(principal, self._clock())
            unit.record(principal.actor, Action.DEVICE_DELETED, device.id, device.device_name)
            await remove(unit, device)

    async def refuse_key(self, unit: Unit, principal: Principal, public_key: str | None, reason: str) -> None:
        """Turn this key away from now on, until it comes with a valid enrolment token."""
        if public_key and await unit.session.get(RefusedKey, public_key) is None:
            row = RefusedKey(public_key=public_key, reason=reason, created_by=principal.user_id)
            row.created_at = self._clock()
            unit.session.add(row)

    async def _locked(self, unit: Unit, principal: Principal, device_id: int) -> Device:
        scope = await scopes.scope_of(unit.session, principal)
        row = await repository.one(unit.session, scope, device_id, Right.OWN, lock=True)
        if row is None and await repository.one(unit.session, scope, device_id) is not None:
            raise Forbidden("This device is shared with you; only its owner changes it.", code="not_yours")
        return _found(row)[0]

    async def _changed(self, unit: Unit, device: Device) -> DeviceView:
        device.rev += 1
        await unit.session.flush()
        unit.hint(HintKind.DEVICE_ROW, device.id)
        owner = await unit.session.get(User, device.user_id) if device.user_id else None
        return self.view((device, owner.email if owner else None))


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound("There is no such device.")
    return row


def _must_be_pending(device: Device) -> None:
    if device.trust != Trust.PENDING:
        raise IllegalTransition(f"This device is {device.trust}, not pending; there is nothing to accept or reject.")


async def remove(unit: Unit, device: Device) -> None:
    """Delete ``device`` and what is claimed about it; its agent and whoever watches it are told after the commit."""
    await unit.session.execute(sa.delete(Claim).where(Claim.device_id == device.id))
    await unit.session.delete(device)
    unit.hint(HintKind.DEVICE_REMOVED, device.id, user_id=device.user_id or 0, rev=device.rev + 1)
    unit.hint(HintKind.CLAIMS, device.id)


async def _hand_over(unit: Unit, principal: Principal, device: Device, user_id: int) -> None:
    if not principal.may(Permission.DEVICES_ASSIGN):
        raise Forbidden("Only an administrator gives devices to other users.")
    if await unit.session.get(User, user_id) is None:
        raise InvalidInput("There is no such user to give the device to.")
    unit.hint(HintKind.DEVICE_MOVED, device.id, user_id=device.user_id or 0, rev=device.rev)
    device.user_id = user_id


def _checked_name(name: str) -> str:
    try:
        return checks.printable(name.strip(), "device_name", limits.DEVICE_NAME_MAX)
    except checks.InvalidPayload as error:
        raise InvalidInput(str(error)) from None


def _checked_tags(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise InvalidInput(f"A device has at most {TAGS_MAX} tags.")
    try:
        for name, value in tags.items():
            checks.printable(name, "a tag's name", TAG_NAME_MAX)
            checks.printable(value, f"the tag {name}", TAG_VALUE_MAX, empty=True)
    except checks.InvalidPayload as error:
        raise InvalidInput(str(error)) from None
    return tags
