"""The SQL of people: users, their sessions, their API tokens."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import ApiToken, Session, SignInChallenge, User
from app.db import UtcTimestamp


@dataclass(frozen=True, slots=True)
class Found:
    """A session or token that is good at this moment, and whose it is."""

    id: str
    user_id: int
    email: str
    role: str
    last_used_at: datetime | None
    scopes: list[str] | None = None
    proven_at: datetime | None = None


async def user_by_email(session: AsyncSession, email: str) -> User | None:
    """The user with this address, disabled or not."""
    return await session.scalar(sa.select(User).where(User.email == email))


async def users(session: AsyncSession) -> list[User]:
    """Everyone, by address."""
    return list(await session.scalars(sa.select(User).order_by(User.email)))


async def any_user(session: AsyncSession) -> bool:
    """Whether there is anyone at all."""
    return await session.scalar(sa.select(User.id).limit(1)) is not None


async def first_with_role(session: AsyncSession, role: str) -> User | None:
    """The enabled user of this role who was made first."""
    return await session.scalar(sa.select(User).filter_by(role=role, disabled_at=None).order_by(User.id).limit(1))


async def session_by_hash(session: AsyncSession, token_hash: str, now: datetime) -> Found | None:
    """The session of this cookie, if it has not ended."""
    return await _found(session, _SESSION_BY_HASH, token_hash, now)


async def token_by_hash(session: AsyncSession, token_hash: str, now: datetime) -> Found | None:
    """The API token, if it has not expired."""
    return await _found(session, _TOKEN_BY_HASH, token_hash, now)


async def touch(session: AsyncSession, model: type[Session] | type[ApiToken], row_id: str, now: datetime) -> None:
    """Write down that it was used."""
    await session.execute(sa.update(model).where(model.id == row_id).values(last_used_at=now))


async def alive(
    session: AsyncSession, session_ids: Collection[str], token_ids: Collection[str], now: datetime
) -> dict[str, str]:
    """Those of the ids that are still good, each with the role of its user, in one query."""
    enabled = User.disabled_at.is_(None)
    sessions = sa.select(Session.id, User.role).join(User, User.id == Session.user_id)
    tokens = sa.select(ApiToken.id, User.role).join(User, User.id == ApiToken.user_id)
    query = sa.union_all(
        sessions.where(Session.id.in_(session_ids), Session.expires_at > now, enabled),
        tokens.where(ApiToken.id.in_(token_ids), _lasting(now), enabled),
    )
    return {row.id: row.role for row in await session.execute(query)}


async def tokens_of(session: AsyncSession, user_id: int) -> list[ApiToken]:
    """One user's API tokens, newest first."""
    newest = sa.select(ApiToken).where(ApiToken.user_id == user_id).order_by(ApiToken.created_at.desc(), ApiToken.id)
    return list(await session.scalars(newest))


async def count_tokens(session: AsyncSession, user_id: int) -> int:
    """How many API tokens a user has."""
    return await session.scalar(sa.select(sa.func.count()).where(ApiToken.user_id == user_id)) or 0


async def delete_token(session: AsyncSession, user_id: int, token_id: str) -> str | None:
    """Delete a user's own token: its name; None when this user has no such token."""
    theirs = sa.delete(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == user_id)
    return await session.scalar(theirs.returning(ApiToken.name))


async def delete_session(session: AsyncSession, *conditions: sa.ColumnElement[bool]) -> int:
    """End sessions; how many there were."""
    return await _delete(session, sa.delete(Session).where(*conditions))


async def prove_session(session: AsyncSession, session_id: str, now: datetime) -> None:
    """Write down that whoever sits there showed whose it is."""
    await session.execute(sa.update(Session).where(Session.id == session_id).values(proven_at=now))


async def sessions_of(session: AsyncSession, user_id: int, now: datetime) -> list[Session]:
    """One user's sessions that have not ended, the latest used first."""
    theirs = sa.select(Session).where(Session.user_id == user_id, Session.expires_at > now)
    return list(await session.scalars(theirs.order_by(Session.last_used_at.desc(), Session.id)))


async def end_all(session: AsyncSession, user_id: int) -> None:
    """End everything that speaks for a user, or is about to."""
    await session.execute(sa.delete(SignInChallenge).where(SignInChallenge.user_id == user_id))
    await session.execute(sa.delete(Session).where(Session.user_id == user_id))
    await session.execute(sa.delete(ApiToken).where(ApiToken.user_id == user_id))


_SESSIONS, _TOKENS, _USERS = (cast("sa.Table", model.__table__) for model in (Session, ApiToken, User))
_NOW = sa.bindparam("now", type_=UtcTimestamp)


def _lasting(now: datetime | sa.BindParameter[datetime]) -> sa.ColumnElement[bool]:
    return sa.or_(_TOKENS.c.expires_at.is_(None), _TOKENS.c.expires_at > now)


def _by_hash(table: sa.Table, own: str, lasting: sa.ColumnElement[bool]) -> sa.Select[Any]:
    # of tables, and made once: each request asks one of them, and the mapper would take as long as the database
    return (
        sa.select(
            table.c.id, _USERS.c.id.label("user_id"), _USERS.c.email, _USERS.c.role, table.c.last_used_at, table.c[own]
        )
        .join(_USERS, _USERS.c.id == table.c.user_id)
        .where(_USERS.c.disabled_at.is_(None), table.c.token_hash == sa.bindparam("token_hash"), lasting)
    )


_SESSION_BY_HASH = _by_hash(_SESSIONS, "proven_at", _SESSIONS.c.expires_at > _NOW)
_TOKEN_BY_HASH = _by_hash(_TOKENS, "scopes", _lasting(_NOW))


async def _found(session: AsyncSession, query: sa.Select[Any], token_hash: str, now: datetime) -> Found | None:
    row = (await session.execute(query, {"token_hash": token_hash, "now": now})).one_or_none()
    return Found(**row._asdict()) if row else None


async def _delete(session: AsyncSession, statement: sa.Delete) -> int:
    result = await session.execute(statement.execution_options(synchronize_session=False))
    return cast(sa.CursorResult[Any], result).rowcount
