"""Invitations: links by which somebody becomes a user, without anyone else ever knowing their password.

Invariants: only hashes of tokens are stored, and a link has its token in the fragment, which no browser sends and no
server logs; one makes one user, once; it is good only while whoever made it may still invite, so that an administrator
who is shut out has left no way in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import people, repository
from app.accounts.hashing import secret_hash
from app.accounts.models import Invitation, User
from app.accounts.passwords import Passwords, check_password
from app.accounts.permissions import Permission, Role, granted
from app.accounts.principal import Principal
from app.accounts.proof import require_proof
from app.audit.actions import Action, Actor, ActorKind
from app.clock import Clock
from app.db import Database
from app.errors import Conflict, NotFound
from app.uow import UnitOfWork
from deployx_protocol import tokens

PATH = "/invitation"
"""Of the dashboard's page that takes one."""
OPEN_MAX = 200
LISTED_MAX = 500
KEPT_FOR = timedelta(days=30)
"""After it expired."""


class InvitationState(StrEnum):
    """What became of one."""

    OPEN = "open"
    USED = "used"
    EXPIRED = "expired"
    REVOKED = "revoked"
    VOID = "void"  # whoever made it may not invite any more


@dataclass(frozen=True, slots=True)
class Invited:
    """An invitation as administrators see it. ``by`` is the address of who made it; None when they are gone."""

    row: Invitation
    by: str | None
    state: InvitationState


class Invitations:
    """The invitations of one server. ``public_url`` is where its dashboard is; empty: wherever it is opened."""

    def __init__(self, uow: UnitOfWork, db: Database, passwords: Passwords, public_url: str, clock: Clock) -> None:
        self._uow = uow
        self._db = db
        self._passwords = passwords
        self._public_url = public_url
        self._clock = clock

    async def create(self, principal: Principal, email: str, role: Role, expires_in_s: int) -> tuple[Invited, str]:
        """An invitation for ``email``, which is checked, and its link, which is kept nowhere.

        It replaces one that this address had. Raises Conflict, and ProofRequired for an administrator.
        """
        if role is Role.ADMIN:
            require_proof(principal, self._clock(), "Inviting an administrator")
        token = tokens.INVITATION_PREFIX + tokens.new_secret()
        now = self._clock()
        row = Invitation(
            id=str(uuid4()),
            email=email,
            role=role.value,
            token_hash=secret_hash(token),
            created_by=principal.user_id,
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in_s),
        )
        async with self._uow.begin() as unit:
            if await repository.user_by_email(unit.session, email) is not None:
                raise Conflict(f"There is already a user {email}.", code="user_exists")
            replaced = sa.update(Invitation).where(Invitation.email == email, *_unused(now)).values(revoked_at=now)
            await unit.session.execute(replaced)
            if (await unit.session.scalar(sa.select(sa.func.count()).where(*_unused(now))) or 0) >= OPEN_MAX:
                raise Conflict(f"{OPEN_MAX} invitations are open; revoke one first.", code="too_many_invitations")
            unit.session.add(row)
            details = {"role": role.value, "expires_in_s": expires_in_s}
            unit.record(principal.actor, Action.INVITATION_CREATED, row.id, email, **details)
        return Invited(row, principal.email, InvitationState.OPEN), f"{self._public_url}{PATH}#{token}"

    async def all(self) -> list[Invited]:
        """The latest, newest first."""
        query = sa.select(Invitation, User).join(User, User.id == Invitation.created_by, isouter=True)
        query = query.order_by(Invitation.created_at.desc(), Invitation.id).limit(LISTED_MAX)
        async with self._db.read() as session:
            found: Sequence[tuple[Invitation, User | None]] = [(row, by) for row, by in await session.execute(query)]
        now = self._clock()
        return [Invited(row, by.email if by else None, _state(row, by, now)) for row, by in found]

    async def revoke(self, principal: Principal, invitation_id: str) -> None:
        """Make one useless, now. Raises NotFound; one that was used stays as it is."""
        async with self._uow.begin() as unit:
            row = await unit.session.get(Invitation, invitation_id, with_for_update=True)
            if row is None:
                raise NotFound("There is no such invitation.")
            if row.used_at is None and row.revoked_at is None:
                row.revoked_at = self._clock()
                unit.record(principal.actor, Action.INVITATION_REVOKED, row.id, row.email)

    async def look(self, token: str) -> Invitation:
        """Whom a link invites, and as what. Raises NotFound (``invalid_invitation``)."""
        async with self._db.read() as session:
            return await self._good(session, token)

    async def accept(self, token: str, password: str, *, address: str) -> User:
        """The user that the invited one becomes. Raises NotFound, InvalidInput for the password, and Conflict."""
        await self.look(token)  # a guess does not cost a hash
        password_hash = await self._passwords.hash(check_password(password))
        now = self._clock()
        async with self._uow.begin() as unit:
            row = await self._good(unit.session, token, lock=True)
            row.used_at = now
            who = Actor(ActorKind.NOBODY, row.email, source_ip=address)
            unit.record(who, Action.INVITATION_ACCEPTED, row.id, row.email)
            return await people.add(unit, row.email, password_hash, Role(row.role), now, who)

    async def _good(self, session: AsyncSession, token: str, *, lock: bool = False) -> Invitation:
        query = sa.select(Invitation, User).join(User, User.id == Invitation.created_by)
        query = query.where(Invitation.token_hash == secret_hash(token))
        if lock:
            query = query.with_for_update(of=Invitation)
        found = (await session.execute(query)).one_or_none()
        if found is None or _state(found[0], found[1], self._clock()) is not InvitationState.OPEN:
            text = "This invitation cannot be used, or not any more. Ask for another one."
            raise NotFound(text, code="invalid_invitation")
        row: Invitation = found[0]
        return row


def _unused(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return (Invitation.used_at.is_(None), Invitation.revoked_at.is_(None), Invitation.expires_at > now)


def _state(row: Invitation, by: User | None, now: datetime) -> InvitationState:
    if row.used_at is not None:
        return InvitationState.USED
    if row.revoked_at is not None:
        return InvitationState.REVOKED
    if row.expires_at <= now:
        return InvitationState.EXPIRED
    if by is None or by.disabled_at is not None or Permission.USERS_MANAGE not in granted(by.role):
        return InvitationState.VOID
    return InvitationState.OPEN
