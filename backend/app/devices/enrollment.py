"""Who may enrol: tokens that are spent atomically, and keys that were refused."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app import cursors
from app.accounts.hashing import secret_hash
from app.accounts.principal import Principal
from app.audit.actions import Action, Actor
from app.clock import Clock, utcnow
from app.db import Database
from app.devices.models import Device, EnrollmentToken
from app.errors import InvalidInput, NotFound
from app.groups.scopes import scope_of
from app.settings import Settings
from app.uow import UnitOfWork
from deployx_protocol import origins, tokens

_LIST = "enrollment-tokens"


@dataclass(frozen=True, slots=True)
class NewEnrollmentToken:
    """A token just made. ``token`` and ``command`` are shown once and kept nowhere."""

    row: EnrollmentToken
    token: str
    command: str


class EnrollmentService:
    """Makes, lists and revokes enrolment tokens. A user sees the own ones, an administrator all."""

    def __init__(self, uow: UnitOfWork, db: Database, settings: Settings, clock: Clock = utcnow) -> None:
        self._uow = uow
        self._db = db
        self._settings = settings
        self._clock = clock

    async def create(
        self,
        owner_id: int,
        actor: Actor,
        *,
        name: str,
        max_uses: int = 1,
        expires_in_s: int = 86_400,
        origin: str | None = None,
    ) -> NewEnrollmentToken:
        """A token, made by ``actor``, for agents that will belong to ``owner_id``.

        Raises InvalidInput when ``origin`` is not one that agents may dial.
        """
        allowed = self._settings.allowed_origins()
        try:
            chosen = origins.normalise(origin) if origin else next(iter(allowed), "")
        except ValueError as error:
            raise InvalidInput(str(error)) from None
        if chosen not in allowed:
            raise InvalidInput(f"Agents may not dial {chosen or 'any address'}: add it to DEPLOYX_PUBLIC_URL.")
        token = tokens.new_enrollment_token(chosen)
        now = self._clock()
        row = EnrollmentToken(
            id=str(uuid4()),
            name=name,
            token_hash=secret_hash(token),
            origin=chosen,
            user_id=owner_id,
            max_uses=max_uses,
            uses=0,
            created_at=now,
            expires_at=now + timedelta(seconds=expires_in_s),
        )
        async with self._uow.begin() as unit:
            unit.session.add(row)
            unit.record(
                actor,
                Action.ENROLLMENT_TOKEN_CREATED,
                row.id,
                name,
                owner_id=owner_id,
                max_uses=max_uses,
                expires_in_s=expires_in_s,
            )
        return NewEnrollmentToken(row, token, f"deployx-agent enroll {token}")

    async def page(
        self, principal: Principal, *, limit: int, cursor: str | None, is_open: bool | None = None
    ) -> tuple[list[EnrollmentToken], str | None]:
        """A page of this user's tokens (an administrator: of everyone's), newest first, and the cursor of the next.

        ``is_open``: only those that may still admit a machine, or only those that are over. Raises InvalidInput for a
        bad cursor.
        """
        order = (EnrollmentToken.created_at, EnrollmentToken.id)
        query = _visible(principal)
        if is_open is not None:
            query = query.where(_open(self._clock()) if is_open else sa.not_(_open(self._clock())))
        if cursor:
            last = zip(cursors.read(cursor, _LIST, (datetime, str)), order, strict=True)
            query = query.where(
                sa.tuple_(*order) < sa.tuple_(*(sa.literal(value, column.type) for value, column in last))
            )
        query = query.order_by(*(column.desc() for column in order)).limit(limit + 1)
        async with self._db.read() as session:
            rows = list(await session.scalars(query))
        if len(rows) <= limit:
            return rows, None
        last_row = rows[limit - 1]
        return rows[:limit], cursors.write(_LIST, (last_row.created_at, last_row.id))

    async def get(self, principal: Principal, token_id: str) -> tuple[EnrollmentToken, list[Device]]:
        """A token and the devices that enrolled with it, as far as they are seen. Raises NotFound."""
        async with self._db.read() as session:
            row = await session.scalar(_visible(principal).filter_by(id=token_id))
            if row is None:
                raise NotFound("There is no such enrolment token.")
            scope = await scope_of(session, principal)
            enrolled = scope.limit(sa.select(Device)).where(Device.enrollment_token_id == token_id)
            devices = await session.scalars(enrolled.order_by(Device.id).limit(500))
            return row, list(devices)

    async def revoke(self, principal: Principal, token_id: str) -> None:
        """End a token now; devices that enrolled with it stay. Raises NotFound."""
        async with self._uow.begin() as unit:
            row = await unit.session.scalar(_visible(principal).filter_by(id=token_id))
            if row is None:
                raise NotFound("There is no such enrolment token.")
            row.revoked_at = row.revoked_at or self._clock()
            unit.record(principal.actor, Action.ENROLLMENT_TOKEN_REVOKED, row.id, row.name)


async def lock_tokens(session: AsyncSession, presented: set[str]) -> dict[str, EnrollmentToken]:
    """The rows of the tokens presented, by token, locked until the transaction ends so that no use is counted twice."""
    by_hash = {secret_hash(token): token for token in presented}
    query = sa.select(EnrollmentToken).where(EnrollmentToken.token_hash.in_(by_hash))
    rows = await session.scalars(query.order_by(EnrollmentToken.id).with_for_update())
    return {by_hash[row.token_hash]: row for row in rows}


def _open(now: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        EnrollmentToken.revoked_at.is_(None),
        EnrollmentToken.expires_at > now,
        EnrollmentToken.uses < EnrollmentToken.max_uses,
    )


def _visible(principal: Principal) -> sa.Select[EnrollmentToken]:
    query = sa.select(EnrollmentToken)
    return query if principal.is_admin else query.where(EnrollmentToken.user_id == principal.user_id)
