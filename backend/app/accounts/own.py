"""What people do about their own account once they are signed in: see and end sessions, change the password.

Invariant: a new password ends every other session in the same transaction. API tokens stay: they are not signed in with
the password, and stand in a list of their own.
"""

from collections.abc import Sequence

import structlog

from app.accounts import repository
from app.accounts.models import Session, User
from app.accounts.passwords import Passwords, check_password
from app.accounts.principal import Principal
from app.accounts.throttle import SignInThrottle
from app.audit.actions import Action
from app.clock import Clock
from app.db import Database
from app.errors import InvalidInput, NotFound, Unauthenticated
from app.hints import HintKind
from app.uow import UnitOfWork

log = structlog.get_logger()


class OwnAccount:
    """The account of whoever asks."""

    def __init__(
        self, uow: UnitOfWork, db: Database, passwords: Passwords, throttle: SignInThrottle, clock: Clock
    ) -> None:
        self._uow = uow
        self._db = db
        self._passwords = passwords
        self._throttle = throttle
        self._clock = clock

    async def sessions(self, principal: Principal) -> Sequence[Session]:
        """Where this user is signed in, the latest used first."""
        async with self._db.read() as session:
            return await repository.sessions_of(session, principal.user_id, self._clock())

    async def end_session(self, principal: Principal, session_id: str) -> None:
        """Sign this user out there, at once. Raises NotFound."""
        async with self._uow.begin() as unit:
            theirs = (Session.id == session_id, Session.user_id == principal.user_id)
            if not await repository.delete_session(unit.session, *theirs):
                raise NotFound("There is no such session.")
            unit.record(principal.actor, Action.USER_SESSION_ENDED, principal.user_id, principal.email, id=session_id)
            unit.hint(HintKind.SIGNED_OUT, user_id=principal.user_id)

    async def change_password(self, principal: Principal, current: str, new: str) -> None:
        """Another password, for who knows the one until now; other sessions end.

        Raises InvalidInput (``wrong_password``, or for one that is no good), TooManyAttempts and Unavailable.
        """
        check_password(new)
        if new == current:
            raise InvalidInput("The new password is the one that you have.", code="same_password")
        self._throttle.take(principal.email, principal.source_ip)
        async with self._db.read() as session:
            user = await session.get(User, principal.user_id)
        stored = user.password_hash if user else None
        matches, _ = await self._passwords.verify(current, stored)
        if not matches:
            log.warning("user.password_change_refused", user_id=principal.user_id, source_ip=principal.source_ip)
            raise InvalidInput("The current password is wrong.", code="wrong_password")
        self._throttle.forgive(principal.email, principal.source_ip)
        password_hash = await self._passwords.hash(new)
        async with self._uow.begin() as unit:
            row = await unit.session.get(User, principal.user_id, with_for_update=True)
            if row is None or row.disabled_at or row.password_hash != stored:
                raise Unauthenticated("The password was changed meanwhile; sign in again.")
            row.password_hash, row.password_changed_at = password_hash, self._clock()
            others = (Session.user_id == row.id, Session.id != (principal.session_id or ""))
            ended = await repository.delete_session(unit.session, *others)
            unit.record(principal.actor, Action.USER_PASSWORD_CHANGED, row.id, row.email, sessions_ended=ended)
            unit.hint(HintKind.SIGNED_OUT, user_id=row.id)
        log.info("user.password_changed", user_id=principal.user_id, source_ip=principal.source_ip)
