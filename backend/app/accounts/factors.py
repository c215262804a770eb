"""The SQL of second factors: what is set up, recovery codes, challenges.

Invariant: what counts once (a code, a recovery code, a challenge) is used up by one statement that says whether it was
there, so that of two who come at once one gets it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import Factor, RecoveryCode, SignInChallenge, User

TOTP = "totp"


async def confirmed(session: AsyncSession, user_id: int) -> Factor | None:
    """The authenticator that a user signs in with; None: the password is enough."""
    theirs = sa.select(Factor).where(Factor.user_id == user_id, Factor.kind == TOTP, Factor.confirmed_at.is_not(None))
    return await session.scalar(theirs.limit(1))


async def awaited(session: AsyncSession, user_id: int, since: datetime) -> Factor | None:
    """The authenticator that a user is setting up."""
    theirs = sa.select(Factor).where(
        Factor.user_id == user_id, Factor.kind == TOTP, Factor.confirmed_at.is_(None), Factor.created_at >= since
    )
    return await session.scalar(theirs.limit(1))


async def forget_awaited(session: AsyncSession, user_id: int) -> None:
    """Drop what a user began to set up."""
    await session.execute(sa.delete(Factor).where(Factor.user_id == user_id, Factor.confirmed_at.is_(None)))


async def take_step(session: AsyncSession, factor_id: str, step: int, now: datetime) -> bool:
    """Use up the code of ``step``; False if it, or a later one, was used before."""
    newer = sa.update(Factor).where(Factor.id == factor_id, Factor.last_step < step)
    return await _changed(session, newer.values(last_step=step, last_used_at=now)) == 1


async def take_recovery_code(session: AsyncSession, user_id: int, code_hash: str) -> bool:
    """Use up a recovery code; False if there is none such."""
    theirs = sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == code_hash)
    return await _changed(session, theirs) == 1


async def replace_recovery_codes(session: AsyncSession, user_id: int, code_hashes: Iterable[str]) -> None:
    """These, and no others, are good from now on."""
    await session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    session.add_all([RecoveryCode(user_id=user_id, code_hash=code_hash) for code_hash in code_hashes])


async def recovery_codes_left(session: AsyncSession, user_id: int) -> int:
    """How many are unused."""
    return await session.scalar(sa.select(sa.func.count()).where(RecoveryCode.user_id == user_id)) or 0


async def forget(session: AsyncSession, user_id: int) -> bool:
    """Drop all of a user's factors, with recovery codes and challenges; whether there were any."""
    await session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    await end_challenges(session, user_id)
    return await _changed(session, sa.delete(Factor).where(Factor.user_id == user_id)) > 0


async def challenged(session: AsyncSession, token_hash: str, now: datetime) -> User | None:
    """Whose password came before this challenge, if it is still good."""
    theirs = sa.select(User).join(SignInChallenge, SignInChallenge.user_id == User.id)
    good = (SignInChallenge.token_hash == token_hash, SignInChallenge.expires_at > now, User.disabled_at.is_(None))
    return await session.scalar(theirs.where(*good))


async def take_challenge(session: AsyncSession, token_hash: str, now: datetime) -> bool:
    """Use up a challenge; False if it is over."""
    good = (SignInChallenge.token_hash == token_hash, SignInChallenge.expires_at > now)
    return await _changed(session, sa.delete(SignInChallenge).where(*good)) == 1


async def end_challenges(session: AsyncSession, user_id: int) -> None:
    """Whoever is between password and code has to begin again."""
    await session.execute(sa.delete(SignInChallenge).where(SignInChallenge.user_id == user_id))


async def _changed(session: AsyncSession, statement: sa.Update | sa.Delete) -> int:
    result = await session.execute(statement.execution_options(synchronize_session=False))
    return cast(sa.CursorResult[Any], result).rowcount
