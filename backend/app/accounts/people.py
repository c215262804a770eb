"""What administrators do about others: change their roles, shut them out, let them in again.

Invariant: there is always an administrator who can sign in; whoever is shut out is so everywhere in the same
transaction. The command line may do more: it is where the first administrator comes from (``AccountService``).
"""

from datetime import datetime

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts import repository
from app.accounts.models import User
from app.accounts.permissions import Role
from app.accounts.principal import Principal
from app.accounts.proof import require_proof
from app.audit.actions import Action, Actor
from app.clock import Clock
from app.db import Database
from app.errors import Conflict, NotFound
from app.hints import HintKind
from app.uow import Unit, UnitOfWork

log = structlog.get_logger()


class People:
    """Everyone, for administrators."""

    def __init__(self, uow: UnitOfWork, db: Database, clock: Clock) -> None:
        self._uow = uow
        self._db = db
        self._clock = clock

    async def all(self) -> list[User]:
        """Everyone, by address."""
        async with self._db.read() as session:
            return await repository.users(session)

    async def change(
        self, principal: Principal, user_id: int, *, role: Role | None = None, disabled: bool | None = None
    ) -> User:
        """Give somebody another role, shut them out, or let them in again.

        Raises NotFound, ProofRequired for another administrator, and Conflict (``last_administrator``) rather than
        leave nobody who could undo it.
        """
        async with self._uow.begin() as unit:
            admins = await _lock_admins(unit.session)
            user = await unit.session.get(User, user_id, with_for_update=True, populate_existing=True)
            if user is None:
                raise NotFound("There is no such user.")
            stays = (role or user.role) == Role.ADMIN and not (user.disabled_at if disabled is None else disabled)
            if admins == {user.id} and not stays:
                text = f"{user.email} is the only administrator who can sign in; make another one first."
                raise Conflict(text, code="last_administrator")
            if stays and user.id not in admins:
                require_proof(principal, self._clock(), "Adding an administrator")
            if role is not None and role != user.role:
                change_role(unit, user, role, principal.actor)
            if disabled is True and user.disabled_at is None:
                user.disabled_at = self._clock()
                await shut_out(unit, user, principal.actor)
            if disabled is False and user.disabled_at is not None:
                let_in(unit, user, principal.actor)
            return user


async def _lock_admins(session: AsyncSession) -> set[int]:
    """The administrators who can sign in; none of them stops to be one before the transaction ends."""
    query = sa.select(User.id).where(User.role == Role.ADMIN, User.disabled_at.is_(None)).order_by(User.id)
    return set(await session.scalars(query.with_for_update()))


async def add(unit: Unit, email: str, password_hash: str, role: Role, now: datetime, by: Actor) -> User:
    """Somebody new. Raises Conflict when the address is taken, also by who came in the same moment."""
    user = User(email=email, password_hash=password_hash, role=role.value, created_at=now, password_changed_at=now)
    unit.session.add(user)
    try:
        await unit.session.flush()
    except IntegrityError:
        raise Conflict(f"There is already a user {email}.", code="user_exists") from None
    unit.record(by, Action.USER_CREATED, user.id, user.email, role=user.role)
    log.info("user.created", user_id=user.id, email=user.email, role=user.role)
    return user


def change_role(unit: Unit, user: User, role: Role, by: Actor) -> None:
    """``user`` may do more, or less, from now on; they stay signed in."""
    before, user.role = user.role, role
    unit.record(by, Action.USER_ROLE_CHANGED, user.id, user.email, role=[before, role.value])
    log.info("user.role_changed", user_id=user.id, role=role)


async def shut_out(unit: Unit, user: User, by: Actor) -> None:
    """End all that speaks for ``user``, who was just disabled; the devices stay."""
    await repository.end_all(unit.session, user.id)
    unit.record(by, Action.USER_DISABLED, user.id, user.email)
    unit.hint(HintKind.SIGNED_OUT, user_id=user.id)
    log.info("user.disabled", user_id=user.id)


def let_in(unit: Unit, user: User, by: Actor) -> None:
    """``user`` may sign in again, with the password that they had."""
    user.disabled_at = None
    unit.record(by, Action.USER_ENABLED, user.id, user.email)
    log.info("user.enabled", user_id=user.id)
